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
    """Table 2: one row per baseline, with parameters in millions and embedding size."""
    return _read("table2_models.csv")


def read_accuracies() -> pd.DataFrame:
    """Table 3: one row per model, one column per task, then UM, WM and GM; percent."""
    return _read("table3_accuracy.csv").set_index("model")
