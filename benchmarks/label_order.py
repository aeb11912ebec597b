"""What the order of the classes does to one cell: an SVM's votes tie, and ties go to the lower number.

    python benchmarks/label_order.py --data DIR --weights DIR [--results results] [--n-orders 1000]

Writes one row per random order of RAVDESS's classes, with BYOL-S 512, to RESULTS/audit/label_order.csv.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from serab_lib import load_extractor, split
from serab_lib.audit.label_order import measure_label_order
from serab_lib.corpus import find_corpus
from serab_lib.extraction import extract_corpus
from serab_lib.results import Results
from serab_lib.storage import replaced

TASK, MODEL, PROTOCOL = "RAV", "byol-s-512", "released"


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("SERAB_DATA"))
    parser.add_argument("--weights", default=os.environ.get("SERAB_WEIGHTS"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--n-orders", type=int, default=1000)
    options = parser.parse_args()
    corpus = find_corpus(TASK, options.data)
    embeddings = extract_corpus(corpus, load_extractor(MODEL, weights=options.weights))
    cells = Results(options.results).read_cells()
    own = cells[(cells["task"] == TASK) & (cells["model"] == MODEL) & (cells["protocol"] == PROTOCOL)]
    others = own.loc[own["classifier"] != "SVC", "test_accuracy"].max()
    parts = split(corpus.utterances, corpus.task, PROTOCOL)
    orders = measure_label_order(embeddings, parts, n_orders=options.n_orders, other_accuracy=float(others))
    table = orders.assign(
        task=TASK,
        model=MODEL,
        classes=orders["classes"].str.join(" "),
        best_params=orders["best_params"].map(json.dumps),
    )
    with replaced(options.results / "audit" / "label_order.csv") as temporary:
        table.round(6).to_csv(temporary, index=False)
    print(table["released"].describe(), (100 * table["released"]).round(1).value_counts(normalize=True).head(8))
    return 0


if __name__ == "__main__":
    sys.exit(main())
