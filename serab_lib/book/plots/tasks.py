"""Figures of the tasks: which test speakers are seen, and how embeddings lie."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from serab_lib.book.plots import PROTOCOL_COLOURS, name_rows, new_figure, put_legend_above


def plot_shared_speakers(speakers: pd.DataFrame) -> Figure:
    """Draw the share of each test part that seen speakers speak, and the number of its speakers."""
    tasks = list(speakers["task"].drop_duplicates())
    figure, axes = new_figure(height=0.45 * len(tasks) + 1.2)
    for shift, (protocol, colour) in zip((-0.2, 0.2), PROTOCOL_COLOURS.items(), strict=True):
        own = speakers[speakers["protocol"] == protocol].set_index("task").loc[tasks]
        y = np.arange(len(tasks)) + shift
        axes.barh(y, 100, height=0.34, color="0.93", zorder=1)
        axes.barh(y, 100 * own["shared"], height=0.34, color=colour, label=protocol, zorder=2)
        for position, n in zip(y, own["n_speakers"], strict=True):
            axes.text(102, position, f"{n}", va="center", fontsize=9, color="0.25")
    axes.text(101, -0.62, "test\nspeakers", va="bottom", fontsize=9, color="0.25", linespacing=1.0)
    name_rows(axes, tasks)
    axes.set(xlim=(0, 112), xticks=range(0, 101, 25), xlabel="test utterances by seen speakers (%)")
    put_legend_above(figure)
    return figure


def project_2d(embeddings: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Lay embeddings of shape (n, d) out in two dimensions, so that near ones stay near: t-SNE on 50 components."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n_components = min(50, *embeddings.shape)
    reduced = make_pipeline(StandardScaler(), PCA(n_components, random_state=seed)).fit_transform(embeddings)
    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
