"""Every figure of the audit and the statistics is drawn from its table, with named axes and no open pyplot figure."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from serab_lib.audit.denominators import compare_readings, list_readings, recover_sizes
from serab_lib.audit.selection import measure_selection, simulate_selection
from serab_lib.audit.speakers import compare_speakers
from serab_lib.audit.weighted import weigh_sizes
from serab_lib.benchmark.results import COLUMNS
from serab_lib.book.plots import audit, grid
from serab_lib.evaluation.comparisons import compare_bold
from serab_lib.evaluation.intervals import intervals_of_table
from serab_lib.evaluation.model_size import join_sizes
from serab_lib.evaluation.paper import read_accuracies, read_models
from serab_lib.evaluation.rankings import compare_ranks
from serab_lib.evaluation.subsets import bootstrap_subsets, rank_subsets, summarise_sizes, weigh_tasks


@functools.cache
def paper() -> SimpleNamespace:
    """What most figures are made of, computed once and only if a test needs it."""
    accuracies, readings = read_accuracies(), list_readings()
    comparison = compare_readings(accuracies, readings, n_draws=10)
    sizes = recover_sizes(comparison)
    return SimpleNamespace(
        accuracies=accuracies,
        readings=readings,
        comparison=comparison,
        sizes=sizes,
        grid=accuracies[list(sizes.index)],
    )


def draw_selection() -> Figure:
    released = paper().readings[paper().readings["reading"] == "released"]
    simulated = simulate_selection(released, paper().grid.median(), n_draws=50)
    cell = dict.fromkeys(COLUMNS, 0) | {"task": "RAV", "model": "m", "protocol": "released", "classifier": "LDA"}
    return audit.plot_selection_gap(simulated, measure_selection(pd.DataFrame([cell])))


def draw_label_order() -> Figure:
    params = [
        {"kernel": "rbf", "C": 10.0, "class_weight": None},
        {"kernel": "linear", "C": 1.0, "class_weight": "balanced"},
    ]
    orders = pd.DataFrame({"test_accuracy": [0.7, 0.71, 0.75], "best_params": [*params, params[0]]})
    return audit.plot_label_order(orders, printed=77.3)


def draw_resamplers() -> Figure:
    keys = itertools.product(("a", "b"), ("sinc", "other"), ("described", "released"))
    reported = pd.DataFrame(keys, columns=["model", "resampler", "protocol"])
    return audit.plot_resamplers(reported.assign(test_accuracy=0.7), printed={"b": 77.3})


def draw_windows() -> Figure:
    names = ("window_400", "window_1024", "own_statistics", "printed", "byol_s_printed", "byol_s_measured")
    return audit.plot_windows(pd.DataFrame(70.0 + np.eye(3, 6), index=["AES", "RAV", "mean"], columns=names))


def confusions() -> pd.DataFrame:
    return pd.DataFrame(np.eye(4) + 1, list("abcd"), list("abcd"))


FIGURES: dict[str, Callable[[], Figure]] = {
    "test sizes": lambda: audit.plot_test_sizes(paper().accuracies, paper().comparison),
    "weighted means": lambda: audit.plot_weighted_means(
        weigh_sizes(paper().accuracies, paper().sizes, "IEM", [1100, 1122, 1157], n_draws=100),
        {"released": 1122, "described": 1157},
    ),
    "shared speakers": lambda: audit.plot_shared_speakers(compare_speakers()),
    "selection": draw_selection,
    "measured leak": lambda: audit.plot_measured_leak(
        {"model": pd.DataFrame({"without": [0.6, 0.62], "with_leak": [0.7, 0.68]})}
    ),
    "label order": draw_label_order,
    "resamplers": draw_resamplers,
    "windows": draw_windows,
    "intervals": lambda: grid.plot_intervals(intervals_of_table(paper().accuracies, paper().sizes)),
    "bold": lambda: grid.plot_bold(compare_bold(paper().accuracies, paper().sizes)),
    "critical difference": lambda: grid.plot_critical_difference(compare_ranks(paper().grid)),
    "subsets": lambda: grid.plot_subsets(
        summarise_sizes(rank_subsets(paper().grid)), bootstrap_subsets(paper().grid, paper().sizes, n_draws=10)
    ),
    "tasks": lambda: grid.plot_task_information(weigh_tasks(rank_subsets(paper().grid))),
    "model sizes": lambda: grid.plot_model_sizes(join_sizes(paper().accuracies, read_models(), paper().sizes)),
    "one confusion matrix": lambda: grid.plot_confusions({"model": confusions()}),
    "confusion matrices": lambda: grid.plot_confusions(dict.fromkeys(("one", "two", "three"), confusions())),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_with_named_axes(name: str) -> None:
    figure = FIGURES[name]()
    figure.draw_without_rendering()
    assert plt.get_fignums() == []
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert figure.get_supxlabel() or any(axes.get_xlabel() for axes in shown), "no axis says what it shows"
    assert figure._suptitle is None
    assert 3 < figure.get_size_inches()[0] <= 8


def test_open_markers_stand_for_what_is_ruled_out() -> None:
    (axes,) = FIGURES["test sizes"]().axes
    open_ones = [
        points
        for points in axes.collections
        if len(points.get_facecolor()) and points.get_facecolor()[0][:3].min() == 1
    ]
    assert len(open_ones) == (~paper().comparison["fits"]).sum() == 2


def test_every_resampler_has_its_mark_in_every_panel() -> None:
    """Of equal accuracies, too, none covers another; the released protocol, of the printed values, comes first."""
    panels = draw_resamplers().axes
    assert [axes.get_title() for axes in panels] == ["released", "described"]
    for axes in panels:
        lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
        assert lines.keys() == {"sinc", "other", "printed"}
        assert len({tuple(point) for name in ("sinc", "other") for point in lines[name]}) == 4
        assert {x for x, _ in lines["printed"]} == {77.3}
