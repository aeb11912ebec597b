import itertools

import calibrate
import heard_worse
import interval_coverage
import numpy as np
import pandas as pd
import pytest
import selection
from making import COMMITTED, make_cells
from scipy import stats

from serab_lib.audit.measurements import read_measurement
from serab_lib.audit.selection import SHIFT, SPREAD, read_simulation
from serab_lib.benchmark.results import Results
from serab_lib.corpora.task import get_task
from serab_lib.evaluation.significance import read_coverage


def test_only_students_interval_keeps_its_word_with_few_speakers() -> None:
    few, many = interval_coverage.simulate_coverage(3), interval_coverage.simulate_coverage(60, spread=0.01)
    assert few["t"] == pytest.approx(0.95, abs=0.02)
    assert max(few["Wilson"], few["bootstrap"]) < 0.8
    assert min(many.values()) > 0.92
    kept = read_coverage()
    assert tuple(kept.index) == interval_coverage.N_SPEAKERS
    pd.testing.assert_series_equal(kept.loc[3], pd.Series(few), check_names=False, atol=2e-3)


def test_assumptions_are_found_again_in_simulated_cells(tmp_path) -> None:
    """Cells with known differences, and predictions in which two classifiers always agree and the third does not."""
    rng, rows = np.random.default_rng(0), []
    (tmp_path / "predictions").mkdir()
    for model in range(150):
        true = 0.7 + 0.04 * rng.standard_normal(3)
        shifted = (true + 0.02 * rng.standard_normal(3) for _ in range(2))
        for name, validation, test in zip(("LDA", "LR", "SVC"), *shifted, strict=True):
            accuracies = {"validation_accuracy": validation, "test_accuracy": test}
            rows.append({"model": f"m{model}", "classifier": name} | accuracies)
        answers = pd.DataFrame({"stem": range(8), "speaker": 1, "group": 1, "emotion": "joy"})
        answers["LDA"] = answers["LR"] = ["joy"] * 4 + ["fear"] * 4
        answers["SVC"] = ["joy", "fear"] * 4
        answers.to_csv(tmp_path / "predictions" / f"RAV-m{model}-released.csv", index=False)
    make_cells(*rows).assign(n_validation=10**9, n_test=10**9).to_csv(tmp_path / "cells.csv", index=False)
    found = calibrate.calibrate(Results(tmp_path))
    assert found[["spread", "shift"]].tolist() == pytest.approx([4, 2], rel=0.1)
    assert found[["n_cells", "correlation"]].tolist() == pytest.approx([150, 100 / 3])


def test_what_is_committed_is_what_the_committed_cells_say() -> None:
    found = calibrate.calibrate(COMMITTED)
    assert found.to_dict() == pytest.approx(read_measurement(COMMITTED, "selection").iloc[0].to_dict(), abs=1e-4)


def test_a_gap_is_optimism_and_choice_and_the_packages_table_is_what_is_simulated() -> None:
    tasks = selection.simulate(SPREAD, SHIFT).set_index("task")
    rest = tasks["gap"] - tasks["optimism"] - tasks["better_choice"]
    assert rest.abs().max() < 0.25, "what validation chose is not optimistic"
    assert tasks.loc["SAV", "gap"] > tasks.loc["CRE", "gap"] > 0
    assert ((tasks["low"] <= tasks["gap"]) & (tasks["gap"] <= tasks["high"])).all()
    assert tasks["tau_test"].mean() > tasks["tau_validation"].mean() > 0.6
    kept = read_simulation().loc[SPREAD, SHIFT].set_index("task")
    pd.testing.assert_frame_equal(tasks[list(kept)].astype(float).round(4), kept.astype(float), atol=2e-4)


def test_endless_parts_without_shift_leave_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = selection.list_readings().assign(n_validation=10**9, n_test=10**9)
    monkeypatch.setattr(selection, "list_readings", lambda: sizes)
    tasks = selection.simulate(SPREAD, 0, n_draws=50)
    assert tasks[["gap", "optimism"]].abs().max(axis=None) < 0.05
    assert tasks[["tau_test", "tau_validation"]].min(axis=None) > 0.95


def test_optimism_grows_with_what_speakers_add() -> None:
    table = read_simulation()
    assert set(table.index) == {(spread, shift) for spread in selection.SPREADS for shift in selection.SHIFTS}
    for _, own in table.groupby(level=["spread", "shift"]).mean(numeric_only=True).groupby("spread"):
        assert own["optimism"].is_monotonic_increasing and own["tau_test"].is_monotonic_decreasing


def test_who_is_heard_worse_has_the_interval_of_scipys_tests_and_counts_what_occurs_at_every_level(tmp_path) -> None:
    """RAVDESS has no neutral (01) of strong intensity (02); the even speakers are women."""
    rows = itertools.product(("01", "02", "03", "04", "05", "06"), ("01", "03", "05"), ("01", "02"), "1234")
    table = pd.DataFrame(rows, columns=["speaker", "emotion", "intensity", "take"])
    table = table.query("emotion + intensity != '0102'")
    table["stem"] = [f"03-01-{row.emotion}-{row.intensity}-01-0{row.take}-{row.speaker}" for row in table.itertuples()]
    share = 0.4 + 0.3 * (table["intensity"] == "02") + 0.2 * (table["speaker"].astype(int) % 2)
    right = np.random.default_rng(0).random(len(table)) < share
    kept = table.assign(LDA=np.where(right, table["emotion"], "other"), right=100.0 * right)
    (tmp_path / "predictions").mkdir()
    kept.to_csv(tmp_path / "predictions" / "RAV-m-rotated.csv", index=False)
    make_cells({"model": "m", "protocol": "rotated", "classifier": "LDA"}).to_csv(tmp_path / "cells.csv", index=False)
    found = heard_worse.break_down(Results(tmp_path), get_task("RAV"), "rotated").set_index(["model", "fact", "level"])
    assert {fact for _, fact, _ in found.index} == {"sex", "intensity"}
    told = kept[kept["emotion"] != "01"].groupby(["speaker", "intensity"])["right"].mean().unstack()
    by_sex = kept.groupby("speaker")["right"].mean()
    women = by_sex.index.astype(int) % 2 == 0
    plain = {
        ("intensity", "02"): stats.ttest_rel(told["02"], told["01"]),
        ("sex", "female"): stats.ttest_ind(by_sex[women], by_sex[~women], equal_var=False),
    }
    for (fact, level), test in plain.items():
        for model in ("m", "mean"):
            row, interval = found.loc[(model, fact, level)], test.confidence_interval()
            assert (row["difference_low"], row["difference_high"]) == pytest.approx((interval.low, interval.high))
    row = found.loc[("m", "intensity", "02")]
    accuracy, difference = told["02"].mean(), (told["02"] - told["01"]).mean()
    assert row[["accuracy", "difference"]].tolist() == pytest.approx([accuracy, difference])
    recalls = kept[kept["intensity"] == "02"].groupby("emotion")["right"].mean()
    assert row["recall"] == pytest.approx(recalls.mean()) and row["n_speakers"] == 6
    assert heard_worse.break_down(Results(tmp_path), get_task("AES"), "rotated").empty
