"""Tables of measurements: what is kept is read as it was, and only the same cells are replaced."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from serab_lib.audit.kept import read_kept, write_kept
from serab_lib.benchmark.results import Results

AUDIT = Path(__file__).resolve().parents[2] / "results" / "audit"


def make_table(task: str, model: str, *accuracies: float) -> pd.DataFrame:
    params = [{"C": 10.0**n} for n in range(len(accuracies))]
    return pd.DataFrame({"test_accuracy": accuracies, "best_params": params}).assign(task=task, model=model)


def test_what_was_measured_is_read_again(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert read_kept(results, "resampler").empty
    table = make_table("RAV", "a", 1 / 3, 0.5)
    write_kept(results, "resampler", table)
    pd.testing.assert_frame_equal(read_kept(results, "resampler"), table.round(6))


def test_only_the_same_cells_are_replaced(tmp_path: Path) -> None:
    """A second run, of fewer models or of another task, loses nothing of the first."""
    results = Results(tmp_path)
    for table in (make_table("RAV", "a", 0.1), make_table("RAV", "b", 0.2, 0.3), make_table("EMB", "a", 0.4)):
        write_kept(results, "resampler", table)
    write_kept(results, "resampler", make_table("RAV", "a", 0.5, 0.6))
    kept = read_kept(results, "resampler")
    assert kept["test_accuracy"].tolist() == [0.5, 0.6, 0.2, 0.3, 0.4]
    assert (kept["task"] + "/" + kept["model"]).tolist() == ["RAV/a", "RAV/a", "RAV/b", "RAV/b", "EMB/a"]


@pytest.mark.parametrize("name", [file.stem for file in AUDIT.glob("*.csv")])
def test_writing_a_committed_cell_again_changes_nothing(name: str, tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    copy = Path(shutil.copy(AUDIT / f"{name}.csv", tmp_path / "audit"))
    results = Results(tmp_path)
    table = read_kept(results, name)
    write_kept(results, name, table[table["model"] == table["model"].iloc[0]])
    assert copy.read_bytes() == (AUDIT / f"{name}.csv").read_bytes()
