"""What choosing the classifier on the test part is worth: measured, and simulated for the paper's test sizes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.audit.tables import list_readings
from serab_lib.benchmark.results import CELL_KEY
from serab_lib.corpora.task import PAPER_TASKS
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.protocol import select

N_CLASSIFIERS = 5
# Standard deviation, over the classifiers, of the accuracy that each would have on endless test data.
SPREAD = 0.02
# Of the hidden difficulty that decides whether a classifier gets an utterance right.
CORRELATION = 0.7
# Standard deviation of what a part's few speakers add to each classifier's accuracy there.
SHIFT = 0.01


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


def draw_accuracies(
    accuracy: float, n_validation: int, n_test: int, n_draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw validation and test accuracies, each (n_draws, 5), of five classifiers around one mean accuracy (0 to 1).

    The classifiers' true accuracies differ by `SPREAD`; the few speakers of each part add `SHIFT` to each, drawn anew
    for validation and for test, which makes validation a poor adviser. Mistakes are correlated by `CORRELATION`.
    """
    true = np.clip(accuracy + SPREAD * rng.standard_normal((n_draws, N_CLASSIFIERS)), 0.01, 0.99)
    parts = []
    for n in (n_validation, n_test):
        here = np.clip(true + SHIFT * rng.standard_normal(true.shape), 0.01, 0.99)
        parts.append(_draw_counts(here, n, rng) / n)
    return parts[0], parts[1]


def _draw_counts(accuracies: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers of right answers with correlated mistakes: patterns of right and wrong are multinomial."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    # Given the shared difficulty, the classifiers are right independently of each other.
    thresholds = stats.norm.ppf(accuracies)[..., None] - np.sqrt(CORRELATION) * nodes
    right = stats.norm.cdf(thresholds / np.sqrt(1 - CORRELATION))
    patterns = (np.arange(2**N_CLASSIFIERS)[:, None] >> np.arange(N_CLASSIFIERS)) & 1
    chances = np.ones((len(accuracies), len(patterns), len(nodes)))
    for j in range(N_CLASSIFIERS):
        own = right[:, j][:, None, :]
        chances *= np.where(patterns[:, j][None, :, None] == 1, own, 1 - own)
    chances = chances @ (weights / weights.sum())
    return rng.multinomial(n, chances / chances.sum(axis=1, keepdims=True)) @ patterns


def _take_best(accuracies: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Accuracies of the classifiers that are best by another accuracy, the first among equals."""
    return np.take_along_axis(accuracies, by.argmax(axis=1)[:, None], axis=1)[:, 0]


def _released_sizes() -> pd.DataFrame:
    return list_readings().query("reading == 'released'")


def simulate_selection(*, n_draws: int = 2_000) -> pd.DataFrame:
    """Simulate what selection on test adds by task, in points: mean `gap`, and its 95 % range from `low` to `high`."""
    rng, accuracies = np.random.default_rng(0), read_accuracies()
    rows = []
    for row in _released_sizes().itertuples():
        typical = accuracies[row.task].median() / 100
        validation, test = draw_accuracies(typical, row.n_validation, row.n_test, n_draws, rng)
        gap = 100 * (test.max(axis=1) - _take_best(test, validation))
        rows.append((row.task, row.n_test, gap.mean(), *np.quantile(gap, [0.025, 0.975])))
    return pd.DataFrame(rows, columns=["task", "n_test", "gap", "low", "high"])


def simulate_ranking(*, n_draws: int = 500) -> pd.DataFrame:
    """Rank the thirteen models by UM under both selections: `kendall_tau` and `same_best` of each draw."""
    rng, accuracies = np.random.default_rng(0), read_accuracies()
    on_test = np.zeros((n_draws, len(accuracies)))
    on_validation = np.zeros_like(on_test)
    for row in _released_sizes().itertuples():
        for model, accuracy in enumerate(accuracies[row.task] / 100):
            validation, test = draw_accuracies(accuracy, row.n_validation, row.n_test, n_draws, rng)
            on_test[:, model] += test.max(axis=1) / len(PAPER_TASKS)
            on_validation[:, model] += _take_best(test, validation) / len(PAPER_TASKS)
    pairs = list(zip(on_test, on_validation, strict=True))
    taus = [stats.kendalltau(one, other).statistic for one, other in pairs]
    same = [bool(one.argmax() == other.argmax()) for one, other in pairs]
    return pd.DataFrame({"kendall_tau": taus, "same_best": same})
