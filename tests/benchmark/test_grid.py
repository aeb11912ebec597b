"""The grid on a small corpus of tones: computed once, resumed, honest about what it is made of."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from making import make_byol_state, write_savee

from serab_lib.benchmark import grid, results
from serab_lib.benchmark.grid import Settings, run_grid
from serab_lib.benchmark.results import COLUMNS, Results
from serab_lib.core import SerabError, UnknownNameError
from serab_lib.corpora import corpus
from serab_lib.corpora.task import get_task
from serab_lib.extractors.registry import EXTRACTORS, get_entry


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_savee(tmp_path / "data", n_takes=2)
    return tmp_path / "data"


def settings(data: Path, **options) -> Settings:
    fields = {"out": data.parent / "out", "search": False, "n_jobs": 1} | options
    return Settings(data=data, cache=data.parent / "cache", **fields)


def cells(data: Path) -> pd.DataFrame:
    return Results(data.parent / "out").read_cells()


def test_a_cell_is_written_with_everything(data: Path) -> None:
    summary = run_grid(["savee"], ["logmel-stats"], settings(data))
    assert summary.computed == [("SAV", "logmel-stats", "described")]
    table = cells(data)
    assert list(table.columns) == COLUMNS
    assert list(table["classifier"]) == ["LDA", "LR", "QDA", "RF", "SVC"]
    assert table["test_accuracy"].between(0, 1).all()
    assert table["test_accuracy"].max() > 0.5
    assert (table["n_train"] + table["n_validation"] + table["n_test"] == 56).all()
    provenance = Results(data.parent / "out").read_provenance()["SAV/logmel-stats/described"]
    assert provenance["versions"]["torch"] == torch.__version__
    assert provenance["n_utterances"] == 56
    assert len(Results(data.parent / "out").read_predictions("SAV", "logmel-stats", "described")) == 14


def test_a_finished_cell_is_not_computed_again(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_grid(["SAV"], ["logmel-stats"], settings(data))
    monkeypatch.setattr(grid, "load_extractor", None)
    summary = run_grid(["SAV"], ["logmel-stats"], settings(data))
    assert (len(summary.computed), len(summary.present)) == (0, 1)
    assert not summary.failures


def test_protocols_that_split_alike_share_their_fits_and_no_protocol_extracts_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, calls = grid.finish, []
    monkeypatch.setattr(grid, "finish", lambda *arguments: calls.append(arguments) or finish(*arguments))
    run_grid(["SAV"], ["logmel-stats"], settings(data, protocols=("released", "described")))
    assert len(calls) == 1
    first = Results(data.parent / "out").read_provenance()
    assert set(first) == {"SAV/logmel-stats/released", "SAV/logmel-stats/described"}
    run_grid(["SAV"], ["logmel-stats"], settings(data, out=data.parent / "again"))
    (again,) = Results(data.parent / "again").read_provenance().values()
    assert again["embeddings_from_cache"] == 56
    assert first["SAV/logmel-stats/described"]["embeddings_from_cache"] == 0


def test_changed_audio_makes_a_new_cell_and_keeps_the_old_as_stale(data: Path) -> None:
    run_grid(["SAV"], ["logmel-stats"], settings(data))
    before = cells(data)
    soundfile.write(data / "savee" / "DC_a01.wav", np.full(16_000, 0.1), 16_000)
    summary = run_grid(["SAV"], ["logmel-stats"], settings(data))
    assert len(summary.computed) == 1
    assert any("computed anew" in warning for warning in summary.warnings)
    stale = pd.read_csv(data.parent / "out" / "stale.csv")
    pd.testing.assert_frame_equal(stale, before, check_dtype=False)
    assert len(cells(data)) == 5


def test_an_incomplete_corpus_says_so(data: Path) -> None:
    """The real SAVEE has 480 utterances; these 56 are not the task."""
    summary = run_grid(["SAV"], ["logmel-stats"], settings(data))
    assert any("incomplete (56 of 480" in warning for warning in summary.warnings)
    assert not cells(data)["complete"].any()
    assert not cells(data)["synthetic"].any()


def test_resampled_copies_are_told(data: Path) -> None:
    """SAVEE is released at 44.1 kHz; these files have 16 kHz."""
    summary = run_grid(["SAV"], ["logmel-stats"], settings(data))
    assert any(warning.startswith("SAV: 56 of 56 recordings at 16 kHz") for warning in summary.warnings)
    provenance = Results(data.parent / "out").read_provenance()["SAV/logmel-stats/described"]
    assert provenance["sample_rates_hz"] == {"16000": 56}


def test_an_undecodable_file_is_left_out_and_named(data: Path) -> None:
    (data / "savee" / "KL_a01.wav").write_text("no audio")
    summary = run_grid(["SAV"], ["logmel-stats"], settings(data))
    assert any("KL_a01.wav" in warning for warning in summary.warnings)
    provenance = Results(data.parent / "out").read_provenance()["SAV/logmel-stats/described"]
    assert provenance["unusable_files"] == ["KL_a01"]


def test_one_missing_corpus_or_checkpoint_does_not_stop_the_others(data: Path) -> None:
    models = ["byol-s-512", "logmel-stats"]
    summary = run_grid(["RAV", "SAV"], models, settings(data, weights=data))
    assert summary.computed == [("SAV", "logmel-stats", "described")]
    assert any("default512_BYOLAs" in failure for failure in summary.failures)
    assert any(failure.startswith("RAV: ") for failure in summary.failures)


def test_one_speaker_is_one_line(data: Path) -> None:
    for file in (data / "savee").glob("[JK]*"):
        file.unlink()
    summary = run_grid(["SAV"], ["logmel-stats"], settings(data))
    assert not summary.computed
    (failure,) = summary.failures
    assert "1 speaker (DC)" in failure
    assert "\n" not in failure


def test_a_class_missing_from_train_is_one_line(data: Path) -> None:
    for speaker in ("JK", "KL"):
        for file in (data / "savee").glob(f"{speaker}_d*"):
            file.unlink()
    (failure,) = run_grid(["SAV"], ["logmel-stats"], settings(data)).failures
    assert "class disgust has no utterance in train" in failure


def test_unknown_names_stop_before_any_work(data: Path) -> None:
    with pytest.raises(UnknownNameError, match="logmel-stats"):
        run_grid(["SAV"], ["logmel"], settings(data))
    with pytest.raises(UnknownNameError, match="savee"):
        run_grid(["save"], ["logmel-stats"], settings(data))
    assert not (data.parent / "out").exists()


def test_an_unwritable_out_stops_before_any_work(data: Path) -> None:
    (data.parent / "out").write_text("a file in the way")
    with pytest.raises(SerabError, match="--out"):
        run_grid(["SAV"], ["logmel-stats"], settings(data))


def test_an_interrupted_cell_leaves_nothing_half_written(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = results.Results.write

    def interrupt(self, cell):
        if cell.key[1] == "egemaps":
            raise KeyboardInterrupt
        whole(self, cell)

    monkeypatch.setattr(results.Results, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_grid(["SAV"], ["logmel-stats", "egemaps"], settings(data))
    monkeypatch.undo()
    assert set(cells(data)["model"]) == {"logmel-stats"}
    summary = run_grid(["SAV"], ["logmel-stats", "egemaps"], settings(data))
    assert summary.present == [("SAV", "logmel-stats", "described")]
    assert summary.computed == [("SAV", "egemaps", "described")]
    assert Results(data.parent / "out").read_provenance()["SAV/egemaps/described"]["embeddings_from_cache"] == 56


def test_a_failed_write_is_an_error_and_keeps_the_rest(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_grid(["SAV"], ["logmel-stats"], settings(data))

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(SerabError, match="No space left"):
        run_grid(["SAV"], ["logmel-stats"], settings(data, protocols=("released",)))
    monkeypatch.undo()
    assert set(cells(data)["protocol"]) == {"described"}


def test_looking_for_finished_cells_loads_nothing_heavy() -> None:
    """A second run over finished cells takes a second; importing torch and scikit-learn alone takes longer."""
    code = "import sys, serab_lib.benchmark.grid; print(sorted({'torch', 'sklearn', 'joblib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Plan:
    """One cell of a small corpus with a checkpoint, and what a change of an input is made to."""

    def __init__(self, data: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data, self.checkpoint, self.monkeypatch = data, checkpoint, monkeypatch
        self.task, self.options = get_task("SAV"), {}

    def read_inputs(self) -> str:
        """The digest of all that the cell would be computed from."""
        jobs: list[grid.Job] = []
        options = settings(self.data, **self.options)
        run_grid([self.task], [f"path:{self.checkpoint}"], options, compute=lambda them, tell: jobs.extend(them) or ())
        ((inputs,),) = [part.inputs.values() for part in jobs[0].splits.values()]
        return inputs

    def replace_entry(self, **fields) -> None:
        entry = dataclasses.replace(get_entry(f"path:{self.checkpoint}"), **fields)
        self.monkeypatch.setattr(grid, "get_entry", lambda name: entry)

    def replace_utterances(self, **columns) -> None:
        def find(*arguments, **options):
            found = corpus.find_corpus(*arguments, **options)
            return dataclasses.replace(found, utterances=found.utterances.assign(**columns))

        self.monkeypatch.setattr(grid, "find_corpus", find)


def change_audio(plan: Plan) -> None:
    soundfile.write(plan.data / "savee" / "DC_a01.wav", np.full(16_000, 0.1), 16_000)


def change_a_label(plan: Plan) -> None:
    plan.replace_utterances(emotion=lambda table: table["emotion"].where(table["stem"] != "DC_a01", "fear"))


def change_a_group(plan: Plan) -> None:
    """KL's two takes of anger go to JK, who is in the same part."""
    plan.replace_utterances(speaker=lambda t: t["speaker"].where(~t["stem"].str.startswith("KL_a"), "JK"))


