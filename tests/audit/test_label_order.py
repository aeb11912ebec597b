"""Votes counted anew for every order of the classes give what a fresh fit in that order gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serab_lib.audit.label_order import count_ties, decide, measure_label_order
from serab_lib.audit.leak import Voices
from serab_lib.evaluation.classifiers import fit_classifier
from serab_lib.evaluation.protocol import Problem

GRID = {"kernel": ("rbf", "linear"), "C": (10.0, 0.01), "class_weight": ("balanced", None)}


def make_cell(n_classes: int = 5) -> tuple[np.ndarray, pd.DataFrame]:
    rows = [(f"s{speaker}", f"e{emotion}") for speaker in range(8) for emotion in range(n_classes) for _ in range(6)]
    table = pd.DataFrame(rows, columns=["speaker", "emotion"])
    parts = {f"s{number}": part for number, part in enumerate(["train"] * 4 + ["validation"] * 2 + ["test"] * 2)}
    table = table.assign(group=table["speaker"], part=table["speaker"].map(parts))
    return Voices(n_dimensions=12, emotion=0.5).embed(table, rng=0), table


@pytest.mark.parametrize("n_classes", [2, 5])
def test_each_order_gives_what_a_fresh_fit_gives(n_classes: int) -> None:
    embeddings, table = make_cell(n_classes)
    orders = measure_label_order(embeddings, table, n_orders=4, grid=GRID)
    truth = table.loc[table["part"] == "test", "emotion"].to_numpy()
    for row in orders.itertuples():
        fitted = fit_classifier("SVC", *Problem(embeddings, table, row.classes).parts(), grid=GRID)
        right = (np.array(row.classes)[fitted.predictions] == truth).mean()
        assert row.test_accuracy == pytest.approx(right, abs=1 / len(truth))
        assert row.validation_accuracy == pytest.approx(fitted.validation_accuracy, abs=0.02)


def test_the_order_matters_and_the_seed_decides() -> None:
    embeddings, table = make_cell(7)
    orders = measure_label_order(embeddings, table, n_orders=60, grid=GRID, rng=1)
    assert len(orders) == 61
    assert orders["classes"].iloc[0] == tuple(sorted(set(table["emotion"])))
    assert orders["test_accuracy"].nunique() > 1
    assert (orders["n_tied"] > 0).any()
    pd.testing.assert_frame_equal(orders, measure_label_order(embeddings, table, n_orders=60, grid=GRID, rng=1))


def test_the_given_order_comes_first_and_the_random_ones_after_it() -> None:
    embeddings, table = make_cell(3)
    wanted = ("e2", "e0", "e1")
    orders = measure_label_order(embeddings, table, classes=(*wanted, "of no utterance"), n_orders=5, grid=GRID)
    assert orders["classes"].iloc[0] == wanted
    assert len(orders) == 6 and orders["classes"].nunique() > 1
    fitted = fit_classifier("SVC", *Problem(embeddings, table, wanted).parts(), grid=GRID)
    truth = table.loc[table["part"] == "test", "emotion"].to_numpy()
    right = (np.array(wanted)[fitted.predictions] == truth).mean()
    assert orders["test_accuracy"].iloc[0] == pytest.approx(right, abs=1 / len(truth))


def test_the_release_reports_another_classifier_where_that_is_better() -> None:
    embeddings, table = make_cell()
    orders = measure_label_order(embeddings, table, n_orders=2, grid=GRID, other_accuracy=0.99)
    assert (orders["released"] == 0.99).all()


def test_ties_go_to_the_class_that_comes_first() -> None:
    votes = np.array([[2, 2, 0], [0, 1, 1], [3, 0, 0]])
    assert decide(votes, np.array([0, 1, 2])).tolist() == [0, 1, 0]
    assert decide(votes, np.array([2, 1, 0])).tolist() == [1, 2, 0]
    assert count_ties(votes) == 2
