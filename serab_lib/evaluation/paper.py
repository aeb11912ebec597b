"""The paper's tables as it prints them: accuracies in percent, parameters in millions."""

from __future__ import annotations

from importlib import resources

import pandas as pd

_FOLDER = resources.files("serab_lib") / "data" / "paper"


def _read(name: str) -> pd.DataFrame:
    with (_FOLDER / name).open() as file:
        return pd.read_csv(file)


def read_datasets() -> pd.DataFrame:
    """Table 1: one row per data set."""
    return _read("table1_datasets.csv")


def read_models() -> pd.DataFrame:
    """Table 2: one row per baseline, with its row of table 3, parameters in millions and embedding size."""
    return _read("table2_models.csv")


def read_accuracies() -> pd.DataFrame:
    """Table 3: one row per model, one column per task, then UM, WM and GM; percent."""
    return _read("table3_accuracy.csv").set_index("model")


def find_counts(printed: float, n: int) -> list[int]:
    """Find the numbers of right answers of n that a printed accuracy may stand for (percent with one decimal).

    Both ends of the rounding count, as a value between two decimals may have been printed as either; computed in whole
    numbers, so that no float decides.

    Examples
    --------
    >>> find_counts(86.8, 372), find_counts(86.8, 738)
    ([323], [])
    """
    tenths = round(10 * printed)
    low = -(-(2 * tenths - 1) * n // 2000)
    high = (2 * tenths + 1) * n // 2000
    return list(range(max(0, low), min(n, high) + 1))
