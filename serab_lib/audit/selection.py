"""What choosing the classifier on the test part is worth: measured, and simulated for the paper's test sizes."""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd

from serab_lib.audit.tables import list_readings
from serab_lib.benchmark.results import CELL_KEY, Results
from serab_lib.corpora.task import PAPER_TASKS
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.protocol import select
from serab_lib.evaluation.rankings import correlate_ranks, redraw

N_DRAWS = 1_000
N_CLASSIFIERS = 5
# Standard deviation, over the classifiers, of the accuracy that each would have on endless test data.
SPREAD = 0.02
# Standard deviation of what a part's few speakers add to each classifier's accuracy there.
SHIFT = 0.02


def measure_selection(cells: pd.DataFrame) -> pd.DataFrame:
    """Compare the classifier that validation chooses with the best on test, in every measured cell.

    Returns
    -------
    pandas.DataFrame
        One row per cell, whichever classifier its protocol reports: `task`, `model`, `protocol` (that made the split),
        `chosen` and `chosen_accuracy` (the best on validation, and its test accuracy), `best` and `best_accuracy` (the
        best on test), `gap` (their difference, 0 or more). Accuracies are fractions of 1.
    """
    rows = []
    for key, cell in cells.groupby(CELL_KEY, sort=False):
        accuracies = cell.set_index("classifier")["test_accuracy"]
        chosen, best = select(cell, "described"), select(cell, "released")
        rows.append((*key, chosen, accuracies[chosen], best, accuracies[best], accuracies[best] - accuracies[chosen]))
    return pd.DataFrame(rows, columns=[*CELL_KEY, "chosen", "chosen_accuracy", "best", "best_accuracy", "gap"])


def decompose_protocols(cells: pd.DataFrame) -> pd.DataFrame:
    """Take the protocols of cells with both apart: what the split does, and what the selection does, in percent."""
    table = measure_selection(cells).set_index(["task", "model"])
    released, described = (table[table["protocol"] == name] for name in ("released", "described"))
    both = released.join(described["chosen_accuracy"].rename("described"), how="inner")
    columns = {"described": "described", "chosen_accuracy": "released_split", "best_accuracy": "released"}
    steps = 100 * both[list(columns)].astype(float).rename(columns=columns)
    steps["effect_of_split"] = steps["released_split"] - steps["described"]
    steps["effect_of_selection"] = steps["released"] - steps["released_split"]
    return steps.reset_index()


class Simulation(NamedTuple):
    """What the choice of the classifier does, in points, by task; and to the ranking of the models, by draw.

    `tasks` has means over draws and models: `gap` (best on test minus chosen on validation; 95 % of the draws are
    between `low` and `high`), which is `optimism` (best on test minus what that classifier has on endless data) and
    `better_choice` (what the best on test has on endless data minus what the chosen one has). `grids` has Kendall's tau
    by UM of either choice with the true order, that of each model's truly best classifier (`tau_test`,
    `tau_validation`), and of both choices (`tau_between`), and whether they have the `same_best` model.
    """

    tasks: pd.DataFrame
    grids: pd.DataFrame


def calibrate(results: Results) -> pd.Series:
    """Estimate the simulation's assumptions from measured cells of the released split, in percent.

    `spread` comes from what validation and test accuracies of the classifiers have in common, `shift` from what their
    variance holds beyond that and beyond sampling; `correlation` is of the right answers of a cell's classifiers,
    `between_models` of those that cells report. QDA is left out: where it fails it competes for nothing.
    """
    cells = results.read_cells().query("protocol == 'released' and classifier != 'QDA'")
    common, beyond, correlations, reported = [], [], [], {}
    for (task, model, protocol), cell in cells.groupby(CELL_KEY, sort=False):
        predictions = results.read_predictions(task, model, protocol)
        right = predictions[cell["classifier"]].eq(predictions["emotion"], axis=0).astype(float)
        reported.setdefault(task, {})[model] = right[select(cell, "released")].set_axis(predictions["stem"])
        correlations.append(_average_correlation(right))
        common.append(cell["validation_accuracy"].cov(cell["test_accuracy"]))
        for part in ("validation", "test"):
            share, n = cell[f"{part}_accuracy"], cell[f"n_{part}"].iloc[0]
            sampling = (1 - correlations[-1]) * (share * (1 - share)).mean() / n
            beyond.append(share.var() - sampling)
    between = [_average_correlation(pd.DataFrame(right)) for right in reported.values()]
    spread, shift = np.mean(common), np.mean(beyond) - np.mean(common)
    values = {"spread": np.sqrt(max(spread, 0)), "shift": np.sqrt(max(shift, 0))}
    values |= {"correlation": np.mean(correlations), "between_models": np.mean(between)}
    return 100 * pd.Series(values)


