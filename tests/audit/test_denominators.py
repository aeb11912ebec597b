"""Test sizes from printed accuracies: whole numbers, both roundings of a tie, and what the paper's columns allow."""

from __future__ import annotations

from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest

from serab_lib.audit.denominators import (
    compare_readings,
    fit_values,
    list_fitting_sizes,
    list_readings,
    recover_sizes,
    scan_sizes,
    simulate_chance,
)
from serab_lib.audit.weighted import weigh_sizes
from serab_lib.evaluation.paper import find_counts, read_accuracies

TASKS = ["AES", "CAF", "CRE", "EMB", "EMV", "IEM", "RAV", "SAV", "SHE"]


@pytest.fixture(scope="module")
def comparison() -> pd.DataFrame:
    return compare_readings(read_accuracies(), n_draws=2_000, rng=0)


def print_both_ways(k: int, n: int) -> set[str]:
    exact = Decimal(100 * k) / Decimal(n)
    return {str(exact.quantize(Decimal("0.1"), rounding)) for rounding in (ROUND_HALF_UP, ROUND_HALF_DOWN)}


@pytest.mark.parametrize("n", [1, 8, 16, 40, 84, 372, 1600])
def test_counts_are_those_that_print_as_the_value(n: int) -> None:
    for tenths in range(0, 1001, 7 if n > 100 else 1):
        printed = f"{tenths / 10:.1f}"
        wanted = [k for k in range(n + 1) if printed in print_both_ways(k, n)]
        assert find_counts(float(printed), n) == wanted


def test_every_float_formatting_of_a_quotient_is_recovered() -> None:
    for n in (84, 120, 207, 372, 738, 1122):
        for k in range(n + 1):
            assert k in find_counts(float(f"{100 * k / n:.1f}"), n)
            assert k in find_counts(round(100 * k / n, 1), n)


def test_fit_values_agrees_with_find_counts() -> None:
    values, sizes = [33.3, 50.0, 86.8, 0.0, 100.0, 99.9], [3, 7, 372, 738, 1500]
    wanted = [[bool(find_counts(value, n)) for value in values] for n in sizes]
    assert fit_values(values, sizes).tolist() == wanted


def test_from_a_thousand_on_every_size_fits() -> None:
    scan = scan_sizes(np.arange(0, 100.1, 0.1).round(1), range(990, 1300)).set_index("n")
    assert scan.loc[1000:, "fits"].all()
    # A few below do too: 992 has a tie wherever it would fail.
    assert not scan.loc[[991, 993, 995, 997, 999], "fits"].any()


def test_a_planted_size_is_found_and_others_are_not() -> None:
    rng = np.random.default_rng(3)
    printed = [round(100 * k / 211, 1) for k in rng.integers(100, 200, size=13)]
    fitting = scan_sizes(printed, range(20, 420)).query("fits")["n"].tolist()
    assert fitting == [211]


def test_the_smallest_size_that_fits_is_the_released_one_in_seven_columns(comparison: pd.DataFrame) -> None:
    smallest = list_fitting_sizes(read_accuracies()).groupby("task")["n"].min()
    sizes = recover_sizes(comparison)
    assert [task for task in TASKS if smallest[task] == sizes[task]] == [t for t in TASKS if t not in ("CRE", "IEM")]


def test_verdicts_on_the_paper(comparison: pd.DataFrame) -> None:
    verdicts = comparison.set_index(["task", "reading"])["verdict"].to_dict()
    assert verdicts["SHE", "released"] == verdicts["CAF", "released"] == "confirmed"
    assert verdicts["SHE", "described"] == verdicts["CAF", "described"] == "ruled out"
    undecided = [key for key, verdict in verdicts.items() if verdict == "cannot be decided"]
    assert {task for task, _ in undecided} == {"IEM", "CRE"}
    assert all(verdicts[task, "released"] == "only size" for task in ("AES", "EMB", "EMV", "RAV", "SAV"))


def test_readings_of_cremad_have_1556_and_1558_test_utterances() -> None:
    readings = list_readings(tasks=["CRE"]).set_index("reading")["n_test"].to_dict()
    assert readings == {"released": 1556, "described": 1556, "all files": 1558}


def test_chance_is_small_where_sizes_are_and_one_where_they_are_not(comparison: pd.DataFrame) -> None:
    chances = comparison.drop_duplicates("task").set_index("task")["chance"]
    assert chances["SHE"] < 0.02
    assert chances["CAF"] < 0.02
    assert chances["CRE"] == chances["IEM"] == 1.0


def test_simulated_chance_is_seeded_and_agrees_with_the_share_of_values_that_fit() -> None:
    printed = read_accuracies()["SHE"].tolist()
    assert simulate_chance(printed, 372, n_draws=500, rng=1) == simulate_chance(printed, 372, n_draws=500, rng=1)
    # One value alone: about the share of the tenths near it that are some k/372.
    tenths = np.arange(80, 95, 0.1).round(1)
    share = fit_values(tenths, [372])[0].mean()
    assert simulate_chance([88.0], 372, n_draws=20_000, rng=0) == pytest.approx(share, abs=0.06)


def test_recovered_sizes(comparison: pd.DataFrame) -> None:
    assert recover_sizes(comparison).tolist() == [207, 216, 1556, 84, 196, 1122, 300, 120, 372]


def test_weighted_means_tell_iem4s_splits_apart(comparison: pd.DataFrame) -> None:
    found = weigh_sizes(read_accuracies(), recover_sizes(comparison), "IEM", [1122, 1157]).set_index("n")
    assert found["n_rows"].tolist() == [12, 12]
    assert found["n_exact"].to_dict() == {1122: 12, 1157: 3}
    assert found.loc[1122, "relative"] == 1.0
    assert found.loc[1157, "relative"] < 1e-6


def test_weighted_means_cannot_tell_cremads_lists_apart(comparison: pd.DataFrame) -> None:
    found = weigh_sizes(read_accuracies(), recover_sizes(comparison), "CRE", [1556, 1558])
    assert found["relative"].min() > 0.5
