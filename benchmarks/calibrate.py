"""What measured cells say of the assumptions of `benchmarks/selection.py`.

    python benchmarks/calibrate.py [--results results]

Writes RESULTS/audit/selection.csv, one row in percent. `spread` comes from what validation and test accuracies of the
classifiers have in common, `shift` from what their variance holds beyond that and beyond sampling; `correlation` is of
the right answers of a cell's classifiers, `between_models` of those that cells report; all under the released split.
QDA is left out: where it fails it competes for nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import run

from serab_lib.benchmark.results import CELL_KEY, Results
from serab_lib.core import SerabError, replaced
from serab_lib.evaluation.protocol import select


def main() -> None:
    """Estimate and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"))
    results = Results(parser.parse_args().results)
    estimates = calibrate(results)
    with replaced(results.folder / "audit" / "selection.csv") as temporary:
        estimates.to_frame().T.round(4).to_csv(temporary, index=False)
    print(", ".join(f"{name} {value:.1f}" for name, value in estimates.items()))


def calibrate(results: Results) -> pd.Series:
    """Estimate spread, shift and correlations, in percent, from `n_cells` measured cells."""
    cells = results.read_cells().query("protocol == 'released' and classifier != 'QDA' and not synthetic")
    if cells.empty:
        raise SerabError(f"no measured cell under `released` in {results.folder}: make some with `serab run`")
    common, beyond, correlations, reported = [], [], [], {}
    for (task, model, protocol), cell in cells.groupby(CELL_KEY, sort=False):
        predictions = results.read_predictions(task, model, protocol)
        right = predictions[cell["classifier"]].eq(predictions["emotion"], axis=0).astype(float)
        reported.setdefault(task, {})[model] = right[select(cell, "released")].set_axis(predictions["stem"])
        correlations.append(average_correlation(right))
        common.append(cell["validation_accuracy"].cov(cell["test_accuracy"]))
        for part in ("validation", "test"):
            share, n = cell[f"{part}_accuracy"], cell[f"n_{part}"].iloc[0]
            sampling = (1 - correlations[-1]) * (share * (1 - share)).mean() / n
            beyond.append(share.var() - sampling)
    between = [average_correlation(pd.DataFrame(right)) for right in reported.values()]
    spread, shift = np.mean(common), np.mean(beyond) - np.mean(common)
    values = {"spread": np.sqrt(max(spread, 0)), "shift": np.sqrt(max(shift, 0))}
    values |= {"correlation": np.mean(correlations), "between_models": np.mean(between)}
    return pd.Series({"n_cells": len(common)} | {name: 100 * value for name, value in values.items()})


def average_correlation(right: pd.DataFrame) -> float:
    matrix = right.corr().to_numpy()
    return pd.Series(matrix[np.triu_indices(len(matrix), k=1)]).mean()


if __name__ == "__main__":
    run(main)
