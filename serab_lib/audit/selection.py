"""What choosing the classifier on the test part is worth: measured, and simulated for the paper's test sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.benchmark.results import CELL_KEY
from serab_lib.corpora.splits import PROTOCOLS
from serab_lib.evaluation.protocol import select


def measure_selection(cells: pd.DataFrame) -> pd.DataFrame:
    """Compare the classifier that validation chooses with the best on test, in every measured cell.

    Parameters
    ----------
    cells : pandas.DataFrame
        As `serab_lib.benchmark.results.Results.read_cells` gives them.

    Returns
    -------
    pandas.DataFrame
        One row per cell, whichever classifier its protocol reports: `task`, `model`, `protocol` (that made the split),
        `n_validation`, `n_test`, `chosen` and `chosen_accuracy` (the best on validation, and its test accuracy),
        `best` and `best_accuracy` (the best on test), `gap` (their difference, 0 or more), `n_utterances` (the gap
        in test utterances), `synthetic`. Accuracies are fractions of 1.
    """
    rows = []
    for key, cell in cells.groupby(CELL_KEY, sort=False):
        scores = cell.set_index("classifier")
        names = {which: select(cell, protocol) for which, protocol in (("chosen", "described"), ("best", "released"))}
        row = dict(zip(CELL_KEY, key, strict=True))
        row |= {name: int(cell[name].iloc[0]) for name in ("n_validation", "n_test")}
        for which, name in names.items():
            row |= {which: name, f"{which}_accuracy": float(scores.loc[name, "test_accuracy"])}
        row["gap"] = row["best_accuracy"] - row["chosen_accuracy"]
        row["n_utterances"] = round(row["gap"] * row["n_test"])
        row["synthetic"] = bool(cell["synthetic"].iloc[0])
        rows.append(row)
    columns = [*CELL_KEY, "n_validation", "n_test", "chosen", "chosen_accuracy", "best", "best_accuracy", "gap"]
    return pd.DataFrame(rows, columns=[*columns, "n_utterances", "synthetic"])


def decompose_protocols(cells: pd.DataFrame) -> pd.DataFrame:
    """Take the difference of the protocols apart: what the split does, and what the selection does.

    Parameters
    ----------
    cells : pandas.DataFrame
        As `serab_lib.benchmark.results.Results.read_cells` gives them, with both protocols.

    Returns
    -------
    pandas.DataFrame
        One row per task and model with both: `described` (its split, chosen on validation), `released_split` (the
        released split, chosen on validation), `released` (chosen on test), `effect_of_split` and
        `effect_of_selection` (their steps, points), all in percent; `synthetic`.
    """
    table = measure_selection(cells).set_index(CELL_KEY)
    rows = []
    for task, model in dict.fromkeys((task, model) for task, model, _ in table.index):
        if not all((task, model, protocol) in table.index for protocol in PROTOCOLS):
            continue
        released, described = (table.loc[(task, model, protocol)] for protocol in PROTOCOLS)
        row = {
            "described": 100 * described["chosen_accuracy"],
            "released_split": 100 * released["chosen_accuracy"],
            "released": 100 * released["best_accuracy"],
        }
        row["effect_of_split"] = row["released_split"] - row["described"]
        row["effect_of_selection"] = row["released"] - row["released_split"]
        rows.append({"task": task, "model": model, **row, "synthetic": bool(released["synthetic"])})
    columns = ["task", "model", "described", "released_split", "released", "effect_of_split", "effect_of_selection"]
    return pd.DataFrame(rows, columns=[*columns, "synthetic"])


@dataclass(frozen=True, kw_only=True)
class SelectionModel:
    """How five classifiers of one model on one task are simulated.

    Attributes
    ----------
    n_classifiers : int
    spread : float
        Standard deviation, over the classifiers, of the accuracy that each would have on endless test data (0.02 is
        two points).
    correlation : float
        Correlation of the hidden difficulty that decides whether a classifier gets an utterance right: 0 for
        independent mistakes, 1 for the same ones.
    shift : float
        Standard deviation of what a part's few speakers add to each classifier's accuracy there, drawn anew for
        validation and for test. It is what makes validation a poor adviser.

    Notes
    -----
    Utterances are independent of each other given the speakers. The number of utterances with each pattern of right
    and wrong answers is then multinomial, which is what is drawn.
    """

    n_classifiers: int = 5
    spread: float = 0.02
    correlation: float = 0.7
    shift: float = 0.01

    def draw(self, accuracy: float, n_validation: int, n_test: int, n_draws: int, rng: np.random.Generator) -> Draws:
        """Draw validation and test accuracies around one mean accuracy.

        Parameters
        ----------
        accuracy : float
            Mean over the classifiers, 0 to 1.
        n_validation, n_test : int
        n_draws : int
        rng : numpy.random.Generator
        """
        shape = (n_draws, self.n_classifiers)
        true = np.clip(accuracy + self.spread * rng.standard_normal(shape), 0.01, 0.99)
        parts = []
        for n in (n_validation, n_test):
            here = np.clip(true + self.shift * rng.standard_normal(shape), 0.01, 0.99)
            parts.append(_draw_counts(here, n, self.correlation, rng) / n)
        return Draws(true, *parts)


@dataclass(frozen=True)
class Draws:
    """True, validation and test accuracies, each of shape (n_draws, n_classifiers)."""

    true: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def take(self, by: np.ndarray) -> np.ndarray:
        """Test accuracies of the classifiers that are best by another accuracy, the first among equals."""
        return np.take_along_axis(self.test, by.argmax(axis=1)[:, None], axis=1)[:, 0]


def _draw_counts(accuracies: np.ndarray, n: int, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """Numbers of right answers, shape of `accuracies`, with correlated mistakes."""
    n_draws, n_classifiers = accuracies.shape
    nodes, weights = np.polynomial.hermite_e.hermegauss(31)
    weights = weights / weights.sum()
    root, rest = np.sqrt(correlation), np.sqrt(max(1 - correlation, 1e-9))
    # Given the shared difficulty, the classifiers are right independently of each other.
    right = stats.norm.cdf((stats.norm.ppf(accuracies)[..., None] - root * nodes) / rest)
    patterns = (np.arange(2**n_classifiers)[:, None] >> np.arange(n_classifiers)) & 1
    chances = np.ones((n_draws, len(patterns), len(nodes)))
    for j in range(n_classifiers):
        own = right[:, j][:, None, :]
        chances *= np.where(patterns[:, j][None, :, None] == 1, own, 1 - own)
    chances = chances @ weights
    counts = rng.multinomial(n, chances / chances.sum(axis=1, keepdims=True))
    return counts @ patterns


def simulate_selection(
    sizes: pd.DataFrame,
    accuracies: pd.Series,
    *,
    model: SelectionModel = SelectionModel(),
    n_draws: int = 2_000,
    rng: np.random.Generator | int = 0,
) -> pd.DataFrame:
    """Simulate what selection on the test part adds, for each task's sizes.

    Parameters
    ----------
    sizes : pandas.DataFrame
        With `task`, `n_validation`, `n_test`, such as the rows of one reading of
        `serab_lib.audit.denominators.list_readings`.
    accuracies : pandas.Series
        Task to a typical accuracy, percent, such as the median of the paper's column.
    model : SelectionModel
    n_draws : int
    rng : numpy.random.Generator or int
        A generator, or a seed.

    Returns
    -------
    pandas.DataFrame
        One row per task, all in points: `gap` (best on test minus chosen on validation, mean over the draws), `low`
        and `high` (between which 95 % of the draws lie), `optimism` (best on test minus what that classifier would
        reach on endless data of the same kind), `n_draws`.
    """
    rng = np.random.default_rng(rng)
    rows = []
    for row in sizes.itertuples():
        draws = model.draw(accuracies[row.task] / 100, row.n_validation, row.n_test, n_draws, rng)
        gap = 100 * (draws.test.max(axis=1) - draws.take(draws.validation))
        true = np.take_along_axis(draws.true, draws.test.argmax(axis=1)[:, None], axis=1)[:, 0]
        low, high = np.quantile(gap, [0.025, 0.975])
        rows.append(
            {
                "task": row.task,
                "n_validation": row.n_validation,
                "n_test": row.n_test,
                "accuracy": float(accuracies[row.task]),
                "gap": float(gap.mean()),
                "low": float(low),
                "high": float(high),
                "optimism": float(100 * (draws.test.max(axis=1) - true).mean()),
                "n_draws": n_draws,
            }
        )
    return pd.DataFrame(rows)


def simulate_ranking(
    sizes: pd.DataFrame,
    accuracies: pd.DataFrame,
    *,
    model: SelectionModel = SelectionModel(),
    n_draws: int = 500,
    rng: np.random.Generator | int = 0,
) -> pd.DataFrame:
    """Simulate what selection on the test part does to the ranking of the models by UM.

    Parameters
    ----------
    sizes : pandas.DataFrame
        As for `simulate_selection`.
    accuracies : pandas.DataFrame
        Models by tasks, percent.
    model : SelectionModel
    n_draws : int
    rng : numpy.random.Generator or int

    Returns
    -------
    pandas.DataFrame
        One row per draw: `kendall_tau` between the rankings by the two selections, `same_best`, `n_moved` (models at
        another rank), `gap` (UM on test minus UM on validation, mean over models, points), `tau_on_test` and
        `tau_on_validation` (each ranking against that of the printed UM).

    Notes
    -----
    The models are drawn independently of each other, around their printed accuracies.
    """
    rng = np.random.default_rng(rng)
    on_test = np.zeros((n_draws, len(accuracies)))
    on_validation = np.zeros_like(on_test)
    for row in sizes.itertuples():
        for m, accuracy in enumerate(accuracies[row.task]):
            draws = model.draw(accuracy / 100, row.n_validation, row.n_test, n_draws, rng)
            on_test[:, m] += 100 * draws.test.max(axis=1) / len(sizes)
            on_validation[:, m] += 100 * draws.take(draws.validation) / len(sizes)
    truth = accuracies[list(sizes["task"])].mean(axis=1).to_numpy()
    rows = []
    for one, other in zip(on_test, on_validation, strict=True):
        ranks = stats.rankdata(one), stats.rankdata(other)
        rows.append(
            {
                "kendall_tau": float(stats.kendalltau(one, other).statistic),
                "same_best": bool(one.argmax() == other.argmax()),
                "n_moved": int((ranks[0] != ranks[1]).sum()),
                "gap": float((one - other).mean()),
                "tau_on_test": float(stats.kendalltau(one, truth).statistic),
                "tau_on_validation": float(stats.kendalltau(other, truth).statistic),
            }
        )
    return pd.DataFrame(rows)
