"""Figures of the way from a recording to a prediction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from serab_lib.audio import SAMPLE_RATE_HZ
from serab_lib.book.plots import PALETTE, PART_COLOURS, emotion_colours, new_figure


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


def plot_audio(waveform: torch.Tensor, log_mel: torch.Tensor) -> Figure:
    """Draw a waveform at 16 kHz above its log-mel spectrogram of shape (n_mels, n_frames)."""
    figure, (upper, lower) = new_figure(2, 1, height=4.2, sharex=True, height_ratios=(1, 1.6))
    seconds = np.arange(len(waveform)) / SAMPLE_RATE_HZ
    upper.plot(seconds, waveform.numpy(), color=PALETTE[0], linewidth=0.4, rasterized=True)
    upper.set_ylabel("amplitude")
    extent = (0, log_mel.shape[-1] * 0.01, 0, log_mel.shape[-2])  # a frame every 10 ms
    image = lower.imshow(log_mel.numpy(), origin="lower", aspect="auto", extent=extent, cmap="magma")
    lower.set(xlabel="time (s)", ylabel="mel band")
    lower.grid(visible=False)
    figure.colorbar(image, ax=lower, label="log power")
    return figure


def plot_projections(points: Mapping[str, np.ndarray], parts: pd.DataFrame) -> Figure:
    """Draw embeddings in two dimensions, by emotion above and by speaker below; one column a title."""
    figure, axes = new_figure(2, len(points), height=6.2, squeeze=False)
    for row, (kind, labels) in enumerate((kind, parts[kind].to_numpy()) for kind in ("emotion", "speaker")):
        names = sorted(set(labels))
        colours = emotion_colours(names) if kind == "emotion" else dict(zip(names, PALETTE * 9, strict=False))
        for panel, (title, xy) in zip(axes[row], points.items(), strict=True):
            for label, colour in colours.items():
                panel.scatter(*xy[labels == label].T, s=14, color=colour, label=label, linewidths=0)
            panel.set_title(f"{title}, by {kind}", fontsize=10)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
        panel.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)
    return figure


def plot_classifiers(scores: pd.DataFrame) -> Figure:
    """Draw validation beside test accuracy of the five classifiers, as `serab_lib.evaluate` scores them."""
    figure, axes = new_figure(height=2.8)
    positions = np.arange(len(scores))
    for shift, part in ((-0.19, "validation"), (0.19, "test")):
        bars = axes.bar(positions + shift, 100 * scores[f"{part}_accuracy"], 0.36, color=PART_COLOURS[part], label=part)
        axes.bar_label(bars, fmt="%.0f", size=8)
    axes.set_xticks(positions, scores["classifier"] + np.where(scores["selected"], "\n(selected)", ""))
    axes.set(ylabel="accuracy (%)", ylim=(0, 109))
    axes.grid(axis="x", visible=False)
    axes.legend(loc="upper right", ncols=2, frameon=False)
    return figure
