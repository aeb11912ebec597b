"""Votes counted anew for every order of the classes give what a fresh fit in that order gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serab_lib.evaluation.classifiers import fit_classifier
from serab_lib.evaluation.protocol import normalise_speakers

GRID = {"kernel": ("rbf", "linear"), "C": (10.0, 0.01), "class_weight": ("balanced", None)}


@pytest.fixture(autouse=True)
def in_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")


def make_cell(n_classes: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Embeddings of eight speakers and so many classes, hard enough for tied votes."""
    rng = np.random.default_rng(0)
    rows = [(f"s{speaker}", f"e{emotion}") for speaker in range(8) for emotion in range(n_classes) for _ in range(6)]
    table = pd.DataFrame(rows, columns=["speaker", "emotion"])
    parts = {f"s{number}": part for number, part in enumerate(["train"] * 4 + ["validation"] * 2 + ["test"] * 2)}
    table = table.assign(group=table["speaker"], part=table["speaker"].map(parts))
    centres = 0.5 * rng.standard_normal((n_classes, 12))
    return centres[table["emotion"].str[1:].astype(int)] + rng.standard_normal((len(table), 12)), table


@pytest.mark.parametrize("n_classes", [2, 7])
def test_each_order_gives_what_a_fresh_fit_gives(n_classes: int) -> None:
    from label_order import measure_orders

    embeddings, table = make_cell(n_classes)
    wanted = [f"e{number}" for number in reversed(range(n_classes))]
    orders = measure_orders(embeddings, table, wanted, n_orders=6, grid=GRID)
    assert len(orders) == 7 and orders["classes"].iloc[0].split() == wanted
    X = normalise_speakers(embeddings, table["group"], table["part"])
    own = {part: (table["part"] == part).to_numpy() for part in ("train", "validation", "test")}
    for row in orders.itertuples():
        y = table["emotion"].map(row.classes.split().index).to_numpy()
        arrays = [each[own[part]] for part in ("train", "validation") for each in (X, y)]
        fitted = fit_classifier("SVC", *arrays, X[own["test"]], grid=GRID)
        assert row.best_params == fitted.best_params
        assert row.test_accuracy == pytest.approx((fitted.predictions == y[own["test"]]).mean())
        assert row.validation_accuracy == pytest.approx(fitted.validation_accuracy)
    assert n_classes == 2 or (orders["test_accuracy"].nunique() > 1 and (orders["n_tied"] > 0).any())


def test_ties_go_to_the_class_that_comes_first() -> None:
    from label_order import decide

    votes = np.array([[2, 2, 0], [0, 1, 1], [3, 0, 0]])
    assert decide(votes, np.array([0, 1, 2])).tolist() == [0, 1, 0]
    assert decide(votes, np.array([2, 1, 0])).tolist() == [1, 2, 0]
