"""Compute the committed cells anew, where data and weights allow, and compare: one line a difference, exit code 1.

python scripts/compare_cells.py --data DIR --weights DIR [--tasks RAV] [--models egemaps,logmel-stats]

Embeddings come from the cache (SERAB_CACHE) where it has them; the folder results/ is only read.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from serab_lib.benchmark.grid import Settings, run_grid
from serab_lib.benchmark.results import Results

COMMITTED = Results(Path(__file__).resolve().parents[1] / "results")
EXACT = ["test_accuracy", "test_uar", "selected", "best_params"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("data", "weights", "tasks", "models"):
        parser.add_argument(f"--{option}")
    options = parser.parse_args()
    cells = COMMITTED.read_cells()
    tasks = options.tasks.split(",") if options.tasks else list(cells["task"].unique())
    models = options.models.split(",") if options.models else list(cells["model"].unique())
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            out=folder, data=options.data, weights=options.weights, protocols=tuple(cells["protocol"].unique())
        )
        summary = run_grid(tasks, models, settings)
        lines = [line for key in summary.computed for line in compare(Results(folder), key)]
    print(f"{len(summary.computed)} cells compared", *summary.failures, *lines, sep="\n")
    return 1 if lines or not summary.computed else 0


def compare(results: Results, key: tuple[str, str, str]) -> Iterator[str]:
    """Yield a line for each classifier of a cell that differs; logistic regression by 1 % of its predictions."""
    tables = [each.read_cells().set_index(["task", "model", "protocol", "classifier"]) for each in (results, COMMITTED)]
    predictions = [each.read_predictions(*key) for each in (results, COMMITTED)]
    for name in tables[0].loc[key].index:
        new, old = (table.loc[(*key, name), EXACT] for table in tables)
        n_other = (predictions[0][name] != predictions[1][name]).sum()
        allowed = len(predictions[0]) // 100 if name == "LR" else 0
        if n_other > allowed or (name != "LR" and not new.equals(old)):
            yield f"{', '.join(key)}, {name}: {n_other} predictions differ; {new.to_dict()}, committed {old.to_dict()}"


if __name__ == "__main__":
    sys.exit(main())
