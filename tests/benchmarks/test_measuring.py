"""Tables of measurements: what is kept is read as it was, and only the same cells are replaced."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from serab_lib.audit.measurements import read_measurement
from serab_lib.benchmark.results import Results

ROOT = Path(__file__).resolve().parents[2]
AUDIT = ROOT / "results" / "audit"


@pytest.fixture(autouse=True)
def in_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def make_table(task: str, model: str, *accuracies: float) -> pd.DataFrame:
    params = [{"C": 10.0**n} for n in range(len(accuracies))]
    return pd.DataFrame({"test_accuracy": accuracies, "best_params": params}).assign(task=task, model=model)


def test_only_the_same_cells_are_replaced(tmp_path: Path) -> None:
    """A second run, of fewer models or of another task, loses nothing of the first."""
    from measuring import keep

    results = Results(tmp_path)
    assert read_measurement(results, "resampler").empty
    for table in (make_table("RAV", "a", 1 / 3), make_table("RAV", "b", 0.2, 0.3), make_table("EMB", "a", 0.4)):
        keep(results, "resampler", table)
    keep(results, "resampler", make_table("RAV", "a", 0.5, 0.6))
    kept = read_measurement(results, "resampler")
    assert kept["test_accuracy"].tolist() == [0.5, 0.6, 0.2, 0.3, 0.4]
    assert (kept["task"] + "/" + kept["model"]).tolist() == ["RAV/a", "RAV/a", "RAV/b", "RAV/b", "EMB/a"]
    assert kept["best_params"].tolist()[1] == {"C": 10.0}
