from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from making import make_classes
from sklearn.model_selection import ParameterGrid
from sklearn.svm import SVC

from serab_lib.evaluation import solvers
from serab_lib.evaluation.solvers import predict_svm, scale_gamma

GRID = list(
    ParameterGrid({"kernel": ["rbf", "linear"], "C": np.logspace(5, -5, 11), "class_weight": ["balanced", None]})
)


def predict_plainly(X: np.ndarray, y: np.ndarray, X_new: np.ndarray) -> list[np.ndarray]:
    return [SVC(**params, max_iter=10_000, random_state=42).fit(X, y).predict(X_new) for params in GRID]


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> list[SVC]:
    """The machines that the library makes."""
    made = []

    def make(**arguments: Any) -> SVC:
        made.append(SVC(**arguments))
        return made[-1]

    monkeypatch.setattr(solvers, "SVC", make)
    return made


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("counts", [(30, 15, 40, 8), (45, 20), (30, 30, 30)])
@pytest.mark.parametrize(("n_features", "distance"), [(300, 3.0), (60, 1.0), (8, 2.0)])
def test_predicts_what_scikit_learn_predicts(counts: tuple[int, ...], n_features: int, distance: float) -> None:
    """From clearly apart with many features to mixed with few; with equal and unequal classes."""
    X, y = make_classes(counts, n_features, distance=distance)
    X_new = np.random.default_rng(9).normal(size=(200, n_features))
    expected = predict_plainly(X, y, X_new)
    np.testing.assert_array_equal(predict_svm(X, y, X_new, GRID), expected)
    assert len({tuple(row) for row in expected}) > 1


def test_a_larger_c_that_makes_no_difference_is_not_fitted(machines: list[SVC]) -> None:
    X, y = make_classes((30, 15, 40, 8), 300)
    predict_svm(X, y, X[:5], GRID)
    assert len(machines) < 0.7 * len(GRID)
    assert {machine.kernel for machine in machines} == {"precomputed"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_c_that_makes_a_difference_is_fitted(machines: list[SVC]) -> None:
    """Mixed classes keep coefficients at their caps, whatever C."""
    X, y = make_classes((30, 30, 30), 2, distance=0.1)
    linear = [params for params in GRID if params["kernel"] == "linear"]
    predict_svm(X, y, X[:5], linear)
    assert len({(machine.C, machine.class_weight) for machine in machines}) == len(linear)


def test_predictions_come_back_in_the_order_of_the_settings() -> None:
    X, y = make_classes((30, 15, 40, 8), 20, distance=1.5)
    X_new = np.random.default_rng(9).normal(size=(100, 20))
    order = np.random.default_rng(3).permutation(len(GRID))
    shuffled = predict_svm(X, y, X_new, [GRID[number] for number in order])
    np.testing.assert_array_equal(shuffled, np.array(predict_svm(X, y, X_new, GRID))[order])


@pytest.mark.parametrize("scale", [0.0, 30.0])
def test_gamma_is_that_of_scikit_learn(scale: float) -> None:
    X, y = make_classes((20, 20), 7)
    assert scale_gamma(scale * X) == SVC().fit(scale * X, y)._gamma
