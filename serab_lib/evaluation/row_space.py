"""Features rotated into the space that their rows span: smaller, where there are fewer utterances than features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg


@dataclass(frozen=True)
class RowSpace:
    """The samples in an orthonormal basis of the space that they span.

    Attributes
    ----------
    samples : np.ndarray, shape (n_samples, rank)
        Coordinates of the samples.
    original : np.ndarray, shape (n_samples, n_features)
        The samples as they came.
    spanning : np.ndarray of int, shape (rank,)
        Samples that span the space; their coordinates form a lower triangle.
    """

    samples: np.ndarray
    original: np.ndarray
    spanning: np.ndarray

    def project(self, X: np.ndarray) -> np.ndarray:
        """Coordinates of other samples; shape (n, rank)."""
        products = (X @ self.original.T)[:, self.spanning]
        return linalg.solve_triangular(self._triangle, products.T, lower=True, check_finite=False).T

    def restore(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors (k, rank) of this space in the original features; shape (k, n_features)."""
        combinations = np.zeros((len(vectors), len(self.original)))
        combinations[:, self.spanning] = linalg.solve_triangular(
            self._triangle, vectors.T, lower=True, trans="T", check_finite=False
        ).T
        return combinations @ self.original

    @property
    def _triangle(self) -> np.ndarray:
        return self.samples[self.spanning]


def rotate_into_row_space(X: np.ndarray) -> RowSpace:
    """Rotate samples into the space that they span.

    L-BFGS from zero never leaves that space, and its steps depend on inner products alone: rotating changes nothing
    but the size of the vectors. The inner products are the Gram matrix, its pivoted Cholesky factor has the
    coordinates; the pivots stop at the rank, which speaker normalisation and repeated recordings keep below n.

    Parameters
    ----------
    X : np.ndarray, shape (n_samples, n_features)
        Embeddings.

    Returns
    -------
    RowSpace
        The samples in it.
    """
    factor, pivots, rank, _ = linalg.lapack.dpstrf(X @ X.T, lower=1, overwrite_a=1)
    pivots = pivots - 1
    samples = np.empty((len(X), rank))
    samples[pivots] = np.tril(factor)[:, :rank]
    return RowSpace(samples, X, pivots[:rank])
