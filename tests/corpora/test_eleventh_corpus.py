"""A corpus is added by one TOML file and its list: all commands work on it, and no code knows of it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from corpora.test_task import TOML
from making import call

import serab_lib
from serab_lib.corpora import corpus as lists
from serab_lib.corpora.task import TASKS, read_tasks

RECORD = TOML.replace("OWN", "ELE").replace('name = "own"', 'name = "eleventh"')
RUN = ("--models", "logmel-stats", "--no-search", "--jobs", 1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package's records with one file and one list more, which the registry reads; recordings beside."""
    package = tmp_path / "package" / "data"
    shutil.copytree(Path(serab_lib.__file__).parent / "data" / "tasks", package / "tasks")
    (package / "tasks" / "eleventh.toml").write_text(RECORD)
    rng, rows, recordings = np.random.default_rng(0), [], tmp_path / "data" / "eleventh"
    recordings.mkdir(parents=True)
    monkeypatch.setenv("SERAB_DATA", str(tmp_path / "data"))
    for speaker in "abcdefghi":
        for loudness, (code, emotion) in enumerate({"ang": "anger", "sad": "sadness"}.items(), start=1):
            for take in (1, 2):
                file = f"{speaker}-{code}-{take}.wav"
                rows.append((file, speaker, emotion, 0.25, 16_000))
                soundfile.write(recordings / file, 0.1 * loudness * rng.uniform(-1, 1, 4_000), 16_000)
    table = pd.DataFrame(rows, columns=["file", "speaker", "emotion", "duration_s", "sample_rate"])
    (package / "manifests").mkdir()
    table.to_csv(package / "manifests" / "eleventh.csv", index=False)
    monkeypatch.setitem(TASKS, "ELE", read_tasks(package / "tasks")["ELE"])
    monkeypatch.setattr(lists, "resources", SimpleNamespace(files=lambda package: tmp_path / "package"))
    lists.read_manifest.cache_clear()
    yield tmp_path
    lists.read_manifest.cache_clear()


def test_all_commands_work_on_an_eleventh_corpus(folder):
    codes = list(read_tasks(folder / "package" / "data" / "tasks"))
    assert codes[-3:] == ["SHE", "ELE", "SUB"], "the paper's come first"
    (row,) = [row for row in json.loads(call("tasks", "--json")) if row["code"] == "ELE"]
    assert (row["on_disk"], row["utterances"], row["classes"], row["licence"]) == ("complete", 36, 2, "CC0 1.0")
    (report,) = json.loads(call("check", "eleventh", "--json"))
    assert report["problems"] == [] and report["n_utterances"] == 36
    assert "1 cells computed" in call("run", "--tasks", "ELE", *RUN, "--out", folder / "out")
    cells = pd.read_csv(folder / "out" / "cells.csv").query("selected")
    assert (cells["test_accuracy"] > 0.9).all(), "it is told apart by loudness alone"
    (folder / "data" / "eleventh" / "i-sad-2.wav").unlink()
    assert "i-sad-2" in call("check", "eleventh", code=1), "it stands on the list"


def test_one_s_own_task_file_needs_neither_list_nor_registry(folder):
    (folder / "mine.toml").write_text(RECORD.replace("eleventh", "mine").replace("ELE", "MINE"))
    (folder / "data" / "eleventh").rename(folder / "data" / "mine")
    call("check", f"path:{folder}/mine.toml")
    assert "1 cells computed" in call("run", "--tasks", f"path:{folder}/mine.toml", *RUN, "--out", folder / "out")
