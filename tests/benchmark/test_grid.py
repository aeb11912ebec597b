import dataclasses
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from unittest.mock import ANY

import faulting
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from making import make_byol_state, one_line

from serab_lib.benchmark import grid
from serab_lib.benchmark.grid import Summary, run_grid
from serab_lib.benchmark.results import COLUMNS, Results
from serab_lib.core import UnknownNameError
from serab_lib.corpora import corpus
from serab_lib.corpora.task import get_task
from serab_lib.extractors.registry import EXTRACTORS, get_entry

CELL = ("SAV", "logmel-stats", "described")
KEY = "/".join(CELL)


# The protocol that the command has by default.
run, settings = (partial(each, protocols=("described",)) for each in (faulting.run, faulting.settings))


def read(folder: Path) -> tuple[pd.DataFrame, dict]:
    results = Results(folder / "out")
    return results.read_cells(), results.read_provenance()


def test_a_cell_is_written_once_with_everything_and_says_what_it_is_made_of(folder: Path, monkeypatch) -> None:
    """The real SAVEE has 480 utterances at 44.1 kHz; these 56 have 16 kHz."""
    summary = run_grid(["savee"], ["logmel-stats"], settings(folder))
    assert summary.computed == [CELL]
    for words in ("incomplete (56 of 480", "SAV: 56 of 56 recordings at 16 kHz"):
        assert any(words in warning for warning in summary.warnings)
    table, provenance = read(folder)
    assert list(table.columns) == COLUMNS and list(table["classifier"]) == ["LDA", "LR", "QDA", "RF", "SVC"]
    assert 0.5 < table["test_accuracy"].max() <= 1
    assert (table[["n_train", "n_validation", "n_test"]] == [28, 14, 14]).all(axis=None)
    assert not table[["complete", "synthetic"]].any(axis=None)
    assert provenance[KEY]["versions"]["torch"] == metadata.version("torch")
    assert (provenance[KEY]["n_utterances"], provenance[KEY]["sample_rates_hz"]) == (56, {"16000": 56})
    assert len(Results(folder / "out").read_predictions(*CELL)) == 14
    monkeypatch.setattr(grid, "load_extractor", None)
    assert run(folder) == Summary(present=[CELL], warnings=ANY)


def test_protocols_that_split_alike_share_their_fits_and_no_protocol_extracts_again(folder: Path, monkeypatch) -> None:
    finish, calls = grid.finish, []
    monkeypatch.setattr(grid, "finish", lambda *arguments: calls.append(arguments) or finish(*arguments))
    run(folder, protocols=("released", "described"))
    assert len(calls) == 1
    assert [origin["embeddings_from_cache"] for origin in read(folder)[1].values()] == [0, 0]
    run(folder, out="again")
    assert Results(folder / "again").read_provenance()[KEY]["embeddings_from_cache"] == 56


def test_changed_audio_makes_a_new_cell_and_keeps_the_old_as_stale(folder: Path) -> None:
    run(folder)
    before, _ = read(folder)
    (folder / "data" / "savee" / "KL_a01.wav").write_text("no audio")
    summary = run(folder)
    assert len(summary.computed) == 1
    for words in ("computed anew", "KL_a01.wav"):
        assert any(words in warning for warning in summary.warnings)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "out" / "stale.csv"), before, check_dtype=False)
    table, provenance = read(folder)
    assert len(table) == 5 and provenance[KEY]["unusable_files"] == ["KL_a01"]


def test_one_missing_corpus_or_checkpoint_does_not_stop_the_others(folder: Path) -> None:
    summary = run_grid(["RAV", "SAV"], ["byol-s-512", "logmel-stats"], settings(folder, weights=folder))
    assert summary.computed == [CELL]
    assert any("default512_BYOLAs" in failure for failure in summary.failures)
    assert any(failure.startswith("RAV: ") for failure in summary.failures)


def test_a_corpus_that_cannot_be_split_is_one_line(folder: Path) -> None:
    for file in (folder / "data" / "savee").glob("[JK][KL]_d*"):
        file.unlink()
    summary = run(folder)
    (failure,) = summary.failures
    assert "class disgust has no utterance in train" in failure and "\n" not in failure and not summary.computed


def test_unknown_names_and_an_unwritable_out_stop_before_any_work(folder: Path) -> None:
    with one_line("logmel-stats", UnknownNameError):
        run(folder, ("logmel",))
    with one_line("savee", UnknownNameError):
        run_grid(["save"], ["logmel-stats"], settings(folder))
    assert not (folder / "out").exists()
    (folder / "out").write_text("a file in the way")
    with one_line("--out"):
        run(folder)


