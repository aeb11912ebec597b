import functools
import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from making import make_cells, make_noise
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from serab_lib.audit.tables import compare_test_sizes, recover_test_sizes
from serab_lib.book import tables
from serab_lib.book.plots import audit, grid, pretraining, tasks
from serab_lib.evaluation import paper, rankings, significance
from serab_lib.pretraining.augmentations import illustrate

ACCURACIES, SIZES = paper.read_accuracies(), recover_test_sizes()
GRID = ACCURACIES[list(SIZES.index)]


@functools.cache
def beside() -> pd.DataFrame:
    cells = make_cells({"test_accuracy": 0.77}, {"task": "EMB", "model": "yamnet", "test_accuracy": 0.7})
    return tables.compare_with_paper(cells, "released")


def draw_resamplers() -> Figure:
    keys = itertools.product(("a", "b"), ("sinc", "other"), ("described", "released"))
    reported = pd.DataFrame(keys, columns=["model", "resampler", "protocol"])
    return audit.plot_resamplers(reported.assign(test_accuracy=0.7), printed={"b": 77.3})


CONFUSIONS = pd.DataFrame(np.eye(4, dtype=int) + 1, list("abcd"), list("abcd"))
FIGURES: dict[str, Callable[[], Figure]] = {
    "shared speakers": lambda: tasks.plot_shared_speakers(
        tables.describe_splits().reset_index().rename(columns={"test speakers": "n_speakers"})
    ),
    "augmentations": lambda: pretraining.plot_augmentations(*illustrate(*make_noise(2, 20_000))),
    "intervals": lambda: grid.plot_intervals(significance.confidence_intervals(ACCURACIES, SIZES)),
    "agreement": lambda: grid.plot_agreement(beside()),
    "coverage": lambda: grid.plot_coverage(beside()),
    "bold": lambda: grid.plot_bold(significance.compare_best(ACCURACIES, SIZES)),
    "contrasts": lambda: grid.plot_contrasts(GRID, {f"{n}": (f"BYOL-S, {n}", f"BYOL-A, {n}") for n in (512, 1024)}),
    "critical difference": lambda: grid.plot_critical_difference(rankings.compare_ranks(GRID)),
    "subsets": lambda: grid.plot_subsets(
        {"all": rankings.summarise_sizes(rankings.rank_subsets(GRID))},
        rankings.redraw_rankings(GRID, SIZES, n_draws=10),
    ),
    "task spread": lambda: grid.plot_task_spread(rankings.measure_spread(GRID, SIZES)),
    "model sizes": lambda: grid.plot_model_sizes(rankings.join_sizes(ACCURACIES, paper.read_models(), SIZES)),
    "confusion matrices": lambda: grid.plot_confusions(dict.fromkeys(("one", "two", "three"), CONFUSIONS)),
    "test sizes": lambda: audit.plot_test_sizes(compare_test_sizes()),
    "resamplers": draw_resamplers,
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_with_named_axes(name: str) -> None:
    figure = FIGURES[name]()
    figure.draw_without_rendering()
    assert plt.get_fignums() == []
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert figure.get_supxlabel() or any(axes.get_xlabel() or axes.get_ylabel() for axes in shown)
    # The caption says what a figure shows.
    assert figure._suptitle is None and 3 < figure.get_size_inches()[0] <= 8


def test_every_public_function_of_a_chapter_is_drawn_here() -> None:
    modules = (audit, grid, pretraining, tasks)
    drawn = {name for module in modules for name in vars(module) if name.startswith("plot_")}
    named = set(itertools.chain.from_iterable(each.__code__.co_names for each in FIGURES.values()))
    assert drawn == {name for name in named if name.startswith("plot_")}


def test_every_resampler_has_its_mark_in_every_panel() -> None:
    """Of equal accuracies, too, none covers another; the released protocol, of the printed values, comes first."""
    panels = draw_resamplers().axes
    assert [axes.get_title() for axes in panels] == ["released", "described"]
    for axes in panels:
        lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
        assert lines.keys() == {"sinc", "other", "printed"}
        assert len({tuple(point) for name in ("sinc", "other") for point in lines[name]}) == 4
        assert {x for x, _ in lines["printed"]} == {77.3}


def test_measured_cells_have_the_colour_of_their_family_and_are_told_from_what_can_be_fetched_or_is_asked_for() -> None:
    (axes,) = grid.plot_agreement(beside()).axes
    marks = {line.get_color(): line.get_xydata().tolist() for line in axes.lines if line.get_marker() in ("o", "D")}
    assert [[77.3, 77.0]] in marks.values() and len([points for points in marks.values() if points]) == 2
    (axes,) = grid.plot_coverage(beside()).axes
    assert len(axes.patches) == 117 and sorted(text.get_text() for text in axes.texts) == ["70", "77"]
    hatched = sum(patch.get_hatch() is not None for patch in axes.patches)
    assert hatched == 2 * 13 + 3 * 7  # two corpora, and three models on the others


def test_a_row_of_confusions_is_in_percent_of_its_true_emotion() -> None:
    (axes,) = grid.plot_confusions({"model": pd.DataFrame([[3, 1], [0, 0]], ["a", "b"], ["a", "b"])}).axes
    assert [text.get_text() for text in axes.texts] == ["75", "25"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a (4)", "b (0)"]


def test_near_embeddings_stay_near_in_two_dimensions() -> None:
    clouds = np.random.default_rng(0).normal(size=(30, 5)) + 50 * np.repeat([0, 1], 15)[:, None]
    first, second = np.split(tasks.project_2d(clouds), 2)
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > 2 * max(first.std(), second.std())
