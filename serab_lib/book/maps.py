"""Embeddings in two dimensions, to be looked at."""

from __future__ import annotations

import numpy as np


def draw_map(embeddings: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Lay embeddings out in two dimensions, so that near ones stay near.

    Parameters
    ----------
    embeddings : np.ndarray [shape=(n, d)]
    seed : int

    Returns
    -------
    np.ndarray [shape=(n, 2)]
        By t-SNE on up to 50 principal components of the standardised embeddings. Distances between far points
        mean little.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n_components = min(50, *embeddings.shape)
    reduced = make_pipeline(StandardScaler(), PCA(n_components, random_state=seed)).fit_transform(embeddings)
    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
