from __future__ import annotations

import pandas as pd
import pytest

from serab_lib.benchmark.results import COLUMNS
from serab_lib.book.tables import (
    compare_with_paper,
    count_test_utterances,
    list_measured,
    mark_best,
    recompute_paper_grid,
)
from serab_lib.evaluation.paper import read_accuracies


def make_cells(**changes):
    row = dict(
        task="RAV", model="byol-s-512", protocol="released", classifier="SVC", validation_accuracy=0.7,
        test_accuracy=0.77, test_uar=0.76, selected=True, n_train=840, n_validation=300, n_test=300, best_params="{}",
        seconds=1.0, search=True, complete=True, synthetic=False,
    )  # fmt: skip
    return pd.DataFrame([row | changes], columns=COLUMNS)


def test_means_follow_from_the_printed_accuracies():
    grid = recompute_paper_grid()
    printed = read_accuracies()
    gaps = (grid[["UM", "WM", "GM"]] - printed[["UM", "WM", "GM"]]).abs()
    assert set(gaps.index[(gaps > 0.06).any(axis=1)]) == {"BYOL-A, 512"}
    assert grid["UM"].is_monotonic_increasing and grid.index[-1] == "BYOL-S, 2048"


def test_sizes_are_those_of_the_released_split():
    assert count_test_utterances("released").to_dict() == {
        "AES": 207, "CAF": 216, "CRE": 1556, "EMB": 84, "EMV": 196, "IEM": 1122, "RAV": 300, "SAV": 120, "SHE": 372,
    }  # fmt: skip


def test_every_cell_of_the_paper_stands_beside_ours_or_says_why_not():
    table = compare_with_paper(make_cells(), "released")
    assert len(table) == 13 * 9
    first = table.iloc[0]
    assert (first["task"], first["model"], first["state"]) == ("RAV", "BYOL-S, 512", "measured")
    assert first["difference"] == pytest.approx(77.0 - 77.3)
    assert first["ours, 95 %"] == "71.9–81.4"
    rest = table.iloc[1:]
    assert rest["ours"].isna().all()
    assert rest.loc[rest["task"] == "IEM", "state"].eq("not measured yet; the corpus must be asked for").all()


@pytest.mark.parametrize("changes", [{"synthetic": True}, {"protocol": "described"}, {"selected": False}])
def test_what_is_not_comparable_does_not_count(changes):
    assert compare_with_paper(make_cells(**changes), "released")["ours"].isna().all()


def test_incomplete_corpus_is_said():
    assert (
        compare_with_paper(make_cells(complete=False), "released")["state"].iloc[0]
        == "measured on an incomplete corpus"
    )


def test_best_of_each_column_is_bold_and_ties_share_it():
    grid = pd.DataFrame({"AES": [10.0, 10.04], "CAF": [float("nan"), 3.0]})
    assert mark_best(grid).to_numpy().tolist() == [["**10.0**", "–"], ["**10.0**", "**3.0**"]]


def test_measured_cells_are_listed_in_percent():
    row = list_measured(make_cells()).iloc[0]
    assert row["model"] == "BYOL-S, 512" and row["accuracy"] == 77.0 and row["n test"] == 300


@pytest.mark.parametrize(("n_originals", "said"), [(1440, "all"), (1439, "1,439 of 1,440"), (None, "–")])
def test_measured_cells_say_how_many_recordings_are_originals(n_originals, said):
    assert list_measured(make_cells(n_originals=n_originals))["as released"].tolist() == [said]