def _average_correlation(right: pd.DataFrame) -> float:
    matrix = right.corr().to_numpy()
    return float(np.nanmean(matrix[np.triu_indices(len(matrix), k=1)]))


@functools.cache
def simulate_selection(*, spread: float = SPREAD, shift: float = SHIFT, n_draws: int = N_DRAWS) -> Simulation:
    """Simulate the choice on test and that on validation, of the paper's models on its tasks, with the released sizes.

    Each model has five classifiers around its printed accuracy. Their true accuracies differ by `spread`; the few
    speakers of each part add `shift` to each, drawn anew for validation and for test; mistakes are correlated.
    """
    rng, accuracies = np.random.default_rng(0), read_accuracies()
    um, tasks = np.zeros((3, n_draws, len(accuracies))), []
    for row in list_readings().query("reading == 'released'").itertuples():
        typical = (accuracies[row.task] / 100).to_numpy()[:, None]
        true = typical + spread * rng.standard_normal((n_draws, len(typical), N_CLASSIFIERS))
        validation, test = (_draw_part(true, shift, n, rng) for n in (row.n_validation, row.n_test))
        printed, chosen = test.max(axis=2), _take_best(test, by=validation)
        um += np.stack([printed, chosen, true.max(axis=2)]) / len(PAPER_TASKS)
        gap, behind_printed = 100 * (printed - chosen), _take_best(true, by=test)
        low, high = np.quantile(gap, [0.025, 0.975])
        optimism = 100 * (printed - behind_printed).mean()
        better = 100 * (behind_printed - _take_best(true, by=validation)).mean()
        tasks.append((row.task, row.n_test, gap.mean(), low, high, optimism, better))
    on_test, on_validation, best = um
    grids = {
        "tau_test": correlate_ranks(on_test, best),
        "tau_validation": correlate_ranks(on_validation, best),
        "tau_between": correlate_ranks(on_test, on_validation),
        "same_best": on_test.argmax(axis=1) == on_validation.argmax(axis=1),
    }
    columns = ["task", "n_test", "gap", "low", "high", "optimism", "better_choice"]
    return Simulation(pd.DataFrame(tasks, columns=columns), pd.DataFrame(grids))


def _draw_part(true: np.ndarray, shift: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw accuracies on a part of n utterances; all models and classifiers are tested on the same ones."""
    here = np.clip(true + shift * rng.standard_normal(true.shape), 0.01, 0.99)
    return redraw(here.reshape(len(true), -1), n, rng).reshape(true.shape)


def _take_best(accuracies: np.ndarray, *, by: np.ndarray) -> np.ndarray:
    """Accuracies of the classifiers that are best by another accuracy, the first among equals."""
    return np.take_along_axis(accuracies, by.argmax(axis=2)[..., None], axis=2)[..., 0]


def vary_assumptions(*, n_draws: int = N_DRAWS) -> pd.DataFrame:
    """Average the simulation under assumptions from mild to strong: a row for each `spread` and `shift`, in points."""
    rows = []
    for spread, shift in itertools.product((0.01, 0.02, 0.04), (0.0, 0.01, 0.02, 0.03)):
        tasks, grids = simulate_selection(spread=spread, shift=shift, n_draws=n_draws)
        means = tasks[["gap", "optimism", "better_choice"]].mean()
        rows.append({"spread": 100 * spread, "shift": 100 * shift, **means, **grids.mean()})
    return pd.DataFrame(rows)
