"""Quadratic discriminant analysis when a class has fewer utterances than there are features.

Where scikit-learn's `QuadraticDiscriminantAnalysis` accepts the data, this is the same. Where it raises `LinAlgError`
(a class without full rank, nearly every cell of the paper's grid), the versions of 2021 warned and went on with the
directions that the class's samples span; so does this, with three choices that 2021 left to chance or to an exception:

- 2021 kept the directions whose variance is zero but for rounding (a centred class always has one, a repeated recording
  adds another); at `reg_param=0` they were divided by about 1e-30 and decided everything. Here a direction counts only
  if its variance exceeds scikit-learn's own rank tolerance, 1e-4 (of the largest variance where that is below 1). With
  at least as many samples as features and `reg_param > 0` every direction stays: they then span the space and nothing
  depends on noise.
- Variances are divided by n, as scikit-learn 1.9 does; 2021 divided by n - 1.
- A class of one sample, or of equal ones, has no covariance and is never predicted; 2021 raised `ValueError`.

A class with fewer samples than features has no density in the whole space, so the classes are compared in subspaces of
different sizes. That is how 2021's numbers came about, and why QDA does poorly there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

RANK_TOLERANCE = 1e-4
"""Variance up to which a direction does not count for the rank of a class: scikit-learn's `tol`."""


@dataclass(frozen=True)
class ClassSpread:
    """How the samples of one class spread about their mean.

    Attributes
    ----------
    mean : np.ndarray, shape (n_features,)
        Mean of the class.
    prior : float
        Its share of the samples.
    variances : np.ndarray, shape (n_directions,)
        Variances along the principal directions, not regularised.
    directions : np.ndarray, shape (n_features, n_directions)
        Orthonormal columns.
    is_complete : bool
        Whether the directions span the whole feature space.
    """

    mean: np.ndarray
    prior: float
    variances: np.ndarray
    directions: np.ndarray
    is_complete: bool


def iterate_spreads(X: np.ndarray, y: np.ndarray) -> Iterator[ClassSpread]:
    """Find the principal directions of each class; what QDA can share over its `reg_param`.

    Parameters
    ----------
    X : np.ndarray, shape (n_samples, n_features)
        Embeddings.
    y : np.ndarray, shape (n_samples,)
        Labels.

    Yields
    ------
    ClassSpread
        One a class, in the order of the sorted labels. One at a time: the directions of all classes together are as
        large as `X`.
    """
    for label in np.unique(y):
        group = X[y == label]
        mean = group.mean(axis=0)
        centred = group - mean
        n_samples, n_features = centred.shape
        if n_samples >= n_features:
            _, singular_values, rows = np.linalg.svd(centred, full_matrices=False)
            variances, directions = singular_values**2 / n_samples, rows.T
        else:
            variances, directions = _decompose_wide(centred)
        yield ClassSpread(mean, n_samples / len(y), variances, directions, n_samples >= n_features)


def _decompose_wide(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal variances and directions from the Gram matrix, without those that are rounding noise."""
    n_samples = len(centred)
    eigenvalues, vectors = np.linalg.eigh(centred @ centred.T)
    real = _is_real(eigenvalues / n_samples)
    eigenvalues, vectors = eigenvalues[real], vectors[:, real]
    return eigenvalues / n_samples, centred.T @ (vectors / np.sqrt(eigenvalues))


def _is_real(variances: np.ndarray) -> np.ndarray:
    """Which variances count for the rank, as scikit-learn counts it (relative where all are below 1)."""
    largest = max(variances.max(initial=0.0), 0.0)
    rounding = (np.finfo(float).eps * len(variances)) * largest
    return variances > max(RANK_TOLERANCE * min(1.0, largest), rounding)


def compute_log_posteriors(
    spreads: Sequence[ClassSpread] | Iterator[ClassSpread], X: np.ndarray, reg_params: Sequence[float]
) -> np.ndarray:
    """Evaluate QDA's log posteriors for several regularisations at the price of one.

    Parameters
    ----------
    spreads : sequence or iterator of ClassSpread
        The classes, as `iterate_spreads` gives them.
    X : np.ndarray, shape (n_samples, n_features)
        Embeddings to classify.
    reg_params : sequence of float
        Shares of the identity in each covariance, 0 to 1.

    Returns
    -------
    np.ndarray, shape (n_reg_params, n_samples, n_classes)
        Log posteriors up to a constant; the lowest number there is for a class without spread.
    """
    columns = []
    for spread in spreads:
        squares = ((X - spread.mean) @ spread.directions) ** 2
        columns.append([_score(spread, squares, reg_param) for reg_param in reg_params])
    return np.stack([np.stack(column) for column in columns], axis=-1)


def _score(spread: ClassSpread, squares: np.ndarray, reg_param: float) -> np.ndarray:
    """Log posterior of one class, from squared projections of shape (n_samples, n_directions)."""
    variances = (1.0 - reg_param) * spread.variances + reg_param
    if spread.is_complete and reg_param == 0.0:
        kept = _is_real(variances)
        variances, squares = variances[kept], squares[:, kept]
    if variances.size == 0:
        return np.full(len(squares), np.finfo(float).min)
    distances = squares @ (1.0 / variances)
    return -0.5 * (distances + np.log(variances).sum()) + np.log(spread.prior)
