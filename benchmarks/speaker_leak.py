"""What it is worth to have heard the test speakers: measured on the corpora and weights at hand.

    python benchmarks/speaker_leak.py --data DIR --weights DIR [--results results]

For each task and model, the described test part is halved again and again; one half is tested by a classifier that has
heard its speakers in the other half, and by one that has not. Writes RESULTS/audit/speaker_leak.csv.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pandas as pd

from serab_lib import load_extractor
from serab_lib.audit.leak import measure_leak
from serab_lib.corpus import find_corpus
from serab_lib.extraction import extract_corpus
from serab_lib.storage import replaced


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("SERAB_DATA"))
    parser.add_argument("--weights", default=os.environ.get("SERAB_WEIGHTS"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--tasks", default="RAV")
    parser.add_argument("--models", default="byol-s-512,opensmile,logmel-stats,yamnet")
    parser.add_argument("--n-repeats", type=int, default=20)
    options = parser.parse_args()
    tables = []
    for task in options.tasks.split(","):
        corpus = find_corpus(task, options.data)
        for model in options.models.split(","):
            embeddings = extract_corpus(corpus, load_extractor(model, weights=options.weights))
            leaks = measure_leak(embeddings, corpus.utterances, corpus.task, n_repeats=options.n_repeats)
            print(f"{task}, {model}: {100 * leaks['leak'].mean():+.1f} points over {len(leaks)} halvings", flush=True)
            tables.append(leaks.assign(task=task, model=model))
    with replaced(options.results / "audit" / "speaker_leak.csv") as temporary:
        pd.concat(tables).round(6).to_csv(temporary, index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
