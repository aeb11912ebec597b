"""What the programs in `benchmarks/` measured on real corpora for the audit: one table each, beside the results."""

from __future__ import annotations

import json

import pandas as pd

from serab_lib.benchmark.results import Results
from serab_lib.core import replaced


def no_rows() -> pd.DataFrame:
    """Make the table of a program that has not run."""
    return pd.DataFrame(columns=["task", "model"])


def read_kept(results: Results, name: str) -> pd.DataFrame:
    """Read what a program measured.

    Parameters
    ----------
    results : Results
        The folder that holds `audit/`.
    name : str
        Of the program and of its table: ``label_order``, ``resampler`` or ``speaker_leak``.

    Returns
    -------
    pandas.DataFrame
        With `task` and `model`; empty where nothing was measured.
    """
    path = results.folder / "audit" / f"{name}.csv"
    if not path.is_file():
        return no_rows()
    return pd.read_csv(path, converters={"best_params": json.loads})


def write_kept(results: Results, name: str, table: pd.DataFrame) -> None:
    """Keep what a program measured, in the place of what it had measured for the same tasks and models.

    Parameters
    ----------
    results : Results
        The folder that holds `audit/`.
    name : str
        Of the program.
    table : pandas.DataFrame
        With `task` and `model`. The rows of others stay.
    """
    cells = {}
    for rows in (read_kept(results, name), table):
        cells |= dict(iter(rows.groupby(["task", "model"], sort=False)))
    whole = pd.concat(cells.values())
    if "best_params" in whole:
        whole = whole.assign(best_params=whole["best_params"].map(json.dumps))
    with replaced(results.folder / "audit" / f"{name}.csv") as temporary:
        whole.round(6).to_csv(temporary, index=False)
