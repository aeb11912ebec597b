"""Support vector machines over a grid of kernels and C, with the work that the grid shares done once.

A kernel matrix depends on the samples alone, so there is one of each kind for the whole grid. And once C is so large
that no sample is held back by it, all larger ones give the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight

MAX_ITERATIONS = 10_000


def predict_settings(
    X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Sequence[Mapping[str, Any]], *, seed: int = 42
) -> list[np.ndarray]:
    """Fit one machine per setting (``kernel``, ``C``, ``class_weight``) and predict labels, one array per setting.

    libsvm keeps kernel values in single precision while it trains, so that kernels computed by matrix products, which
    differ from its own in the last bits of double precision, lead it along the same path: the dual coefficients come
    out equal to about 1e-16.
    """
    predictions: dict[int, np.ndarray] = {}
    for kernel in sorted({params["kernel"] for params in settings}):
        gamma = {"gamma": scale_gamma(X_fit)} if kernel == "rbf" else {}
        fit_kernel = pairwise_kernels(X_fit, metric=kernel, **gamma)
        eval_kernel = pairwise_kernels(X_eval, X_fit, metric=kernel, **gamma)
        own = {number: params for number, params in enumerate(settings) if params["kernel"] == kernel}
        predictions |= _predict_with_kernel(fit_kernel, y_fit, eval_kernel, own, seed=seed)
    return [predictions[number] for number in range(len(settings))]


def scale_gamma(X: np.ndarray) -> float:
    """Width of the radial kernel that scikit-learn calls "scale": one over the features' total variance."""
    variance = X.var()
    return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0


def _predict_with_kernel(
    fit_kernel: np.ndarray, y_fit: np.ndarray, eval_kernel: np.ndarray, settings: Mapping[int, Any], *, seed: int
) -> dict[int, np.ndarray]:
    """Predict with each setting, fitting only those whose C makes a difference.

    C enters libsvm only where it caps a coefficient. Two fits with different caps that end in the same bits were not
    capped at any step, and neither is any with caps above those: it would take the same steps.
    """
    predictions: dict[int, np.ndarray] = {}
    uncapped_from, uncapped = np.inf, np.empty(0)
    latest: dict[Any, tuple[SVC, float]] = {}
    for number, params in sorted(settings.items(), key=lambda item: item[1]["C"]):
        C, class_weight = params["C"], params["class_weight"]
        caps = C * compute_class_weight(class_weight, classes=np.unique(y_fit), y=y_fit)
        if caps.min() >= uncapped_from:
            predictions[number] = uncapped
            continue
        machine = SVC(C=C, kernel="precomputed", class_weight=class_weight, max_iter=MAX_ITERATIONS, random_state=seed)
        predictions[number] = machine.fit(fit_kernel, y_fit).predict(eval_kernel)
        previous, previous_cap = latest.get(class_weight, (None, np.inf))
        if previous_cap < caps.max() and _are_equal(machine, previous):
            uncapped_from, uncapped = min(uncapped_from, previous_cap), predictions[number]
        latest[class_weight] = machine, caps.max()
    return predictions


def _are_equal(one: SVC, other: SVC) -> bool:
    """Whether two machines have the same coefficients, bit for bit."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("support_", "dual_coef_", "intercept_")
    )
