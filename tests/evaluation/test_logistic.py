from __future__ import annotations

import threading

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid

from serab_lib.evaluation import logistic
from serab_lib.evaluation.logistic import fit_candidates, predict_candidates, rotate_into_row_space

GRID = list(ParameterGrid({"C": np.logspace(5, -5, 11), "class_weight": ["balanced", None]}))


def make_classes(counts: tuple[int, ...], n_features: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes of the given sizes, in mixed order."""
    generator = np.random.default_rng(seed)
    names = np.array(["anger", "calm", "fear", "sadness"])[: len(counts)]
    y = generator.permutation(np.repeat(names, counts))
    X = generator.normal(size=(len(y), n_features))
    for name in names:
        X[y == name] += generator.normal(scale=3 / np.sqrt(n_features), size=n_features)
    return X, y


def fit_plainly(X: np.ndarray, y: np.ndarray, candidate: dict) -> LogisticRegression:
    return LogisticRegression(**candidate, max_iter=10_000, random_state=42).fit(X, y)


@pytest.mark.parametrize(
    ("counts", "n_features"), [((30, 15, 40, 8), 300), ((45, 20), 200), ((40, 30, 30), 110), ((30, 30), 61)]
)
def test_stops_where_scikit_learn_stops(counts: tuple[int, ...], n_features: int) -> None:
    """Same coefficients, and after the same number of steps, all over the grid."""
    X, y = make_classes(counts, n_features)
    fits, space, classes = fit_candidates(X, y, GRID)
    assert space.samples.shape == (len(X), len(X))
    np.testing.assert_array_equal(classes, np.unique(y))
    n_steps = []
    for candidate, fit in zip(GRID, fits, strict=True):
        expected = fit_plainly(X, y, candidate)
        scale = np.abs(expected.coef_).max()
        np.testing.assert_allclose(space.restore(fit.coefficients), expected.coef_, rtol=0, atol=1e-5 * scale)
        np.testing.assert_allclose(fit.intercept, expected.intercept_, rtol=0, atol=1e-5 * scale)
        assert abs(fit.n_iterations - expected.n_iter_[0]) <= 1
        n_steps.append(fit.n_iterations)
    assert max(n_steps) > min(n_steps) + 5


def test_stopping_rule_is_about_the_original_features() -> None:
    """Rotated, the gradient's largest entry is another one: the step where it falls below 1e-4 is not the same."""
    X, y = make_classes((30, 15, 40, 8), 300)
    candidate = {"C": 1.0, "class_weight": None}
    (fit,), space, _ = fit_candidates(X, y, [candidate])
    rotated = fit_plainly(space.samples, y, candidate)
    assert rotated.n_iter_[0] != fit.n_iterations
    assert fit_plainly(X, y, candidate).n_iter_[0] == fit.n_iterations


@pytest.mark.parametrize("counts", [(30, 15, 40, 8), (45, 20), (2, 50)])
@pytest.mark.parametrize("n_features", [20, 250])
def test_predicts_what_scikit_learn_predicts(counts: tuple[int, ...], n_features: int) -> None:
    X, y = make_classes(counts, n_features)
    X_new = np.random.default_rng(9).normal(size=(200, n_features))
    predictions = predict_candidates(X, y, X_new, GRID)
    expected = [fit_plainly(X, y, candidate).predict(X_new) for candidate in GRID]
    np.testing.assert_array_equal(predictions, expected)
    assert len({tuple(row) for row in expected}) > 1


def test_repeated_and_dependent_samples_are_no_obstacle() -> None:
    """Speaker normalisation makes the samples dependent, a repeated recording makes two of them equal."""
    X, y = make_classes((30, 15, 40, 8), 300)
    X[1] = X[0]
    X -= X.mean(axis=0)
    space = rotate_into_row_space(X)
    assert space.samples.shape[1] == len(X) - 2
    np.testing.assert_allclose(space.restore(space.samples), X, atol=1e-10)
    np.testing.assert_allclose(space.project(X), space.samples, atol=1e-10)
    X_new = np.random.default_rng(9).normal(size=(200, 300))
    expected = [fit_plainly(X, y, candidate).predict(X_new) for candidate in GRID]
    np.testing.assert_array_equal(predict_candidates(X, y, X_new, GRID), expected)


def test_a_gradient_that_is_small_at_once_is_left_alone() -> None:
    X, y = make_classes((20, 20, 20), 100)
    X *= 1e-6
    (fit,), _, _ = fit_candidates(X, y, [{"C": 1.0, "class_weight": None}])
    expected = fit_plainly(X, y, {"C": 1.0, "class_weight": None})
    assert fit.n_iterations == expected.n_iter_[0] == 0
    assert not fit.coefficients.any()


def test_embeddings_of_zeros() -> None:
    """What speaker normalisation makes of an extractor that always says the same."""
    _, y = make_classes((20, 10, 15), 2)
    X = np.zeros((45, 100))
    expected = [fit_plainly(X, y, candidate).predict(X[:3]) for candidate in GRID]
    np.testing.assert_array_equal(predict_candidates(X, y, X[:3], GRID), expected)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_interruption_ends_all_threads(monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    X, y = make_classes((20, 20, 20), 100)
    before = threading.active_count()
    n_rounds = []
    evaluate = logistic._Problem.evaluate

    def fail_in_the_third_round(problem: logistic._Problem, points: dict) -> dict:
        n_rounds.append(len(points))
        if len(n_rounds) == 3:
            raise error("stop")
        return evaluate(problem, points)

    monkeypatch.setattr(logistic._Problem, "evaluate", fail_in_the_third_round)
    with pytest.raises(error, match="stop"):
        fit_candidates(X, y, GRID)
    assert n_rounds == [len(GRID)] * 3
    assert threading.active_count() == before


def test_an_error_in_an_optimiser_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = make_classes((20, 20, 20), 100)
    monkeypatch.setattr(logistic.optimize, "minimize", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit_candidates(X, y, GRID)
