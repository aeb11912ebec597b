"""The programs that measure for the audit: a mistake is one line, and a run leaves its table."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from making import write_savee

from serab_lib.audit.kept import read_kept
from serab_lib.results import Results

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SMALL = ["--tasks", "SAV", "--models", "logmel-stats"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(BENCHMARKS)

    def call(program: str, *options: str) -> None:
        where = ["--data", str(tmp_path / "data"), "--results", str(tmp_path / "results")]
        monkeypatch.setattr(sys, "argv", [program, *where, *options])
        runpy.run_path(str(BENCHMARKS / f"{program}.py"), run_name="__main__")

    return call


@pytest.mark.parametrize(
    ("program", "options", "remedy"),
    [
        ("speaker_leak", SMALL, "pass --data DIR"),
        ("label_order", [], "serab run --tasks RAV --models byol-s-512"),
    ],
)
def test_a_mistake_is_one_line(run, program: str, options: list[str], remedy: str) -> None:
    with pytest.raises(SystemExit) as caught:
        run(program, *options)
    assert str(caught.value.code).startswith("error: ") and "\n" not in caught.value.code
    assert remedy in caught.value.code


def test_an_unknown_model_is_one_line(run, tmp_path: Path) -> None:
    write_savee(tmp_path / "data")
    with pytest.raises(SystemExit, match="error: there is no extractor 'logmel'"):
        run("speaker_leak", "--tasks", "SAV", "--models", "logmel")


def test_speaker_leak_leaves_its_table(run, tmp_path: Path) -> None:
    write_savee(tmp_path / "data", n_takes=6)
    run("speaker_leak", *SMALL, "--n-repeats", "2")
    table = read_kept(Results(tmp_path / "results"), "speaker_leak")
    assert len(table) == 2 and set(table["task"]) == {"SAV"}
