"""Does size help: accuracy against the number of parameters and the size of the embedding."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.corpora.task import TASKS

N_DRAWS = 5_000

PREDICTORS = ("parameters_millions", "embedding_size")


def join_sizes(accuracies: pd.DataFrame, models: pd.DataFrame, sizes: pd.Series | None = None) -> pd.DataFrame:
    """Put the paper's tables 2 and 3 side by side.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_accuracies`; percent.
    models : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_models`.
    sizes : pandas.Series, optional
        Task to number of test utterances.

    Returns
    -------
    pandas.DataFrame
        The rows of `accuracies`, with `parameters_millions` (NaN for openSMILE, which has none), `embedding_size`,
        `family` (`BYOL-A`, `BYOL-S`, `BYOL-S/CvT`, or `other`), and `UM` recomputed from the row: one printed UM does
        not follow from its row. With `sizes`, `UM_half_width` too: half of UM's 95 % interval, from the binomial
        errors of its tasks, utterances taken for independent.
    """
    table = accuracies.join(models.set_index("row")[list(PREDICTORS)])
    tasks = [code for code in TASKS if code in table]
    if tasks:
        table["UM"] = table[tasks].mean(axis=1)
    if sizes is not None:
        shares = table[list(sizes.index)] / 100
        variance = (shares * (1 - shares) / sizes).sum(axis=1) / len(sizes) ** 2
        table["UM_half_width"] = 100 * stats.norm.ppf(0.975) * np.sqrt(variance)
    first = [str(model).split(",")[0] for model in table.index]
    table["family"] = [name if name.startswith("BYOL") else "other" for name in first]
    return table


def correlate_sizes(
    table: pd.DataFrame,
    outcomes: list[str],
    *,
    n_draws: int = N_DRAWS,
    rng: np.random.Generator | int = 0,
) -> pd.DataFrame:
    """Correlate accuracies with sizes, over the models.

    Parameters
    ----------
    table : pandas.DataFrame
        As from `join_sizes`, or some of its rows, such as one family.
    outcomes : list of str
        Columns of accuracies, such as `["UM"]` or all tasks.
    n_draws : int
        Permutations, and resamples.
    rng : numpy.random.Generator or int
        A generator, or a seed.

    Returns
    -------
    pandas.DataFrame
        One row per predictor and outcome: `n_models`, `spearman`, `low` and `high` (95 % bootstrap over the models),
        `p` (by permutation, two-sided), `slope` (points for ten times the size, by least squares).

    Notes
    -----
    The models were not drawn at random, and size goes with other things: the large ones are of one family, the small
    baselines were trained on other data. A correlation over a dozen of them describes the table and proves nothing
    about size; within a family only the size differs, but a family has three members.
    """
    rng = np.random.default_rng(rng)
    rows = []
    for predictor in PREDICTORS:
        known = table[table[predictor].notna()]
        x = np.log10(known[predictor].to_numpy(dtype=float))
        for outcome in outcomes:
            y = known[outcome].to_numpy(dtype=float)
            row = {"predictor": predictor, "outcome": outcome, "n_models": len(known)}
            rows.append(row | _correlate(x, y, n_draws, rng))
    return pd.DataFrame(rows)


def _correlate(x: np.ndarray, y: np.ndarray, n_draws: int, rng: np.random.Generator) -> dict[str, float]:
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return dict.fromkeys(("spearman", "low", "high", "p", "slope"), float("nan"))
    x_ranks, y_ranks = stats.rankdata(x), stats.rankdata(y)
    observed = float(np.corrcoef(x_ranks, y_ranks)[0, 1])
    permuted = rng.permuted(np.tile(y_ranks, (n_draws, 1)), axis=1)
    centred = x_ranks - x_ranks.mean()
    shuffled = (permuted - y_ranks.mean()) @ centred / (len(x) * x_ranks.std() * y_ranks.std())
    # The observed order is one of the permutations.
    p = (np.count_nonzero(np.abs(shuffled) >= abs(observed) - 1e-12) + 1) / (n_draws + 1)
    picked = rng.integers(0, len(x), size=(n_draws, len(x)))
    low, high = np.nanquantile(_spearman_rows(x[picked], y[picked]), [0.025, 0.975])
    slope = float(np.polyfit(x, y, 1)[0])
    return {"spearman": observed, "low": float(low), "high": float(high), "p": float(p), "slope": slope}


def _spearman_rows(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's correlation of every row; NaN where a resample drew one value only."""
    a, b = (stats.rankdata(values, axis=1) for values in (x, y))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), spread, out=np.full(len(a), np.nan), where=spread > 0)
