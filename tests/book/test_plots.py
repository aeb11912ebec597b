import functools
import itertools

import numpy as np
import pandas as pd
from making import make_cells

from serab_lib.book import tables
from serab_lib.book.plots import audit, grid, tasks


@functools.cache
def beside() -> pd.DataFrame:
    cells = make_cells({"test_accuracy": 0.77}, {"task": "EMB", "model": "yamnet", "test_accuracy": 0.7})
    return tables.compare_with_paper(cells, "released")


def test_every_resampler_has_its_mark_in_every_panel() -> None:
    """Of equal accuracies, too, none covers another; the released protocol, of the printed values, comes first."""
    keys = itertools.product(("a", "b"), ("sinc", "other"), ("described", "released"))
    reported = pd.DataFrame(keys, columns=["model", "resampler", "protocol"]).assign(test_accuracy=0.7)
    panels = audit.plot_resamplers(reported, printed={"b": 77.3}).axes
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
