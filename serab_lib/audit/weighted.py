"""Test sizes recovered from the weighted means: a second witness, where a column of accuracies says too little.

The paper weighs WM by test size. A wrong size of one task moves the WM of every row the same way, by little; over a
dozen rows, rounding cannot hide that.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from serab_lib.audit.arithmetic import HALF_DIGIT, check_means

N_DRAWS = 4_000


def weigh_sizes(
    accuracies: pd.DataFrame,
    sizes: pd.Series,
    task: str,
    candidates: Iterable[int],
    *,
    n_draws: int = N_DRAWS,
    rng: np.random.Generator | int = 0,
) -> pd.DataFrame:
    """Hold the printed weighted means against candidate test sizes of one task.

    Parameters
    ----------
    accuracies : pandas.DataFrame
        As from `serab_lib.evaluation.paper.read_accuracies`.
    sizes : pandas.Series
        Task to test size, for the other tasks, as from `serab_lib.audit.denominators.recover_sizes`.
    task : str
        Whose size is varied.
    candidates : iterable of int
        Its sizes.
    n_draws : int
        Draws of the rounding errors.
    rng : numpy.random.Generator or int
        A generator, or a seed.

    Returns
    -------
    pandas.DataFrame
        One row per candidate: `n`, `n_rows` (rows that are used), `n_exact` (rows whose recomputed WM prints as the
        paper's), `mean_difference` (printed - recomputed, in points), `likelihood` (chance that rounding the
        accuracies gives the printed WM in all rows, if this is the size) and `relative` (that, over the largest
        among the candidates).

    Notes
    -----
    Rows whose WM does not follow from the given `sizes` by any rounding are wrong for another reason and left out.
    Each draw puts every accuracy anywhere within 0.05 of what is printed, all places equally likely, and prints the
    weighted mean of that.
    """
    rng = np.random.default_rng(rng)
    means = check_means(accuracies, sizes)
    usable = accuracies.loc[means.loc[(means["mean"] == "WM") & means["agrees"], "model"]]
    columns, printed = usable[list(sizes.index)].to_numpy(dtype=float), usable["WM"].to_numpy(dtype=float)
    offsets = rng.uniform(-HALF_DIGIT, HALF_DIGIT, size=(n_draws, len(sizes)))
    rows = []
    for n in candidates:
        weights = sizes.where(sizes.index != task, n).to_numpy(dtype=float)
        weights /= weights.sum()
        differences = printed - columns @ weights
        near = np.abs(differences[:, None] - offsets @ weights) <= HALF_DIGIT + 1e-9
        # Half a draw is added, so that what never occurred is not taken for impossible.
        chances = (near.sum(axis=1) + 0.5) / (n_draws + 1)
        rows.append(
            {
                "task": task,
                "n": int(n),
                "n_rows": len(usable),
                "n_exact": int((np.abs(differences) <= HALF_DIGIT + 1e-9).sum()),
                "mean_difference": float(differences.mean()) if len(usable) else float("nan"),
                "likelihood": float(chances.prod()),
            }
        )
    result = pd.DataFrame(rows)
    return result.assign(relative=result["likelihood"] / result["likelihood"].max())
