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

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import linalg, optimize, special
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

Settings = Sequence[Mapping[str, Any]]
Predictions = list[np.ndarray]
"""Labels, one array for each of some settings."""

# The released code's, for forests and for the order in which SVMs and logistic regression look at samples.
SEED = 42
MAX_ITERATIONS = 10_000

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


def predict_linear(X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Settings) -> Predictions:
    """Predict labels by linear discriminant analysis, which has one setting."""
    coefficients, constants = fit_linear(X_fit, y_fit)
    return [np.unique(y_fit)[(X_eval @ coefficients.T + constants).argmax(axis=1)]]


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
    """Log posteriors [shape=(n_reg_params, n_eval, n_classes)] for several shares of the identity in a covariance.

    Variances are sums of squares over n, as in scikit-learn from 1.8 on; before, it divided by n - 1.
    """
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


def predict_quadratic(X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Settings) -> Predictions:
    """Predict labels with each share (``reg_param``); all share the directions of each class."""
    scores = score_quadratic(X_fit, y_fit, X_eval, [params["reg_param"] for params in settings])
    return list(np.unique(y_fit)[scores.argmax(axis=2)])


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


TOLERANCE = 1e-4
"""Largest entry of the gradient at which the optimiser stops (scikit-learn's default)."""


def predict_logistic(X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Settings) -> Predictions:
    """Fit one model per setting (``C``, ``class_weight``) and predict labels, one array per setting.

    With no more features than samples there is nothing to rotate away, and two classes have one output in place of two:
    scikit-learn itself does the work. Otherwise coefficients agree with its own to about 1e-10 after 60 steps and to
    about 1e-3 after 150, as they do within scikit-learn between two orders of the samples.
    """
    classes, codes = np.unique(y_fit, return_inverse=True)
    if X_fit.shape[1] <= X_fit.shape[0] or len(classes) == 2:
        models = [LogisticRegression(**params, max_iter=MAX_ITERATIONS, random_state=SEED) for params in settings]
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


def predict_svm(X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Settings) -> Predictions:
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
        predictions |= _predict_with_kernel(fit_kernel, y_fit, eval_kernel, own)
    return [predictions[number] for number in range(len(settings))]


def scale_gamma(X: np.ndarray) -> float:
    """Width of the radial kernel that scikit-learn calls "scale": one over the features' total variance."""
    variance = X.var()
    return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0


def _predict_with_kernel(
    fit_kernel: np.ndarray, y_fit: np.ndarray, eval_kernel: np.ndarray, settings: Mapping[int, Any]
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
        machine = SVC(C=C, kernel="precomputed", class_weight=class_weight, max_iter=MAX_ITERATIONS, random_state=SEED)
        predictions[number] = machine.fit(fit_kernel, y_fit).predict(eval_kernel)
        previous, previous_cap = latest.get(class_weight, (None, np.inf))
        if previous_cap < caps.max() and all(
            np.array_equal(getattr(machine, name), getattr(previous, name))
            for name in ("support_", "dual_coef_", "intercept_")
        ):
            uncapped_from, uncapped = min(uncapped_from, previous_cap), predictions[number]
        latest[class_weight] = machine, caps.max()
    return predictions