def change_weights(plan: Plan) -> None:
    torch.save(make_byol_state(seed=1), plan.checkpoint)


def change_statistics(plan: Plan) -> None:
    plan.task = dataclasses.replace(plan.task, log_mel_statistics=(-7.3621, 4.7178))


def change_version_of_the_extractor(plan: Plan) -> None:
    plan.replace_entry(version=2)


def change_window(plan: Plan) -> None:
    plan.replace_entry(options={**get_entry(f"path:{plan.checkpoint}").options, "window_samples": 1024})


def change_search(plan: Plan) -> None:
    plan.options["search"] = True


def change_class_order(plan: Plan) -> None:
    plan.task = dataclasses.replace(plan.task, emotions=dict(reversed(plan.task.emotions.items())))


def change_engine_version(plan: Plan) -> None:
    plan.monkeypatch.setattr(grid, "ENGINE_VERSION", grid.ENGINE_VERSION + 1)


def change_a_name_of_a_folder(plan: Plan) -> None:
    (plan.data / "savee" / "deep").mkdir()
    for file in (plan.data / "savee").glob("D*.wav"):
        file.rename(file.parent / "deep" / file.name)


def change_number_of_workers(plan: Plan) -> None:
    plan.options["n_jobs"] = 2


MATTER = (
    change_audio,
    change_a_label,
    change_a_group,
    change_weights,
    change_statistics,
    change_version_of_the_extractor,
    change_window,
    change_search,
    change_class_order,
    change_engine_version,
)


