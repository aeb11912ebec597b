import importlib
from types import ModuleType

import pandas as pd
import pytest

from serab_lib.audit.selection import SHIFT, SPREAD, read_simulation


@pytest.fixture
def selection() -> ModuleType:
    return importlib.import_module("selection")


def test_a_gap_is_optimism_and_choice_and_the_packages_table_is_what_is_simulated(selection: ModuleType) -> None:
    tasks = selection.simulate(SPREAD, SHIFT).set_index("task")
    rest = tasks["gap"] - tasks["optimism"] - tasks["better_choice"]
    assert rest.abs().max() < 0.25, "what validation chose is not optimistic"
    assert tasks.loc["SAV", "gap"] > tasks.loc["CRE", "gap"] > 0
    assert ((tasks["low"] <= tasks["gap"]) & (tasks["gap"] <= tasks["high"])).all()
    assert tasks["tau_test"].mean() > tasks["tau_validation"].mean() > 0.6
    kept = read_simulation().loc[SPREAD, SHIFT].set_index("task")
    pd.testing.assert_frame_equal(tasks[list(kept)].astype(float).round(4), kept.astype(float), atol=2e-4)


def test_endless_parts_without_shift_leave_no_gap(selection: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = selection.list_readings().assign(n_validation=10**9, n_test=10**9)
    monkeypatch.setattr(selection, "list_readings", lambda: sizes)
    tasks = selection.simulate(SPREAD, 0, n_draws=50)
    assert tasks[["gap", "optimism"]].abs().max(axis=None) < 0.05
    assert tasks[["tau_test", "tau_validation"]].min(axis=None) > 0.95


def test_optimism_grows_with_what_speakers_add(selection: ModuleType) -> None:
    table = read_simulation()
    assert set(table.index) == {(spread, shift) for spread in selection.SPREADS for shift in selection.SHIFTS}
    for _, own in table.groupby(level=["spread", "shift"]).mean(numeric_only=True).groupby("spread"):
        assert own["optimism"].is_monotonic_increasing and own["tau_test"].is_monotonic_decreasing
