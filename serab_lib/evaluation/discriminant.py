"""Linear and quadratic discriminant analysis when there are more features than utterances.

Both solve in the space of the samples what scikit-learn solves in the space of the features: the matrices that
are factored have as many rows as there are utterances (a thousand), not features (twelve thousand).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

RANK_TOLERANCE = 1e-4
"""Variance up to which a direction does not count for the rank of a class: scikit-learn's `tol`."""


class LinearDiscriminant(ClassifierMixin, BaseEstimator):
    """Linear discriminant analysis with Ledoit-Wolf shrinkage, by the Woodbury identity.

    Gives the coefficients of ``LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")`` (to about 1e-10 of
    the largest on standardised embeddings) in O(n^2 p) instead of O(p^3) time, n samples and p features.

    Attributes
    ----------
    classes_ : np.ndarray, shape (n_classes,)
        The labels, sorted.
    priors_ : np.ndarray, shape (n_classes,)
        Their shares of the training samples.
    means_ : np.ndarray, shape (n_classes, n_features)
        Their means.
    coef_ : np.ndarray, shape (n_classes, n_features), or (1, n_features) with two classes
        Weights of the discriminant functions.
    intercept_ : np.ndarray, shape (n_classes,), or (1,) with two classes
        Their constants.

    Notes
    -----
    The paper's section 3.3 names LDA; its code asks scikit-learn for ``solver="lsqr", shrinkage="auto"``. That
    estimate is, per class, Ledoit-Wolf on standardised columns, scaled back, and summed with the priors as
    weights: a diagonal matrix plus one of rank at most n. Ledoit and Wolf's own sums (J. Multivariate Analysis
    88, 2004) need the Gram matrix of the samples only. Where every class's shrinkage is zero, or scikit-learn's
    least-squares solver might drop directions as rounding noise, scikit-learn itself does the work.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["anger", "fear"], 10)
    >>> X = rng.normal(size=(20, 500)) + 0.5 * (y == "fear")[:, None]
    >>> LinearDiscriminant().fit(X, y).coef_.shape
    (1, 500)
    """

    def fit(self, X: np.ndarray, y: np.ndarray) -> LinearDiscriminant:
        """Estimate the discriminant functions.

        Parameters
        ----------
        X : np.ndarray, shape (n_samples, n_features)
            Embeddings.
        y : np.ndarray, shape (n_samples,)
            Labels.

        Returns
        -------
        LinearDiscriminant
            Itself, fitted.

        Raises
        ------
        ValueError
            Fewer than two classes, or as many classes as samples.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        n_samples = len(y)
        if not 2 <= len(self.classes_) < n_samples:
            raise ValueError(
                f"got {len(self.classes_)} class(es) in {n_samples} samples: needs at least 2, and more samples than"
                " classes"
            )
        self.priors_ = counts / n_samples
        self.means_ = np.empty((len(counts), X.shape[1]))
        diagonal, factor = np.zeros(X.shape[1]), np.empty(X.shape)
        stops = np.cumsum(counts)
        for code, (prior, start, stop) in enumerate(zip(self.priors_, stops - counts, stops, strict=True)):
            group = X[codes == code]
            self.means_[code] = group.mean(axis=0)
            ridge, root = _shrink_covariance(group)
            diagonal += prior * ridge
            np.multiply(root, np.sqrt(prior), out=factor[start:stop])
        if _is_well_conditioned(diagonal, factor):
            coefficients = _solve_diagonal_plus_low_rank(diagonal, factor, self.means_.T).T
        else:
            coefficients = _fit_in_full(X, codes, self.means_)
        constants = np.log(self.priors_) - 0.5 * np.sum(self.means_ * coefficients, axis=1)
        if len(self.classes_) == 2:
            coefficients = coefficients[1:] - coefficients[:1]
            constants = constants[1:] - constants[:1]
        self.coef_, self.intercept_ = coefficients, constants
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Value of each discriminant function.

        Parameters
        ----------
        X : np.ndarray, shape (n_samples, n_features)
            Embeddings.

        Returns
        -------
        np.ndarray, shape (n_samples, n_classes), or (n_samples,) with two classes
            Log posterior up to a constant; with two classes the difference, positive for the second.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        scores = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Label of the largest discriminant function.

        Parameters
        ----------
        X : np.ndarray, shape (n_samples, n_features)
            Embeddings.

        Returns
        -------
        np.ndarray, shape (n_samples,)
            Labels.
        """
        scores = self.decision_function(X)
        winners = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[winners]


