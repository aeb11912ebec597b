"""What it is worth to have heard the test speakers: measured on the corpora and weights at hand.

    python benchmarks/speaker_leak.py --data DIR --weights DIR [--results results]

For each task and model, the described test part is halved again and again; one half is tested by a classifier that has
heard its speakers in the other half, and by one that has not. Writes RESULTS/audit/speaker_leak.csv, where the rows of
other tasks and models stay.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from measuring import keep, make_parser, run

from serab_lib import load_extractor, split
from serab_lib.benchmark.embeddings import extract_corpus
from serab_lib.benchmark.results import Results
from serab_lib.corpora.corpus import find_corpus
from serab_lib.evaluation.classifiers import fit_classifier
from serab_lib.evaluation.protocol import normalise_speakers


def main() -> None:
    """Measure and write, after each model."""
    parser = make_parser(__doc__)
    parser.add_argument("--tasks", default="RAV")
    parser.add_argument("--models", default="byol-s-512,opensmile,logmel-stats,yamnet")
    parser.add_argument("--n-repeats", type=int, default=20)
    options = parser.parse_args()
    for task in options.tasks.split(","):
        corpus = find_corpus(task, options.data)
        parts = split(corpus.utterances, corpus.task, "described")
        for model in options.models.split(","):
            embeddings = extract_corpus(corpus, load_extractor(model, weights=options.weights)).matrix
            leaks = measure_leak(embeddings, parts, n_repeats=options.n_repeats)
            print(f"{task}, {model}: {100 * leaks['leak'].mean():+.1f} points over {len(leaks)} halvings", flush=True)
            keep(Results(options.results), "speaker_leak", leaks.assign(task=corpus.task.code, model=model))


def measure_leak(embeddings: np.ndarray, parts: pd.DataFrame, *, n_repeats: int) -> pd.DataFrame:
    """One row per halving of the test part: accuracies without and with its speakers known, and their difference.

    The test part is halved speaker by speaker and class by class, and one half is tested. LDA is fitted twice on
    equally many utterances: on train and validation, and with as many of these, drawn at random, replaced by the other
    half. Every speaker is normalised by all of their own utterances both times, so that the difference is the
    speakers' being known to the classifier, and nothing else.
    """
    rng = np.random.default_rng(0)
    features = normalise_speakers(embeddings, parts["speaker"], np.full(len(parts), "all"))
    y = parts["emotion"].to_numpy(dtype=str)
    test = (parts["part"] == "test").to_numpy()
    others = np.flatnonzero(~test)
    rows = []
    for _ in range(n_repeats):
        shuffled = parts[test].sample(frac=1, random_state=rng)
        second = shuffled.groupby(["speaker", "emotion"]).cumcount() % 2 == 1
        tested, heard = shuffled.index[~second].to_numpy(), shuffled.index[second].to_numpy()
        kept = rng.permutation(others)[: max(0, len(others) - len(heard))]
        scores = {}
        for name, fitted in (("without", others), ("with_leak", np.concatenate([kept, heard]))):
            # Without a search the two parts that are handed over are only joined.
            n = len(fitted) - len(others) // 5
            one, other = fitted[:n], fitted[n:]
            result = fit_classifier(
                "LDA", features[one], y[one], features[other], y[other], features[tested], search=False
            )
            scores[name] = float((result.predictions == y[tested]).mean())
        rows.append({"n_test": len(tested), **scores, "leak": scores["with_leak"] - scores["without"]})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    run(main)
