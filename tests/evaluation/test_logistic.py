from __future__ import annotations

import numpy as np
import pytest
from making import make_classes
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from sklearn.utils.class_weight import compute_sample_weight

from serab_lib.evaluation.solvers import minimise, predict_logistic

GRID = list(ParameterGrid({"C": np.logspace(5, -5, 11), "class_weight": ["balanced", None]}))


def fit_plainly(X: np.ndarray, y: np.ndarray, params: dict) -> LogisticRegression:
    return LogisticRegression(**params, max_iter=10_000, random_state=42).fit(X, y)


@pytest.mark.parametrize("params", GRID[::7])
def test_stops_where_scikit_learn_stops(params: dict) -> None:
    """In the rotated space the gradient's largest entry is another one, but the rule is about the original features."""
    X, y = make_classes((30, 15, 40, 8), 300)
    basis, triangle = np.linalg.qr(X.T)
    weights = compute_sample_weight(params["class_weight"], y)
    found = minimise(
        np.column_stack([triangle.T, np.ones(len(X))]),
        np.unique(y, return_inverse=True)[1],
        weights / weights.sum(),
        1 / (params["C"] * weights.sum()),
        basis,
    )
    expected = fit_plainly(X, y, params)
    scale = np.abs(expected.coef_).max()
    np.testing.assert_allclose(found[:, :-1] @ basis.T, expected.coef_, rtol=0, atol=1e-5 * scale)
    np.testing.assert_allclose(found[:, -1], expected.intercept_, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("counts", [(30, 15, 40, 8), (45, 20)])
@pytest.mark.parametrize("n_features", [20, 250])
def test_predicts_what_scikit_learn_predicts(counts: tuple[int, ...], n_features: int) -> None:
    X, y = make_classes(counts, n_features)
    X_new = np.random.default_rng(9).normal(size=(200, n_features))
    expected = [fit_plainly(X, y, params).predict(X_new) for params in GRID[::3]]
    np.testing.assert_array_equal(predict_logistic(X, y, X_new, GRID[::3]), expected)
    assert len({tuple(row) for row in expected}) > 1


def test_repeated_and_dependent_samples_are_no_obstacle() -> None:
    """Speaker normalisation makes the samples dependent, a repeated recording makes two of them equal."""
    X, y = make_classes((30, 15, 40, 8), 300)
    X[1] = X[0]
    X -= X.mean(axis=0)
    X_new = np.random.default_rng(9).normal(size=(200, 300))
    expected = [fit_plainly(X, y, params).predict(X_new) for params in GRID[8:14]]
    np.testing.assert_array_equal(predict_logistic(X, y, X_new, GRID[8:14]), expected)


def test_embeddings_of_zeros() -> None:
    """What speaker normalisation makes of an extractor that always says the same."""
    _, y = make_classes((20, 10, 15), 2)
    X = np.zeros((45, 100))
    (predictions,) = predict_logistic(X, y, X[:3], [{"C": 1.0, "class_weight": None}])
    assert predictions.tolist() == ["anger"] * 3
