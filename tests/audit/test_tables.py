import tomllib
from collections.abc import Iterable
from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest
from making import ROOT

from serab_lib.audit import tables
from serab_lib.evaluation.paper import find_counts, read_accuracies

PAPER = ROOT / "serab_lib" / "data" / "paper"
PRINTED = pd.read_csv(PAPER / "table3_accuracy.csv", index_col="model")
SIZES = {"AES": 207, "CAF": 216, "CRE": 1556, "EMB": 84, "EMV": 196, "IEM": 1122, "RAV": 300, "SAV": 120, "SHE": 372}


@pytest.mark.parametrize("n", [1, 8, 16, 40, 84, 372, 1600])
def test_counts_are_those_that_print_as_the_value(n: int) -> None:
    exact = [Decimal(100 * k) / Decimal(n) for k in range(n + 1)]
    both = [{x.quantize(Decimal("0.1"), how) for how in (ROUND_HALF_UP, ROUND_HALF_DOWN)} for x in exact]
    for tenths in range(0, 1001, 7 if n > 100 else 1):
        assert find_counts(tenths / 10, n) == [k for k, printed in enumerate(both) if Decimal(tenths) / 10 in printed]


def test_a_planted_size_is_found_and_from_a_thousand_on_every_size_is_possible() -> None:
    printed = [round(100 * k / 211, 1) for k in np.random.default_rng(3).integers(100, 200, size=13)]
    everything = np.arange(0, 100.1, 0.1).round(1)

    def list_possible(values: Iterable[float], sizes: Iterable[int]) -> list[int]:
        return [n for n in sizes if all(find_counts(value, n) for value in values)]

    assert list_possible(printed, range(20, 420)) == [211]
    assert list_possible(everything, range(1000, 1300, 7)) == list(range(1000, 1300, 7))
    # A few below are too: 992 has a tie wherever it would fail.
    assert not list_possible(everything, [991, 993, 995, 997, 999])


def test_verdicts_on_the_paper() -> None:
    smallest = tables.list_possible_sizes().groupby("task")["n"].min()
    assert {task for task, n in SIZES.items() if smallest[task] != n} == {"CRE", "IEM"}
    table = tables.compare_test_sizes().set_index(["task", "reading"])
    tasks = table.groupby("verdict").groups
    assert set(tasks["confirmed"]) == {("SHE", "released"), ("CAF", "released")}
    assert set(tasks["ruled out"]) == {("SHE", "described"), ("CAF", "described")}
    assert {task for task, _ in tasks["cannot be decided"]} == {"IEM", "CRE"}
    assert {(task, "released") for task in ("AES", "EMB", "EMV", "RAV", "SAV")} <= set(tasks["only size"])
    assert table.loc["CRE", "n_test"].to_dict() == {"released": 1556, "described": 1556, "all files": 1558}
    assert sorted(table.loc[("SHE", "described"), "impossible"]) == [84.9, 86.8, 89.5, 90.6]
    assert tables.recover_test_sizes().to_dict() == SIZES
    for task, sizes in table["small_sizes"].groupby("task").first()[list(SIZES)].items():
        assert list(sizes) == [n for n in range(10, 500) if all(find_counts(value, n) for value in PRINTED[task])]


def test_weighted_means_tell_iem4s_splits_apart_and_not_cremads() -> None:
    found = tables.check_weighted_means("IEM", [1122, 1157]).set_index("n")
    assert found["n_rows"].tolist() == [12, 12]
    assert found["n_possible"].to_dict() == {1122: 12, 1157: 5}
    assert tables.check_weighted_means("CRE", [1556, 1558])["n_possible"].tolist() == [12, 12]
    assert tables.check_weighted_means("SHE", [738])["n_possible"].item() == 0  # not a size of its own column


def test_only_byol_a_512s_means_do_not_follow() -> None:
    accuracies = read_accuracies()
    table = tables.check_means(accuracies, pd.Series(SIZES))
    wrong = table.loc[~table["agrees"], ["model", "mean"]].to_numpy().tolist()
    assert wrong == [["BYOL-A, 512", mean] for mean in ("UM", "WM", "GM")]
    assert (table.loc[table["agrees"], "difference"].abs() < 0.05 + 1e-9).all()
    values, weights = accuracies[list(SIZES)].to_numpy(), np.array(list(SIZES.values()))
    computed = table.pivot(index="model", columns="mean", values="computed").loc[accuracies.index]
    wanted = [values.mean(axis=1), values @ weights / weights.sum(), values.prod(axis=1) ** (1 / 9)]
    np.testing.assert_allclose(computed[["UM", "WM", "GM"]].T, wanted)
    # No single accuracy explains that row.
    for task in SIZES:
        tried = accuracies.loc[["BYOL-A, 512"] * 1000].assign(**{task: np.arange(1, 1001) / 10})
        agrees = tables.check_means(tried, pd.Series(SIZES))["agrees"].to_numpy().reshape(-1, 3)
        assert not agrees.all(axis=1).any()


