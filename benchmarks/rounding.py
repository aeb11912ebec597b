"""What half a step of 16 bits does to a cell: measured on the corpora and weights at hand.

    python benchmarks/rounding.py --data DIR --weights DIR [--results results] [--n-draws 20]

Each recording is replaced by signals that round to it, and the cell is evaluated anew. Writes
RESULTS/audit/rounding.csv, where the rows of other tasks and models stay. Embeddings lie in WORK until their model is
finished: after an interruption the same command goes on from there. The random forest is left out, by default: it takes
most of the time, and in no cell here is it the best on validation or on test.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from measuring import make_parser, run

from serab_lib import load_extractor
from serab_lib.audit.kept import write_kept
from serab_lib.audit.rounding import describe_draws, measure_rounding, report_draws
from serab_lib.corpus import find_corpus
from serab_lib.results import Results


def main() -> None:
    """Measure and write, after each model."""
    parser = make_parser(__doc__)
    parser.add_argument("--tasks", default="RAV")
    parser.add_argument("--models", default="byol-s-512,logmel-stats,yamnet,opensmile")
    parser.add_argument("--classifiers", default="LDA,LR,QDA,SVC")
    parser.add_argument("--n-draws", type=int, default=20)
    parser.add_argument("--work", type=Path, default=Path("_build/rounding"))
    options = parser.parse_args()
    for task in options.tasks.split(","):
        corpus = find_corpus(task, options.data)
        for model in options.models.split(","):
            work = options.work / f"{corpus.task.code}-{model}"
            table = measure_rounding(
                corpus,
                load_extractor(model, weights=options.weights),
                cache=work,
                n_draws=options.n_draws,
                classifiers=options.classifiers.split(","),
                progress=lambda n, total, model=model: print(f"{model}: signal {n} of {total}", flush=True),
            ).assign(task=corpus.task.code, model=model)
            write_kept(Results(options.results), "rounding", table)
            print(describe_draws(report_draws(table, "released"), {}), flush=True)
            shutil.rmtree(work)


if __name__ == "__main__":
    run(main)