def test_a_run_over_finished_cells_imports_nothing_heavy(folder: Path) -> None:
    """It takes a second or two; importing torch and scikit-learn alone takes longer."""
    run(folder)
    folders = {f"--{name}": str(folder / name) for name in ("data", "out", "cache")}
    arguments = ["run", "--tasks", "SAV", "--models", "logmel-stats", "--no-search", *itertools.chain(*folders.items())]
    code = f"""
import atexit, sys, serab_lib.cli
atexit.register(lambda: print(sorted({{'torch', 'sklearn', 'scipy', 'joblib', 'distributed'}} & set(sys.modules))))
serab_lib.cli.app.app({arguments})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "0 cells computed, 1 were there" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


class Plan:
    """One cell of a small corpus with a checkpoint, and what a change of an input is made to."""

    def __init__(self, folder: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.checkpoint, self.monkeypatch = folder, checkpoint, monkeypatch
        self.savee = folder / "data" / "savee"
        self.task, self.options = get_task("SAV"), {}

    def read_inputs(self) -> str:
        """The digest of all that the cell would be computed from."""
        jobs, options = [], settings(self.folder, **self.options)
        run_grid([self.task], [f"path:{self.checkpoint}"], options, compute=lambda them, tell: jobs.extend(them) or ())
        ((inputs,),) = [part.inputs.values() for part in jobs[0].splits.values()]
        return inputs

    def replace_task(self, **fields) -> None:
        self.task = dataclasses.replace(self.task, **fields)

    def replace_entry(self, **fields) -> None:
        entry = dataclasses.replace(get_entry(f"path:{self.checkpoint}"), **fields)
        self.monkeypatch.setattr(grid, "get_entry", lambda name: entry)

    def replace(self, stems: str, column: str, value: str) -> None:
        def find(*arguments, **options):
            found = corpus.find_corpus(*arguments, **options)
            found.utterances.loc[found.utterances["stem"].str.startswith(stems), column] = value
            return found

        self.monkeypatch.setattr(grid, "find_corpus", find)


CHANGES: dict[str, Callable[[Plan], object]] = {
    "audio": lambda plan: soundfile.write(plan.savee / "DC_a01.wav", np.full(16_000, 0.1), 16_000),
    "a label": lambda plan: plan.replace("DC_a01", "emotion", "fear"),
    # KL's two takes of anger go to JK, who is in the same part.
    "a group": lambda plan: plan.replace("KL_a", "speaker", "JK"),
    "weights": lambda plan: torch.save(make_byol_state(seed=1), plan.checkpoint),
    "statistics": lambda plan: plan.replace_task(log_mel_statistics=(-7.3621, 4.7178)),
    "version of the extractor": lambda plan: plan.replace_entry(version=2),
    "window": lambda plan: plan.replace_entry(options={"embedding_size": 512, "window_samples": 1024}),
    "search": lambda plan: plan.options.update(search=True),
    "class order": lambda plan: plan.replace_task(emotions=dict(reversed(plan.task.emotions.items()))),
    "version of the engine": lambda plan: plan.monkeypatch.setattr(grid, "ENGINE_VERSION", grid.ENGINE_VERSION + 1),
}
NO_CHANGES: dict[str, Callable[[Plan], object]] = {
    "folders": lambda plan: os.renames(plan.savee / "DC_a01.wav", plan.savee / "deep" / "DC_a01.wav"),
    "workers": lambda plan: plan.options.update(n_jobs=2),
}


@pytest.mark.parametrize("what", [*CHANGES, *NO_CHANGES])
def test_a_cell_is_computed_anew_where_its_inputs_changed(folder: Path, byol_checkpoint, monkeypatch, what) -> None:
    plan = Plan(folder, byol_checkpoint, monkeypatch)
    before = plan.read_inputs()
    (CHANGES | NO_CHANGES)[what](plan)
    assert (plan.read_inputs() != before) is (what in CHANGES)


def test_nothing_is_stale_where_statistics_are_measured_anew(folder: Path, byol_checkpoint: Path) -> None:
    """Where the release has no constants, the recordings that they are measured on stand for them."""
    task = dataclasses.replace(get_task("SAV"), log_mel_statistics=None)
    for n_computed in (1, 0):
        summary = run_grid([task], [f"path:{byol_checkpoint}"], settings(folder))
        assert len(summary.computed) == n_computed


def test_released_hears_byol_a_through_another_window(folder: Path, byol_checkpoint: Path, monkeypatch) -> None:
    """NTT trained with 1,024 samples; the release's one configuration has 400, and its statistics hold for that."""
    protocols = ("released", "described")
    for name, entry in EXTRACTORS.items():
        windows = [entry.under(each).options.get("window_samples") for each in protocols]
        assert not name.startswith("byol") or windows == [400, 1024 if name.startswith("byol-a") else 400]
    entry = dataclasses.replace(EXTRACTORS["byol-a-512"], name="guest", own_checkpoint=byol_checkpoint)
    monkeypatch.setattr(grid, "get_entry", lambda name: entry)
    assert len(run(folder, ("guest",), protocols=protocols).computed) == 2
    for protocol, window, source in zip(protocols, (400, 1024), ("published", "measured"), strict=True):
        origin = read(folder)[1][f"SAV/guest/{protocol}"]
        assert f"window_samples {window}" in origin["extractor"]
        assert origin["log_mel_statistics"]["source"].startswith(source)
    assert len(list((folder / "cache" / "embeddings").iterdir())) == 2
    assert len(run(folder, ("guest",), protocols=protocols).present) == 2