@pytest.mark.parametrize(("shift", "agrees"), [(0.05, True), (0.09, True), (-0.09, True), (0.11, False)])
def test_the_tolerance_is_half_a_digit_of_the_row_and_half_of_the_mean(shift: float, agrees: bool) -> None:
    table = pd.DataFrame({"A": [50.0], "B": [60.0], "UM": [55.0 + shift], "WM": [55.0], "GM": [54.8]}, index=["m"])
    found = tables.check_means(table, pd.Series({"A": 10, "B": 10})).set_index("mean")
    assert found["agrees"].to_dict() == {"UM": agrees, "WM": True, "GM": True}


def test_durations_of_iem4_counts_of_cafe_and_cremad_parameters_of_vggish_and_yamnet_do_not_agree() -> None:
    table = tables.check_durations().set_index("task")
    assert table.index[~table["agrees"]].tolist() == ["IEM"]
    assert table.loc["IEM", "implied_mean_s"] == pytest.approx(7.0 * 3600 / 5531)
    assert table.index[table["n_timed"] < table["n_listed"]].tolist() == ["IEM", "SHE"]
    assert table.loc["SHE", "n_listed"] - table.loc["SHE", "n_timed"] == 162
    table = tables.check_counts().set_index(["task", "quantity"])
    described, released = (table.index[table["printed"] != table[name]].tolist() for name in ("described", "released"))
    assert described == [("CAF", "utterances"), ("CRE", "utterances")]
    assert released == [("CAF", "classes"), ("CRE", "utterances")]
    table = tables.check_parameters().set_index("extractor")
    assert table.index[table["agrees"].eq(False)].tolist() == ["vggish", "yamnet"]
    assert table["agrees"].eq(True).sum() == 9
    printed = tables.read_printed("RAV")
    assert len(printed) == 13 and printed["byol-s-512"] == read_accuracies().loc["BYOL-S, 512", "RAV"]


def allows(row: pd.Series, sizes: dict[str, int]) -> bool:
    """Whether some whole numbers of right answers, or the accuracies as printed, give the printed weighted mean."""
    total = sum(sizes.values())
    counts = [find_counts(row[task], n) for task, n in sizes.items()]
    if not all(counts):
        return False
    reachable = np.arange(sum(map(min, counts)), sum(map(max, counts)) + 1)
    means = [*(100 * reachable / total), sum(row[task] * n for task, n in sizes.items()) / total]
    return bool((np.abs(np.array(means) - row["WM"]) <= 0.05 + 1e-9).any())


def test_seven_weighted_means_rule_out_1157_and_all_allow_31_sizes_of_iem4() -> None:
    usable = PRINTED[[allows(row, SIZES) for _, row in PRINTED.iterrows()]]
    assert set(PRINTED.index) - set(usable.index) == {"BYOL-A, 512"}
    against = {model for model, row in usable.iterrows() if not allows(row, SIZES | {"IEM": 1157})}
    assert against == set(tables.check_weighted_means("IEM", [1157])["impossible"].item()) and len(against) == 7
    # The other count of CREMA-D rules it out in one row more.
    assert {m for m, row in usable.iterrows() if not allows(row, SIZES | {"CRE": 1558, "IEM": 1157})} > against
    possible = [n for n in range(1000, 1300) if all(allows(row, SIZES | {"IEM": n}) for _, row in usable.iterrows())]
    assert (min(possible), max(possible), len(possible)) == (1104, 1139, 31) and 1122 in possible
    counts = pd.read_csv(PAPER.parent / "manifests" / "iem4_counts.csv")
    by_speaker = counts.groupby("speaker")[counts.columns[-1]].sum()
    pairs = [int(by_speaker.iloc[i] + by_speaker.iloc[j]) for i in range(10) for j in range(i)]
    values = tomllib.loads((PAPER.parent / "findings.toml").read_text())["shared-speakers-IEM"]["values"]
    assert (values["n_pairs"], values["n_fitting_pairs"]) == (len(pairs), sum(n in possible for n in pairs))
