"""Figures about the tasks: classes, durations, speakers of each part."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from serab_lib.book.plots import PART_COLOURS, PROTOCOL_COLOURS, emotion_colours, new_figure, put_legend_above


def plot_class_balance(counts: pd.DataFrame) -> Figure:
    """Draw the share of each class in each task.

    Parameters
    ----------
    counts : pandas.DataFrame
        Emotions by tasks, numbers of utterances.
    """
    figure, axes = new_figure(height=3.8)
    shares = 100 * counts / counts.sum()
    left = pd.Series(0.0, index=shares.columns)
    for emotion, colour in emotion_colours(list(shares.index)).items():
        axes.barh(shares.columns, shares.loc[emotion], left=left, color=colour, label=emotion, edgecolor="white")
        left += shares.loc[emotion]
    axes.invert_yaxis()
    axes.set(xlabel="share of the utterances (%)", xlim=(0, 100))
    axes.grid(axis="y", visible=False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def plot_durations(durations: dict[str, pd.Series]) -> Figure:
    """Draw the spread of utterance durations per task, in seconds: the middle half, and 5 to 95 %."""
    figure, axes = new_figure(height=3.2)
    known = {name: values.dropna() for name, values in durations.items()}
    known = {name: values for name, values in known.items() if len(values)}
    for row, values in enumerate(known.values()):
        low, first, median, third, high = values.quantile([0.05, 0.25, 0.5, 0.75, 0.95])
        axes.plot([low, high], [row, row], color="0.6", linewidth=1.5, zorder=1)
        axes.barh(row, third - first, left=first, height=0.5, color=PART_COLOURS["train"], alpha=0.8)
        axes.plot(median, row, "|", color="white", markersize=11, markeredgewidth=2)
    axes.set_yticks(range(len(known)), list(known))
    axes.invert_yaxis()
    axes.set(xlabel="duration of an utterance (s)", xlim=(0, None))
    axes.grid(axis="y", visible=False)
    return figure


def plot_parts(splits: pd.DataFrame, protocol: str) -> Figure:
    """Draw how a protocol cuts each task into train, validation and test.

    Parameters
    ----------
    splits : pandas.DataFrame
        As from `serab_lib.book.descriptions.describe_splits`.
    protocol : str
    """
    table = splits.xs(protocol, level="protocol")
    parts = list(PART_COLOURS)
    shares = 100 * table[parts].div(table[parts].sum(axis=1), axis=0)
    figure, axes = new_figure(height=3.4)
    left = pd.Series(0.0, index=shares.index)
    for part in parts:
        bars = axes.barh(shares.index, shares[part], left=left, color=PART_COLOURS[part], label=part, edgecolor="white")
        axes.bar_label(bars, [f"{n}" for n in table[f"{part} speakers"]], label_type="center", color="white", size=9)
        left += shares[part]
    axes.invert_yaxis()
    axes.set(xlabel="share of the utterances (%); figures in the bars are numbers of speakers", xlim=(0, 100))
    axes.grid(axis="y", visible=False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def plot_shared_speakers(splits: pd.DataFrame) -> Figure:
    """Draw the share of test utterances whose speaker is in train or validation too, per task and protocol."""
    shares = 100 * splits["shared"].unstack("protocol")
    figure, axes = new_figure(height=2.6)
    width = 0.38
    for shift, protocol in ((-width / 2, "released"), (width / 2, "described")):
        x = [position + shift for position in range(len(shares))]
        axes.bar(x, shares[protocol], width, color=PROTOCOL_COLOURS[protocol], label=protocol)
    axes.set_xticks(range(len(shares)), shares.index)
    axes.set(ylabel="test utterances of\nknown speakers (%)", ylim=(0, 105))
    axes.grid(axis="x", visible=False)
    put_legend_above(figure)
    return figure
