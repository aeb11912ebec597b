"""Support vector machines over a grid of kernels and C, with the work that the grid shares done once.

A kernel matrix depends on the samples alone, so there is one of each kind for the whole grid. And once C is so large
that no sample is held back by it, all larger ones give the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight

MAX_ITERATIONS = 10_000

BLOCK_ROWS = 256
"""Rows of a kernel matrix that are transformed at a time, to need no second matrix."""


def predict_candidates(
    X_fit: np.ndarray,
    y_fit: np.ndarray,
    X_eval: np.ndarray,
    candidates: Sequence[Mapping[str, Any]],
    *,
    seed: int = 42,
) -> list[np.ndarray]:
    """Fit one machine per candidate and predict.

    Parameters
    ----------
    X_fit : np.ndarray, shape (n_fit, n_features)
        Embeddings to fit.
    y_fit : np.ndarray, shape (n_fit,)
        Their labels, of two classes or more.
    X_eval : np.ndarray, shape (n_eval, n_features)
        Embeddings to predict.
    candidates : sequence of mapping
        Each with ``kernel`` ("linear" or "rbf"), ``C`` and ``class_weight``.
    seed : int
        Handed to scikit-learn, which draws nothing without probabilities.

    Returns
    -------
    list of np.ndarray, shape (n_eval,)
        Labels, one array per candidate.

    Notes
    -----
    libsvm keeps kernel values in single precision while it trains, so that kernels computed by matrix products, which
    differ from its own in the last bits of double precision, lead it along the same path: the dual coefficients come
    out equal to about 1e-16. That does not hold for a machine that is stopped at the iteration limit, as it may be
    with few features and large C; scikit-learn then starts afresh from the embeddings.
    """
    fit_kernel, eval_kernel = X_fit @ X_fit.T, X_eval @ X_fit.T
    predictions: dict[int, np.ndarray] = {}
    for kernel in ("linear", "rbf"):
        numbers = [number for number, candidate in enumerate(candidates) if candidate["kernel"] == kernel]
        if numbers and kernel == "rbf":
            _make_radial(fit_kernel, eval_kernel, X_eval, gamma=scale_gamma(X_fit))
        own = [candidates[number] for number in numbers]
        for number, found in zip(
            numbers, _predict_with_kernel(fit_kernel, y_fit, eval_kernel, own, seed=seed), strict=True
        ):
            if found is None:
                machine = SVC(**candidates[number], max_iter=MAX_ITERATIONS, random_state=seed)
                found = machine.fit(X_fit, y_fit).predict(X_eval)
            predictions[number] = found
    return [predictions[number] for number in range(len(candidates))]


def scale_gamma(X: np.ndarray) -> float:
    """Width of the radial kernel that scikit-learn calls "scale": one over the features' total variance.

    Parameters
    ----------
    X : np.ndarray, shape (n_samples, n_features)
        Embeddings to fit.

    Returns
    -------
    float
        Gamma; 1 for constant embeddings.
    """
    variance = X.var()
    return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0


def _make_radial(fit_kernel: np.ndarray, eval_kernel: np.ndarray, X_eval: np.ndarray, *, gamma: float) -> None:
    """Turn inner products into the radial kernel, in place."""
    fit_norms = np.diag(fit_kernel).copy()
    eval_norms = np.einsum("ij,ij->i", X_eval, X_eval)
    for products, norms in ((fit_kernel, fit_norms), (eval_kernel, eval_norms)):
        for start in range(0, len(products), BLOCK_ROWS):
            block = products[start : start + BLOCK_ROWS]
            distances = norms[start : start + BLOCK_ROWS, None] + fit_norms
            distances -= 2.0 * block
            distances *= -gamma
            np.exp(distances, out=block)


def _predict_with_kernel(
    fit_kernel: np.ndarray,
    y_fit: np.ndarray,
    eval_kernel: np.ndarray,
    candidates: Sequence[Mapping[str, Any]],
    *,
    seed: int,
) -> list[np.ndarray | None]:
    """Predictions of each candidate, fitting only those whose C makes a difference; None where one cannot converge.

    C enters libsvm only where it caps a coefficient. Two fits with different caps that end in the same bits were not
    capped at any step, and neither is any with caps above those: it would take the same steps.
    """
    classes = np.unique(y_fit)
    predictions: dict[int, np.ndarray | None] = {}
    uncapped_from, uncapped = np.inf, np.empty(0)
    for chain in _group_by_class_weight(candidates):
        previous, previous_cap = None, np.inf
        for position, number in enumerate(chain):
            C, class_weight = candidates[number]["C"], candidates[number]["class_weight"]
            caps = C * compute_class_weight(class_weight, classes=classes, y=y_fit)
            if caps.min() >= uncapped_from:
                predictions[number] = uncapped
                continue
            machine = SVC(
                kernel="precomputed", C=C, class_weight=class_weight, max_iter=MAX_ITERATIONS, random_state=seed
            ).fit(fit_kernel, y_fit)
            if machine.fit_status_:
                # Those with larger C would not converge either.
                predictions.update(dict.fromkeys(chain[position:]))
                break
            predictions[number] = machine.predict(eval_kernel)
            if previous is not None and previous_cap < caps.max() and _are_equal(machine, previous):
                uncapped_from, uncapped = min(uncapped_from, previous_cap), predictions[number]
            previous, previous_cap = machine, caps.max()
    return [predictions[number] for number in range(len(candidates))]


def _group_by_class_weight(candidates: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Numbers of the candidates, by class weight, each group by rising C."""
    chains: dict[str, list[int]] = {}
    for number in sorted(range(len(candidates)), key=lambda number: candidates[number]["C"]):
        chains.setdefault(str(candidates[number]["class_weight"]), []).append(number)
    return list(chains.values())


def _are_equal(one: SVC, other: SVC) -> bool:
    """Whether two machines have the same coefficients, bit for bit."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("support_", "dual_coef_", "intercept_")
    )
