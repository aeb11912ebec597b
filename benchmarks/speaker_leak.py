"""What it is worth to have heard the test speakers: measured on the corpora and weights at hand.

    python benchmarks/speaker_leak.py --data DIR --weights DIR [--results results]

For each task and model, the described test part is halved again and again; one half is tested by a classifier that has
heard its speakers in the other half, and by one that has not. Writes RESULTS/audit/speaker_leak.csv, where the rows of
other tasks and models stay.
"""

from __future__ import annotations

from measuring import make_parser, run

from serab_lib import load_extractor
from serab_lib.audit.kept import write_kept
from serab_lib.audit.leak import measure_leak
from serab_lib.benchmark.embeddings import extract_corpus
from serab_lib.benchmark.results import Results
from serab_lib.corpora.corpus import find_corpus


def main() -> None:
    """Measure and write, after each model."""
    parser = make_parser(__doc__)
    parser.add_argument("--tasks", default="RAV")
    parser.add_argument("--models", default="byol-s-512,opensmile,logmel-stats,yamnet")
    parser.add_argument("--n-repeats", type=int, default=20)
    options = parser.parse_args()
    for task in options.tasks.split(","):
        corpus = find_corpus(task, options.data)
        for model in options.models.split(","):
            embeddings = extract_corpus(corpus, load_extractor(model, weights=options.weights))
            leaks = measure_leak(embeddings, corpus.utterances, corpus.task, n_repeats=options.n_repeats)
            print(f"{task}, {model}: {100 * leaks['leak'].mean():+.1f} points over {len(leaks)} halvings", flush=True)
            table = leaks.assign(task=corpus.task.code, model=model)
            write_kept(Results(options.results), "speaker_leak", table)


if __name__ == "__main__":
    run(main)
