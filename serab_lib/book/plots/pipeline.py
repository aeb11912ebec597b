"""Figures of the way from a recording to a prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from serab_lib.book.plots import PALETTE, emotion_colours, hide_frame, new_figure


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


_HOP_S = 0.01


def plot_audio(waveform: torch.Tensor, log_mel: torch.Tensor, *, sample_rate: int = 16_000) -> Figure:
    """Draw a waveform above its log-mel spectrogram.

    Parameters
    ----------
    waveform : torch.Tensor [shape=(n_samples,)]
    log_mel : torch.Tensor [shape=(n_mels, n_frames)]
        Natural logarithm of power.
    sample_rate : int
        Hz.
    """
    figure, (upper, lower) = new_figure(2, 1, height=4.2, sharex=True, height_ratios=(1, 1.6))
    seconds = np.arange(len(waveform)) / sample_rate
    upper.plot(seconds, waveform.numpy(), color=PALETTE[0], linewidth=0.4, rasterized=True)
    upper.set_ylabel("amplitude")
    extent = (0, log_mel.shape[-1] * _HOP_S, 0, log_mel.shape[-2])
    image = lower.imshow(log_mel.numpy(), origin="lower", aspect="auto", extent=extent, cmap="magma")
    lower.set(xlabel="time (s)", ylabel="mel band")
    lower.grid(visible=False)
    figure.colorbar(image, ax=lower, label="log power")
    return figure


def plot_embedding_maps(maps: dict[str, np.ndarray], emotions: Sequence[str], speakers: Sequence[str]) -> Figure:
    """Draw maps of embeddings, coloured by emotion above and by speaker below.

    Parameters
    ----------
    maps : dict
        Title to an array of shape (n, 2).
    emotions, speakers : sequence of str [shape=(n,)]
    """
    figure, axes = new_figure(2, len(maps), height=6.2, squeeze=False)
    names = sorted(set(speakers))
    colours = {
        "emotion": emotion_colours(sorted(set(emotions))),
        "speaker": dict(zip(names, PALETTE * 9, strict=False)),
    }
    for column, (title, points) in enumerate(maps.items()):
        for row, (kind, labels) in enumerate((("emotion", emotions), ("speaker", speakers))):
            panel = axes[row, column]
            for label, colour in colours[kind].items():
                chosen = np.asarray(labels) == label
                panel.scatter(*points[chosen].T, s=14, color=colour, label=label, linewidths=0)
            hide_frame(panel)
            panel.set_title(f"{title}, by {kind}")
            if column == len(maps) - 1:
                panel.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    return figure


def plot_confusions(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw a confusion matrix: rows are true emotions, shades are shares of a row, figures are counts."""
    figure, axes = new_figure(height=4.6, width=5.6)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            axes.text(
                column, row, count, ha="center", va="center", color="white" if shares[row, column] > 0.5 else "0.2"
            )
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="share of the true class (%)")
    return figure


def plot_classifiers(scores: pd.DataFrame) -> Figure:
    """Draw validation against test accuracy of the five classifiers.

    Parameters
    ----------
    scores : pandas.DataFrame
        With `classifier`, `validation_accuracy`, `test_accuracy` (fractions) and `selected`.
    """
    figure, axes = new_figure(height=2.8)
    positions = np.arange(len(scores))
    for shift, column, colour in ((-0.19, "validation_accuracy", PALETTE[2]), (0.19, "test_accuracy", PALETTE[1])):
        bars = axes.bar(positions + shift, 100 * scores[column], 0.36, color=colour, label=column.split("_")[0])
        axes.bar_label(bars, fmt="%.0f", size=8)
    marks = [
        f"{name}\n(selected)" if chosen else name
        for name, chosen in zip(scores["classifier"], scores["selected"], strict=True)
    ]
    axes.set_xticks(positions, marks)
    axes.set(ylabel="accuracy (%)", ylim=(0, 109))
    axes.grid(axis="x", visible=False)
    axes.legend(loc="upper right", ncols=2)
    return figure
