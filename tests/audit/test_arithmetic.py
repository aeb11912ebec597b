"""Means, durations and parameters of the paper's tables, held against a second computation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serab_lib.audit.arithmetic import (
    check_counts,
    check_durations,
    check_means,
    check_parameters,
    explain_means,
    rank_by_mean,
)
from serab_lib.evaluation.paper import read_accuracies, read_datasets, read_models

SIZES = pd.Series(
    {"AES": 207, "CAF": 216, "CRE": 1556, "EMB": 84, "EMV": 196, "IEM": 1122, "RAV": 300, "SAV": 120, "SHE": 372}
)


def test_only_byol_a_512_disagrees() -> None:
    wrong = check_means(read_accuracies(), SIZES).query("not agrees")
    assert set(wrong["model"]) == {"BYOL-A, 512"}
    assert wrong["mean"].tolist() == ["UM", "WM", "GM"]


def test_all_other_means_print_as_they_are_recomputed() -> None:
    table = check_means(read_accuracies(), SIZES).query("model != 'BYOL-A, 512'")
    assert (table["difference"].abs() < 0.05 + 1e-9).all()


def test_means_agree_with_numpy() -> None:
    accuracies = read_accuracies()
    values, weights = accuracies[list(SIZES.index)].to_numpy(), SIZES.to_numpy()
    found = check_means(accuracies, SIZES).pivot(index="model", columns="mean", values="computed").loc[accuracies.index]
    np.testing.assert_allclose(found["UM"], values.mean(axis=1))
    np.testing.assert_allclose(found["WM"], values @ weights / weights.sum())
    np.testing.assert_allclose(found["GM"], values.prod(axis=1) ** (1 / 9))


@pytest.mark.parametrize(("shift", "agrees"), [(0.05, True), (0.09, True), (-0.09, True), (0.11, False)])
def test_the_tolerance_is_half_a_digit_of_the_row_and_half_of_the_mean(shift: float, agrees: bool) -> None:
    table = pd.DataFrame({"A": [50.0], "B": [60.0], "UM": [55.0 + shift], "WM": [55.0], "GM": [54.8]}, index=["m"])
    found = check_means(table, pd.Series({"A": 10, "B": 10})).set_index("mean")
    assert bool(found.loc["UM", "agrees"]) is agrees


def test_a_misprinted_cell_is_found_by_what_would_explain_it() -> None:
    table = pd.DataFrame({"A": [50.0], "B": [65.0], "UM": [55.0], "WM": [57.5], "GM": [54.8]}, index=["m"])
    found = explain_means(table, "m", pd.Series({"A": 10, "B": 30})).set_index(["task", "mean"])
    for mean in ("UM", "WM", "GM"):
        assert found.loc[("B", mean), "low"] <= 60.0 <= found.loc[("B", mean), "high"]
    assert found.loc[("A", "UM"), "needed"] == pytest.approx(45.0)
    assert found.loc[("A", "WM"), "needed"] == pytest.approx(35.0)


def test_byol_a_512_keeps_its_rank() -> None:
    row = rank_by_mean(read_accuracies(), SIZES).set_index("model").loc["BYOL-A, 512"]
    assert row["rank_printed"] == row["rank_computed"] == 9


def test_only_iem4s_durations_contradict_each_other() -> None:
    table = check_durations(read_datasets()).set_index("task")
    assert table.index[~table["agrees"]].tolist() == ["IEM"]
    assert table.loc["IEM", "implied_mean_s"] == pytest.approx(7.0 * 3600 / 5531)
    assert table["measured_agrees"].dropna().all()
    # Of ShEMO some durations are not known, of IEM4 none is.
    assert table["measured_agrees"].isna().sum() == 2
    assert table.loc["SHE", "n_listed"] - table.loc["SHE", "n_timed"] == 162


def test_counts_that_do_not_agree_are_cafes_and_cremads() -> None:
    table = check_counts(read_datasets()).set_index(["task", "quantity"])
    assert table.index[~table["agrees_described"]].tolist() == [("CAF", "utterances"), ("CRE", "utterances")]
    assert table.index[~table["agrees_released"]].tolist() == [("CAF", "classes"), ("CRE", "utterances")]


def test_byol_networks_have_the_printed_parameters() -> None:
    table = check_parameters(read_models())
    byol = table[table["model"].str.startswith("BYOL")]
    assert len(byol) == 9
    assert byol["agrees"].all()
    assert table["extractor"].notna().all()
