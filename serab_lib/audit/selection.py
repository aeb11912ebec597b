"""What choosing the classifier on the test part is worth: measured, and as simulated for the paper's test sizes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from serab_lib.benchmark.results import CELL_KEY
from serab_lib.evaluation.protocol import select

FILE = Path(__file__).parents[1] / "data" / "selection.csv"
# What is simulated. SPREAD is the standard deviation, over the classifiers, of the accuracy that each would have on
# endless test data; SHIFT that of what a part's few speakers add to each classifier's accuracy there; in points.
N_DRAWS, N_CLASSIFIERS, SPREAD, SHIFT = 1_000, 5, 2, 2


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


def read_simulation() -> pd.DataFrame:
    """Read what `benchmarks/selection.py` simulated, by `spread` and `shift`: a row for each task, in points.

    Means over draws and models: `gap` (best on test minus chosen on validation; 95 % of the draws are between `low` and
    `high`), which is `optimism` (best on test minus what that classifier has on endless data) and `better_choice` (what
    the best on test has on endless data minus what the chosen one has). `tau_test` and `tau_validation`, over all
    tasks, are Kendall's tau by UM of either choice with the order of each model's truly best classifier.
    """
    return pd.read_csv(FILE, index_col=["spread", "shift"])
