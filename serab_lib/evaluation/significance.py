"""How far an accuracy can be trusted, and which of two models is better: intervals and paired tests."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.core import SerabError
from serab_lib.evaluation.paper import find_counts
from serab_lib.evaluation.protocol import unweighted_average_recall

if TYPE_CHECKING:
    from serab_lib.benchmark.results import Results

ALPHA = 0.05
N_SIMULATED, COVERAGE = 1_000, Path(__file__).parents[1] / "data" / "interval_coverage.csv"


def require(module: str) -> ModuleType:
    """Import a library of the extra `stats`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.split(".")[0]
        raise SerabError(f"{name} is not installed: pip install 'serab-companion[stats]'") from error


def wilson_interval(n_right: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of an accuracy, from counts alone; fractions of 1.

    It takes utterances for independent of each other. They are not: those of one speaker succeed and fail together,
    so the truth about new speakers is less certain than this says.

    Examples
    --------
    >>> [round(float(end), 3) for end in wilson_interval(232, 300)]
    [0.723, 0.817]
    """
    share, z = n_right / n, stats.norm.ppf(1 - ALPHA / 2)
    centre, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of a mean over few units, such as speakers or seeds; NaN for one unit.

    Each unit counts alike. It knows how few they are, and trusts that they scatter about as a normal distribution does.

    Examples
    --------
    >>> low, high = t_interval([60, 70, 80])
    >>> round(low, 1), round(high, 1)
    (45.2, 94.8)
    """
    n = len(values)
    if n < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(1 - ALPHA / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    return float(np.mean(values) - half), float(np.mean(values) + half)


def read_coverage() -> pd.DataFrame:
    """Read shares of 95 % intervals that hold the truth, by `speakers`, as `benchmarks/interval_coverage.py` found."""
    return pd.read_csv(COVERAGE, index_col="speakers")


def exact_mcnemar(n_only_first: int, n_only_second: int) -> float:
    """Two-sided p-value of the exact McNemar test, from the utterances that only one of two models gets right.

    Examples
    --------
    >>> exact_mcnemar(10, 2)
    0.03857421875
    """
    n = n_only_first + n_only_second
    return float(stats.binomtest(n_only_first, n).pvalue) if n else 1.0


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Adjust p-values for their number by Holm's method, in the same order."""
    return require("statsmodels.stats.multitest").multipletests(list(p_values), method="holm")[1]


def read_right(results: Results, task: str, protocol: str, *, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Read which test utterances (rows) each model (columns) gets right with the classifier that its cell reports."""
    right = {}
    for cell, predictions in read_reported(results):
        if (cell.task, cell.protocol) == (task, protocol):
            table = predictions.set_index(["stem", "speaker"]).sort_index()
            right[cell.model] = table[cell.classifier] == table["emotion"]
    right = {model: right[model] for model in models or right if model in right}
    if len(right) < 2:
        raise SerabError(f"{len(right)} model with {task}, {protocol} in {results.folder}: two are needed to compare")
    first = next(iter(right.values()))
    if any(not each.index.equals(first.index) for each in right.values()):
        raise SerabError(f"{task}, {protocol}: models were tested on different utterances: run them on the same files")
    return pd.DataFrame(right)


def compare_models(results: Results, task: str, protocol: str) -> pd.DataFrame:
    """Compare every two models on a task by what they predicted with the classifiers that their cells report.

    Returns
    -------
    pandas.DataFrame
        One row per pair, the more accurate model first: `first`, `second`, `accuracy_first`, `accuracy_second`,
        `difference`, its 95 % t-intervals over utterances (`low`, `high`) and over speakers (`low_speakers`,
        `high_speakers`), all in percent; `n_only_first`, `n_only_second`, `p` (exact McNemar) and `p_holm` of all
        pairs.

    Raises
    ------
    SerabError
        If there are fewer than two models, if their test parts differ, or if statsmodels is not installed.
    """
    right = read_right(results, task, protocol)
    rows = []
    for one, other in combinations(sorted(right, key=lambda model: -right[model].mean()), 2):
        a, b = right[one], right[other]
        differences = 100 * (a.astype(float) - b)
        row = {"first": one, "second": other, "accuracy_first": 100 * a.mean(), "accuracy_second": 100 * b.mean()}
        row |= {"difference": differences.mean()}
        for suffix, each in (("", differences), ("_speakers", differences.groupby("speaker").mean())):
            row["low" + suffix], row["high" + suffix] = np.clip(t_interval(each), -100, 100)
        only = int((a & ~b).sum()), int((b & ~a).sum())
        rows.append(row | {"n_only_first": only[0], "n_only_second": only[1], "p": exact_mcnemar(*only)})
    return pd.DataFrame(rows).assign(p_holm=lambda table: holm(table["p"]))


def score_cells(results: Results) -> pd.DataFrame:
    """Give accuracy and UAR of what every measured cell reports, in percent, with two 95 % intervals of the accuracy.

    They are Wilson's (`low`, `high`), and Student's over the accuracies of its `n_speakers` (`low_speakers`,
    `high_speakers`).
    """
    rows, labels = [], ("task", "model", "protocol", "classifier")
    ends = ("low", "high", "low_speakers", "high_speakers")
    for cell, predictions in read_reported(results):
        right = predictions["emotion"] == predictions[cell.classifier]
        by_speaker = right.groupby(predictions["speaker"]).mean()
        spans = *wilson_interval(right.sum(), len(right)), *np.clip(t_interval(by_speaker), 0, 1)
        shares = dict(zip(ends, spans, strict=True))
        uar = unweighted_average_recall(predictions["emotion"], predictions[cell.classifier])
        shares = {"accuracy": right.mean()} | shares | {"uar": uar}
        row = {name: getattr(cell, name) for name in labels}
        rows.append(row | {name: 100 * share for name, share in shares.items()} | {"n_speakers": len(by_speaker)})
    return pd.DataFrame(rows, columns=[*labels, "accuracy", *ends, "uar", "n_speakers"])


def confuse(predictions: pd.DataFrame, classifier: str, classes: Iterable[str]) -> pd.DataFrame:
    """Count the utterances of each true emotion (rows) that are taken for each emotion (columns)."""
    counts = pd.crosstab(predictions["emotion"], predictions[classifier].rename("predicted"))
    return counts.reindex(index=pd.Index(classes, name="emotion"), columns=list(classes), fill_value=0)


def confuse_cells(results: Results, task: str, protocol: str) -> dict[str, pd.DataFrame]:
    """Map each model on a task to its table of `confuse`, all with the same emotions, the most accurate first."""
    cells = {
        cell.model: (predictions, cell.classifier)
        for cell, predictions in read_reported(results)
        if (cell.task, cell.protocol) == (task, protocol)
    }
    classes = sorted({each for table, name in cells.values() for each in (*table["emotion"], *table[name])})
    tables = {model: confuse(*cell, classes) for model, cell in cells.items()}
    return dict(sorted(tables.items(), key=lambda item: -np.trace(item[1]) / item[1].to_numpy().sum()))


def tabulate_recalls(confusions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Give each model's recall of each emotion that occurs and their mean, the UAR, in percent."""
    rows = {}
    for model, table in confusions.items():
        n = table.sum(axis=1)
        recalls = (100 * np.diag(table) / n)[n > 0]
        rows[model] = {"UAR": recalls.mean(), **recalls}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def read_reported(results: Results) -> Iterator[tuple]:
    """Read each cell's row with the classifier that its protocol reports, and its predictions."""
    cells = results.read_cells()
    for cell in cells[cells["selected"].astype(bool)].itertuples():
        yield cell, results.read_predictions(cell.task, cell.model, cell.protocol)


def confidence_intervals(accuracies: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    """Wilson intervals of printed accuracies (models by tasks, percent) that cover all counts which print so."""
    rows = []
    for model, row in accuracies.iterrows():
        for task, n in sizes.items():
            counts = find_counts(row[task], int(n))
            if not counts:
                raise SerabError(f"{model}, {task}: {row[task]} % cannot occur with {n} utterances: pass another size")
            low, high = wilson_interval(counts[0], n)[0], wilson_interval(counts[-1], n)[1]
            rows.append((model, task, int(n), float(row[task]), 100 * low, 100 * high))
    return pd.DataFrame(rows, columns=["model", "task", "n", "accuracy", "low", "high"])


def bound_mcnemar(k_first: int, k_second: int, n: int) -> tuple[float, float]:
    """Bound the exact McNemar test where only the right answers of both models of n are known, not who got which.

    Examples
    --------
    >>> lowest, highest = bound_mcnemar(80, 70, 100)
    >>> round(lowest, 4), round(highest, 4)
    (0.002, 0.2026)
    """
    shared = np.arange(max(0, k_first + k_second - n), min(k_first, k_second) + 1)
    n_only_worse, n_discordant = min(k_first, k_second) - shared, k_first + k_second - 2 * shared
    # The test is symmetric, so that its p-value is twice the smaller tail.
    p = np.minimum(1.0, 2 * stats.binom.cdf(n_only_worse, n_discordant, 0.5))
    return float(p.min()), float(p.max())


def compare_best(accuracies: pd.DataFrame, sizes: pd.Series, *, rival: str | None = None) -> pd.DataFrame:
    """Ask of every task's best number (models by tasks, percent) whether it can be told from another.

    The other is the runner-up's, or that of a `rival`, which is then left out of the search for the best. `p_lowest`
    and `p_highest` are of the exact McNemar test under the most and the least favourable pairing of the answers,
    `p_unpaired` is Fisher's, as if each model had been tested on other utterances. Where a printed value stands for
    several counts, the bounds are over all of them, and the counts shown are furthest apart. Nothing is corrected for
    the number of tasks, nor for that of the models of which the best was picked: both would make fewer differences
    distinguishable.
    """
    rows = []
    for task, n in sizes.astype(int).items():
        column = accuracies[task].sort_values(ascending=False, kind="stable")
        others = column.drop(rival) if rival else column
        best, second = others.iloc[0], column[rival] if rival else column.iloc[1]
        names = [rival] if rival else column.index[1:][column[1:] == second]
        pairs = list(product(find_counts(best, n), find_counts(second, n)))
        bounds = np.array([bound_mcnemar(*pair, n) for pair in pairs])
        p_lowest, p_highest = bounds[:, 0].min(), bounds[:, 1].max()
        if best == second:
            verdict = "tie"
        elif p_lowest >= ALPHA:
            verdict = "not distinguishable"
        else:
            verdict = "distinguishable" if p_highest < ALPHA else "depends on the pairing"
        furthest = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
        row = {"task": task, "best": others.index[0], "other": " and ".join(names)}
        row |= {"accuracy_best": float(best), "accuracy_other": float(second), "n": n}
        row |= {"k_best": furthest[0], "k_other": furthest[1], "p_lowest": p_lowest, "p_highest": p_highest}
        p_unpaired = stats.fisher_exact([[k, n - k] for k in furthest]).pvalue
        rows.append(row | {"p_unpaired": float(p_unpaired), "verdict": verdict})
    return pd.DataFrame(rows)