@pytest.mark.parametrize("change", [*MATTER, change_a_name_of_a_folder, change_number_of_workers])
def test_a_cell_is_computed_anew_where_what_it_is_made_of_has_changed(
    data: Path, byol_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, change
) -> None:
    plan = Plan(data, byol_checkpoint, monkeypatch)
    before = plan.read_inputs()
    change(plan)
    assert (plan.read_inputs() != before) is (change in MATTER)


def test_nothing_is_stale_where_statistics_are_measured_anew(data: Path, byol_checkpoint: Path) -> None:
    """Where the release has no constants, the recordings that they are measured on stand for them."""
    task = dataclasses.replace(get_task("SAV"), log_mel_statistics=None)
    for n_computed in (1, 0):
        summary = run_grid([task], [f"path:{byol_checkpoint}"], settings(data))
        assert len(summary.computed) == n_computed


def test_released_hears_byol_a_through_another_window(
    data: Path, byol_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NTT trained with 1,024 samples; the release's one configuration has 400, and its statistics hold for that."""
    windows = {
        name: (entry.under("released").options["window_samples"], entry.under("described").options["window_samples"])
        for name, entry in EXTRACTORS.items()
        if name.startswith("byol")
    }
    assert [name for name, pair in windows.items() if pair == (400, 1024)] == [
        "byol-a-512",
        "byol-a-1024",
        "byol-a-2048",
    ]
    assert {pair for name, pair in windows.items() if not name.startswith("byol-a")} == {(400, 400)}
    entry = dataclasses.replace(EXTRACTORS["byol-a-512"], name="guest", own_checkpoint=byol_checkpoint)
    monkeypatch.setattr(grid, "get_entry", lambda name: entry)
    protocols = ("released", "described")
    assert len(run_grid(["SAV"], ["guest"], settings(data, protocols=protocols)).computed) == 2
    origins = Results(data.parent / "out").read_provenance()
    released, described = (origins[f"SAV/guest/{protocol}"] for protocol in protocols)
    assert "window_samples 400" in released["extractor"] and "window_samples 1024" in described["extractor"]
    assert released["log_mel_statistics"]["source"] == "published"
    assert described["log_mel_statistics"]["source"].startswith("measured")
    assert len(list((data.parent / "cache" / "embeddings").iterdir())) == 2
    assert len(run_grid(["SAV"], ["guest"], settings(data, protocols=protocols)).present) == 2
