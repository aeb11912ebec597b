"""Linear and quadratic discriminant analysis when there are more features than utterances.

Linear: the matrices that are factored have as many rows as there are utterances (a thousand), not features (twelve
thousand).

Quadratic: where scikit-learn's `QuadraticDiscriminantAnalysis` accepts the data, this is the same. Where it raises
`LinAlgError` (a class without full rank, nearly every cell of the paper's grid), the versions of 2021 warned and went
on with the directions that the class's samples span, comparing classes in subspaces of different sizes: hence QDA's
poor numbers. So does this, but where 2021 kept directions whose variance is zero up to rounding and let them decide
everything, a direction counts only if its variance exceeds scikit-learn's own rank tolerance; variances are divided by
n, as scikit-learn 1.9 does; and a class of one sample, or of equal ones, is never predicted, where 2021 raised.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler

RANK_TOLERANCE = 1e-4
"""Variance up to which a direction does not count for the rank of a class: scikit-learn's `tol`."""


def fit_linear(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit linear discriminant analysis with Ledoit-Wolf shrinkage, by the Woodbury identity.

    Parameters
    ----------
    X : np.ndarray [shape=(n_samples, n_features)]
    y : np.ndarray [shape=(n_samples,)]

    Returns
    -------
    coefficients, constants : np.ndarray [shape=(n_classes, n_features)], np.ndarray [shape=(n_classes,)]
        Of the discriminant functions, in the order of the sorted labels.

    Notes
    -----
    That of ``LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")``, which the paper's code asks for, to about
    1e-10 of the largest coefficient, in O(n^2 p) instead of O(p^3) time for n samples of p features. The estimate is,
    per class, Ledoit-Wolf on standardised columns, scaled back, and summed with the priors as weights: a diagonal
    matrix plus one of rank at most n. Where no class is shrunk, or least squares might drop directions as rounding
    noise, scikit-learn itself does the work.
    """
    labels, counts = np.unique(y, return_counts=True)
    priors = counts / len(y)
    groups = [X[y == label] for label in labels]
    means = np.stack([group.mean(axis=0) for group in groups])
    ridges, roots = zip(*(_shrink_covariance(group) for group in groups), strict=True)
    diagonal = priors @ np.stack(ridges)
    factor = np.concatenate(roots)
    factor *= np.sqrt(np.repeat(priors, counts))[:, None]
    # LAPACK drops directions whose singular value is below the rounding error of the largest one.
    if diagonal.min() > np.finfo(float).eps * (diagonal.max() + np.vdot(factor, factor)):
        coefficients = _solve_diagonal_plus_low_rank(diagonal, factor, means.T).T
    else:
        covariance = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(X, y).covariance_
        coefficients = linalg.lstsq(covariance, means.T)[0].T
    return coefficients, np.log(priors) - 0.5 * np.sum(means * coefficients, axis=1)


def _shrink_covariance(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One class's Ledoit-Wolf covariance, as the ridge and the factor in ``diag(ridge) + factor.T @ factor``.

    Their own sums (J. Multivariate Analysis 88, 2004) need the Gram matrix of the samples only.
    """
    n_samples, n_features = group.shape
    # StandardScaler, and not a plain division, for its rule of which columns are constant.
    scaler = StandardScaler()
    z = scaler.fit_transform(group)
    squared_norms = np.einsum("ij,ij->i", z, z)
    mean_variance = squared_norms.sum() / (n_samples * n_features)
    gram = z @ z.T if n_samples <= n_features else z.T @ z
    squared_covariance = np.sum(gram**2) / n_samples**2
    scatter = (np.sum(squared_norms**2) / n_samples - squared_covariance) / (n_features * n_samples)
    distance = squared_covariance / n_features - mean_variance**2
    # One feature leaves nothing to shrink towards; scikit-learn says so by a special case, too.
    shrinkage = 0.0 if min(scatter, distance) <= 0 or n_features == 1 else min(scatter / distance, 1.0)
    z *= np.sqrt((1.0 - shrinkage) / n_samples) * scaler.scale_
    return shrinkage * mean_variance * scaler.scale_**2, z


def _solve_diagonal_plus_low_rank(diagonal: np.ndarray, factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve ``(diag(diagonal) + factor.T @ factor) @ x = right`` for a right side of shape (n_features, k)."""
    n_rows, n_columns = factor.shape
    if n_columns <= n_rows:
        return linalg.solve(np.diag(diagonal) + factor.T @ factor, right, assume_a="pos", check_finite=False)
    root = np.sqrt(diagonal)
    scaled, y = factor / root, right / root[:, None]
    inner = np.eye(n_rows) + scaled @ scaled.T
    y -= scaled.T @ linalg.solve(inner, scaled @ y, assume_a="pos", check_finite=False)
    return y / root[:, None]


def score_quadratic(
    X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, reg_params: Sequence[float]
) -> np.ndarray:
    """Log posteriors [shape=(n_reg_params, n_eval, n_classes)] for several shares of the identity in a covariance."""
    scores = []
    for label in np.unique(y_fit):
        group = X_fit[y_fit == label]
        mean, spans_space = group.mean(axis=0), len(group) >= group.shape[1]
        own_variances, directions = _find_directions(group - mean)
        own_squares = ((X_eval - mean) @ directions) ** 2
        for reg_param in reg_params:
            variances, squares = (1.0 - reg_param) * own_variances + reg_param, own_squares
            if spans_space and reg_param == 0.0:
                real = _are_real(variances)
                variances, squares = variances[real], squares[:, real]
            distances = squares @ (1.0 / variances) + np.log(variances).sum()
            lowest = np.full(len(X_eval), np.finfo(float).min)
            scores.append(-0.5 * distances + np.log(len(group) / len(y_fit)) if variances.size else lowest)
    return np.stack(scores).reshape(-1, len(reg_params), len(X_eval)).transpose(1, 2, 0)


def _find_directions(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal variances of one class, and directions as columns; only real ones where they do not span the space."""
    n_samples, n_features = centred.shape
    if n_samples >= n_features:
        _, singular_values, rows = np.linalg.svd(centred, full_matrices=False)
        return singular_values**2 / n_samples, rows.T
    eigenvalues, vectors = np.linalg.eigh(centred @ centred.T)
    real = _are_real(eigenvalues / n_samples)
    eigenvalues, vectors = eigenvalues[real], vectors[:, real]
    return eigenvalues / n_samples, centred.T @ (vectors / np.sqrt(eigenvalues))


def _are_real(variances: np.ndarray) -> np.ndarray:
    """Which variances count for the rank, as scikit-learn counts it (relative where all are below 1)."""
    largest = max(variances.max(initial=0.0), 0.0)
    rounding = np.finfo(float).eps * len(variances) * largest
    return variances > max(RANK_TOLERANCE * min(1.0, largest), rounding)