def _shrink_covariance(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Describe one class's Ledoit-Wolf covariance as ``diag(ridge) + factor.T @ factor``.

    Parameters
    ----------
    group : np.ndarray, shape (n, p)
        The class's samples.

    Returns
    -------
    ridge : np.ndarray, shape (p,)
        What shrinkage puts on the diagonal.
    factor : np.ndarray, shape (n, p)
        Root of the rest.
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
    scatter = min(scatter, distance)
    # One feature leaves nothing to shrink towards; scikit-learn says so by a special case, too.
    shrinkage = 0.0 if scatter <= 0 or n_features == 1 else scatter / distance
    ridge = shrinkage * mean_variance * scaler.scale_**2
    z *= np.sqrt((1.0 - shrinkage) / n_samples) * scaler.scale_
    return ridge, z


def _is_well_conditioned(diagonal: np.ndarray, factor: np.ndarray) -> bool:
    """Whether a least-squares solver would certainly keep every direction of the matrix.

    LAPACK's drops those whose singular value is below the rounding error of the largest one; the diagonal bounds the
    smallest from below, diagonal and factor together bound the largest from above.
    """
    largest = diagonal.max() + np.vdot(factor, factor)
    return bool(diagonal.min() > np.finfo(float).eps * largest)


def _solve_diagonal_plus_low_rank(diagonal: np.ndarray, factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve ``(diag(diagonal) + factor.T @ factor) @ x = right``.

    Parameters
    ----------
    diagonal : np.ndarray, shape (p,)
        Positive.
    factor : np.ndarray, shape (n, p)
        Any; overwritten.
    right : np.ndarray, shape (p, k)
        Right-hand sides.

    Returns
    -------
    np.ndarray, shape (p, k)
        The solutions.
    """
    n_rows, n_columns = factor.shape
    if n_columns <= n_rows:
        covariance = factor.T @ factor
        covariance[np.diag_indices(n_columns)] += diagonal
        return linalg.solve(covariance, right, assume_a="pos", check_finite=False)
    root = np.sqrt(diagonal)
    scaled = np.divide(factor, root, out=factor)
    inner = scaled @ scaled.T
    inner[np.diag_indices(n_rows)] += 1.0
    y = right / root[:, None]
    y -= scaled.T @ linalg.solve(inner, scaled @ y, assume_a="pos", check_finite=False)
    return y / root[:, None]


def _fit_in_full(X: np.ndarray, codes: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Let scikit-learn form and solve the whole covariance; shape (n_classes, n_features)."""
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(X, codes)
    return linalg.lstsq(model.covariance_, means.T)[0].T


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


class QuadraticDiscriminant(ClassifierMixin, BaseEstimator):
    """Quadratic discriminant analysis that also takes classes with fewer samples than features.

    Parameters
    ----------
    reg_param : float
        Share of the identity in each class's covariance, 0 to 1.

    Attributes
    ----------
    classes_ : np.ndarray, shape (n_classes,)
        The labels, sorted.
    spreads_ : list of ClassSpread
        Mean, variances and principal directions of each.

    Notes
    -----
    Where scikit-learn 1.9's ``QuadraticDiscriminantAnalysis`` accepts the data, this is the same. Where it raises
    ``LinAlgError`` (a class without full rank, nearly every cell of the paper's grid), the versions of 2021 warned
    and went on with the directions that the class's samples span; so does this, with three choices that 2021 left to
    chance or to an exception:

    - 2021 kept the directions whose variance is zero but for rounding (a centred class always has one, a repeated
      recording adds another); at ``reg_param=0`` they were divided by about 1e-30 and decided everything. Here a
      direction counts only if its variance exceeds scikit-learn's own rank tolerance, 1e-4 (of the largest variance
      where that is below 1). With at least as many samples as features and ``reg_param > 0`` every direction stays:
      they then span the space and nothing depends on noise.
    - Variances are divided by n, as scikit-learn 1.9 does; 2021 divided by n - 1.
    - A class of one sample, or of equal ones, has no covariance and is never predicted; 2021 raised ``ValueError``.

    A class with fewer samples than features has no density in the whole space, so the classes are compared in
    subspaces of different sizes. That is how 2021's numbers came about, and why QDA does poorly there.
    """

    def __init__(self, *, reg_param: float = 0.0) -> None:
        self.reg_param = reg_param

    def fit(self, X: np.ndarray, y: np.ndarray) -> QuadraticDiscriminant:
        """Find each class's mean and principal directions.

        Parameters
        ----------
        X : np.ndarray, shape (n_samples, n_features)
            Embeddings.
        y : np.ndarray, shape (n_samples,)
            Labels.

        Returns
        -------
        QuadraticDiscriminant
            Itself, fitted.

        Raises
        ------
        ValueError
            Fewer than two classes.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"got {len(self.classes_)} class in {len(y)} samples: needs at least 2")
        self.spreads_ = list(iterate_spreads(X, y))
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Log posteriors up to a constant.

        Parameters
        ----------
        X : np.ndarray, shape (n_samples, n_features)
            Embeddings.

        Returns
        -------
        np.ndarray, shape (n_samples, n_classes), or (n_samples,) with two classes
            Log posteriors; with two classes the difference, positive for the second.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        scores = compute_log_posteriors(self.spreads_, X, [self.reg_param])[0]
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Most probable labels.

        Parameters
        ----------
        X : np.ndarray, shape (n_samples, n_features)
            Embeddings.

        Returns
        -------
        np.ndarray, shape (n_samples,)
            Labels.
        """
        scores = self.decision_function(X)
        winners = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[winners]
