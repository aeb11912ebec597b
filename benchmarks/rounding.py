"""What half a step of 16 bits does to a cell: measured on the corpora and weights at hand.

    python benchmarks/rounding.py --data DIR --weights DIR [--results results] [--n-draws 20]

Each recording is replaced by signals that round to it, and the cell is evaluated anew. Writes
RESULTS/audit/rounding.csv. The random forest is left out, by default: it takes nine tenths of the time, and in no cell
here is it the best on validation or on test.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import pandas as pd

from serab_lib import load_extractor
from serab_lib.audit.rounding import measure_rounding, report_draws
from serab_lib.corpus import find_corpus
from serab_lib.storage import replaced


def main() -> int:
    """Measure and write, after each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("SERAB_DATA"))
    parser.add_argument("--weights", default=os.environ.get("SERAB_WEIGHTS"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--task", default="RAV")
    parser.add_argument("--models", default="byol-s-512,logmel-stats,yamnet,opensmile")
    parser.add_argument("--classifiers", default="LDA,LR,QDA,SVC")
    parser.add_argument("--n-draws", type=int, default=20)
    options = parser.parse_args()
    corpus, tables = find_corpus(options.task, options.data), []
    for model in options.models.split(","):
        extractor = load_extractor(model, weights=options.weights)
        with tempfile.TemporaryDirectory() as cache:
            table = measure_rounding(
                corpus,
                extractor,
                cache=Path(cache),
                n_draws=options.n_draws,
                classifiers=options.classifiers.split(","),
            )
        tables.append(table.assign(task=options.task, model=model))
        reported = 100 * report_draws(tables[-1], "released")["test_accuracy"]
        print(
            f"{model}: {reported.iloc[0]:.1f} % as recorded, {reported.min():.1f} to {reported.max():.1f}", flush=True
        )
        whole = pd.concat(tables)
        with replaced(options.results / "audit" / "rounding.csv") as temporary:
            whole.assign(best_params=whole["best_params"].map(json.dumps)).round(6).to_csv(temporary, index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
