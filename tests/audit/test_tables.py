"""The paper's tables against a second computation: test sizes in whole numbers, means, durations, parameters."""

from __future__ import annotations

from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest

from serab_lib.audit import tables
from serab_lib.evaluation.paper import find_counts, read_accuracies

SIZES = {"AES": 207, "CAF": 216, "CRE": 1556, "EMB": 84, "EMV": 196, "IEM": 1122, "RAV": 300, "SAV": 120, "SHE": 372}


def print_both_ways(k: int, n: int) -> set[str]:
    exact = Decimal(100 * k) / Decimal(n)
    return {str(exact.quantize(Decimal("0.1"), rounding)) for rounding in (ROUND_HALF_UP, ROUND_HALF_DOWN)}


@pytest.mark.parametrize("n", [1, 8, 16, 40, 84, 372, 1600])
def test_counts_are_those_that_print_as_the_value(n: int) -> None:
    for tenths in range(0, 1001, 7 if n > 100 else 1):
        printed = f"{tenths / 10:.1f}"
        wanted = [k for k in range(n + 1) if printed in print_both_ways(k, n)]
        assert find_counts(float(printed), n) == wanted
        assert tables.can_print([float(printed)], [n])[0, 0] == bool(wanted)


def test_a_planted_size_is_found_and_others_are_not() -> None:
    rng = np.random.default_rng(3)
    printed = [round(100 * k / 211, 1) for k in rng.integers(100, 200, size=13)]
    sizes = np.arange(20, 420)
    assert sizes[tables.can_print(printed, sizes).all(axis=1)].tolist() == [211]


def test_from_a_thousand_on_every_size_is_possible() -> None:
    everything = np.arange(0, 100.1, 0.1).round(1)
    assert tables.can_print(everything, range(1000, 1300)).all()
    # A few below are too: 992 has a tie wherever it would fail.
    assert not tables.can_print(everything, [991, 993, 995, 997, 999]).all(axis=1).any()


def test_the_smallest_possible_size_is_the_released_one_in_seven_columns() -> None:
    smallest = tables.list_possible_sizes().groupby("task")["n"].min()
    assert [task for task, n in SIZES.items() if smallest[task] == n] == [t for t in SIZES if t not in ("CRE", "IEM")]


def test_verdicts_on_the_paper() -> None:
    table = tables.compare_test_sizes().set_index(["task", "reading"])
    verdicts = table["verdict"].to_dict()
    assert verdicts["SHE", "released"] == verdicts["CAF", "released"] == "confirmed"
    assert verdicts["SHE", "described"] == verdicts["CAF", "described"] == "ruled out"
    undecided = {task for (task, _), verdict in verdicts.items() if verdict == "cannot be decided"}
    assert undecided == {"IEM", "CRE"}
    assert all(verdicts[task, "released"] == "only size" for task in ("AES", "EMB", "EMV", "RAV", "SAV"))
    assert table.loc["CRE", "n_test"].to_dict() == {"released": 1556, "described": 1556, "all files": 1558}
    assert sorted(table.loc[("SHE", "described"), "impossible"]) == [84.9, 86.8, 89.5, 90.6]
    assert tables.recover_test_sizes().to_dict() == SIZES


def test_weighted_means_tell_iem4s_splits_apart_and_not_cremads() -> None:
    found = tables.check_weighted_means("IEM", [1122, 1157]).set_index("n")
    assert found["n_rows"].tolist() == [12, 12]
    assert found["n_possible"].to_dict() == {1122: 12, 1157: 5}
    assert tables.check_weighted_means("CRE", [1556, 1558])["n_possible"].tolist() == [12, 12]
    assert tables.check_weighted_means("SHE", [738])["n_possible"].item() == 0  # not a size of its own column


def test_only_byol_a_512s_means_do_not_follow() -> None:
    accuracies = read_accuracies()
    table = tables.check_means(accuracies, pd.Series(SIZES))
    wrong = table[~table["agrees"]]
    assert set(wrong["model"]) == {"BYOL-A, 512"} and wrong["mean"].tolist() == ["UM", "WM", "GM"]
    assert (table.loc[table["agrees"], "difference"].abs() < 0.05 + 1e-9).all()
    values, weights = accuracies[list(SIZES)].to_numpy(), np.array(list(SIZES.values()))
    computed = table.pivot(index="model", columns="mean", values="computed").loc[accuracies.index]
    np.testing.assert_allclose(computed["UM"], values.mean(axis=1))
    np.testing.assert_allclose(computed["WM"], values @ weights / weights.sum())
    np.testing.assert_allclose(computed["GM"], values.prod(axis=1) ** (1 / 9))


@pytest.mark.parametrize(("shift", "agrees"), [(0.05, True), (0.09, True), (-0.09, True), (0.11, False)])
def test_the_tolerance_is_half_a_digit_of_the_row_and_half_of_the_mean(shift: float, agrees: bool) -> None:
    table = pd.DataFrame({"A": [50.0], "B": [60.0], "UM": [55.0 + shift], "WM": [55.0], "GM": [54.8]}, index=["m"])
    found = tables.check_means(table, pd.Series({"A": 10, "B": 10})).set_index("mean")
    assert found["agrees"].to_dict() == {"UM": agrees, "WM": True, "GM": True}


def test_only_iem4s_durations_contradict_each_other() -> None:
    table = tables.check_durations().set_index("task")
    assert table.index[~table["agrees"]].tolist() == ["IEM"]
    assert table.loc["IEM", "implied_mean_s"] == pytest.approx(7.0 * 3600 / 5531)
    # Of ShEMO some durations are not known, of IEM4 none is.
    assert table.index[table["n_timed"] < table["n_listed"]].tolist() == ["IEM", "SHE"]
    assert table.loc["SHE", "n_listed"] - table.loc["SHE", "n_timed"] == 162


def test_counts_that_do_not_agree_are_cafes_and_cremads() -> None:
    table = tables.check_counts().set_index(["task", "quantity"])
    described, released = (table.index[table["printed"] != table[name]].tolist() for name in ("described", "released"))
    assert described == [("CAF", "utterances"), ("CRE", "utterances")]
    assert released == [("CAF", "classes"), ("CRE", "utterances")]


def test_only_vggish_and_yamnet_have_other_parameters_than_printed() -> None:
    table = tables.check_parameters().set_index("extractor")
    assert table.index[table["agrees"].eq(False)].tolist() == ["vggish", "yamnet"]
    assert table["agrees"].eq(True).sum() == 9


def test_printed_accuracies_go_by_extractor() -> None:
    printed = tables.read_printed("RAV")
    assert len(printed) == 13 and printed["byol-s-512"] == read_accuracies().loc["BYOL-S, 512", "RAV"]
