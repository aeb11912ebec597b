"""Figures of the tasks: classes, durations, parts and their speakers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from serab_lib.audio import SAMPLE_RATE_HZ
from serab_lib.book.plots import (
    PALETTE,
    PART_COLOURS,
    PROTOCOL_COLOURS,
    emotion_colours,
    name_rows,
    new_figure,
    put_legend_above,
)


def plot_class_balance(counts: pd.DataFrame) -> Figure:
    """Draw the share of each class in each task, from counts of emotions by tasks."""
    return _stack_shares(counts.T, emotion_colours(list(counts.index)), "share of the utterances (%)", n_columns=5)


def plot_parts(splits: pd.DataFrame, protocol: str) -> Figure:
    """Draw how a protocol cuts each task of `serab_lib.book.tables.describe_splits`, with numbers of speakers."""
    table = splits.xs(protocol, level="protocol")
    speakers = {part: table[f"{part} speakers"] for part in PART_COLOURS}
    label = "share of the utterances (%); numbers in the bars count speakers"
    return _stack_shares(table[list(PART_COLOURS)], PART_COLOURS, label, numbers=speakers)


def _stack_shares(
    counts: pd.DataFrame,
    colours: Mapping[str, object],
    label: str,
    *,
    numbers: Mapping[str, pd.Series] | None = None,
    n_columns: int = 3,
) -> Figure:
    """Draw one bar a row, cut into the shares of the columns, perhaps with numbers inside."""
    figure, axes = new_figure(height=0.34 * len(counts))
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    left = pd.Series(0.0, index=shares.index)
    for name, colour in colours.items():
        bars = axes.barh(range(len(shares)), shares[name], left=left, color=colour, label=name, edgecolor="white")
        if numbers:
            axes.bar_label(bars, numbers[name].map(str), label_type="center", color="white", size=9)
        left += shares[name]
    name_rows(axes, list(shares.index))
    axes.set(xlabel=label, xlim=(0, 100))
    put_legend_above(figure, n_columns=n_columns)
    return figure


def plot_durations(durations: Mapping[str, pd.Series]) -> Figure:
    """Draw the spread of utterance durations per task, in seconds: the middle half, and 5 to 95 %."""
    known = {name: values.dropna() for name, values in durations.items() if values.notna().any()}
    figure, axes = new_figure(height=3.2)
    for row, values in enumerate(known.values()):
        low, first, median, third, high = values.quantile([0.05, 0.25, 0.5, 0.75, 0.95])
        axes.plot([low, high], [row, row], color="0.6", linewidth=1.5, zorder=1)
        axes.barh(row, third - first, left=first, height=0.5, color=PART_COLOURS["train"], alpha=0.8)
        axes.plot(median, row, "|", color="white", markersize=11, markeredgewidth=2)
    name_rows(axes, list(known))
    axes.set(xlabel="duration of an utterance (s)", xlim=(0, None))
    return figure


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
