"""Multinomial logistic regression over a grid when there are more features than utterances.

Same objective, start, optimiser and stopping rule as scikit-learn's ``LogisticRegression(solver="lbfgs")``. With large
C the classes are separable, the optimum lies at infinity, and what is reported is where the optimiser stops: so it is
the path of the optimiser that has to be the same. L-BFGS from zero never leaves the space that the samples span, and
its steps depend on inner products alone: rotated into that space, vectors are shorter and the path is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

TOLERANCE = 1e-4
"""Largest entry of the gradient at which the optimiser stops (scikit-learn's default)."""

MAX_ITERATIONS = 10_000


def predict_settings(
    X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Sequence[Mapping[str, Any]], *, seed: int = 42
) -> list[np.ndarray]:
    """Fit one model per setting (``C``, ``class_weight``) and predict labels, one array per setting.

    With no more features than samples there is nothing to rotate away, and two classes have one output in place of two:
    scikit-learn itself does the work. Otherwise coefficients agree with its own to about 1e-10 after 60 steps and to
    about 1e-3 after 150, as they do within scikit-learn between two orders of the samples.
    """
    classes, codes = np.unique(y_fit, return_inverse=True)
    if X_fit.shape[1] <= X_fit.shape[0] or len(classes) == 2:
        models = [LogisticRegression(**params, max_iter=MAX_ITERATIONS, random_state=seed) for params in settings]
        return [model.fit(X_fit, y_fit).predict(X_eval) for model in models]
    basis, triangle = np.linalg.qr(X_fit.T)
    samples, eval_samples = (np.column_stack([X, np.ones(len(X))]) for X in (triangle.T, X_eval @ basis))
    predictions = []
    for params in settings:
        weights = compute_sample_weight(params["class_weight"], y_fit)
        penalty = 1.0 / (params["C"] * weights.sum())
        coefficients = minimise(samples, codes, weights / weights.sum(), penalty, basis)
        predictions.append(classes[(eval_samples @ coefficients.T).argmax(axis=1)])
    return predictions


def minimise(
    samples: np.ndarray, codes: np.ndarray, weights: np.ndarray, penalty: float, basis: np.ndarray
) -> np.ndarray:
    """Minimise the weighted cross-entropy plus half the penalty times the squared coefficients, from zero.

    Samples [shape=(n, rank + 1)] are coordinates in the basis [shape=(n_features, rank)] and a one for the intercept,
    which is not penalised.
    """
    one_hot = np.eye(codes.max() + 1)[codes]
    shape = one_hot.shape[1], samples.shape[1]
    penalties = np.append(np.full(shape[1] - 1, penalty), 0.0)
    latest: dict[str, np.ndarray] = {}

    def evaluate(point: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = point.reshape(shape)
        log_shares = special.log_softmax(samples @ coefficients.T, axis=1)
        residuals = weights[:, None] * (np.exp(log_shares) - one_hot)
        gradient = residuals.T @ samples + penalties * coefficients
        latest.update(point=point.copy(), gradient=gradient)
        loss = -weights @ log_shares[np.arange(len(codes)), codes]
        return loss + 0.5 * np.sum(penalties * coefficients**2), gradient.ravel()

    def stop_at_tolerance(intermediate_result: optimize.OptimizeResult) -> None:
        if not np.array_equal(intermediate_result.x, latest["point"]):
            evaluate(intermediate_result.x)
        gradient = latest["gradient"]
        # The largest of m entries is at least the norm / sqrt(m): mostly that is enough to tell.
        is_near = np.linalg.norm(gradient) <= TOLERANCE * np.sqrt(shape[0] * (len(basis) + 1))
        if is_near and np.abs(gradient[:, -1]).max() <= TOLERANCE:
            if np.abs(gradient[:, :-1] @ basis.T).max() <= TOLERANCE:
                raise StopIteration

    result = optimize.minimize(
        evaluate,
        np.zeros(shape).ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=stop_at_tolerance,
        # scikit-learn's, but for gtol: the optimiser sees the rotated gradient, the rule is about the original one.
        options={"maxiter": MAX_ITERATIONS, "maxls": 50, "gtol": 0.0, "ftol": 64 * np.finfo(float).eps},
    )
    return result.x.reshape(shape)
