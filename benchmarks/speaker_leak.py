"""What it is worth to have seen the test speakers in training: measured on the corpora and weights at hand.

    python benchmarks/speaker_leak.py --data DIR --weights DIR [--results results]

For each task and model, the described test part is halved again and again; one half is tested by a classifier that has
seen its speakers in the other half, and by one that has not. Writes RESULTS/audit/speaker_leak.csv, where the rows of
other tasks and models stay.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from measuring import keep, make_parser, run

from serab_lib import load_extractor, split
from serab_lib.benchmark.embeddings import extract_corpus
from serab_lib.benchmark.results import Results
from serab_lib.corpora.corpus import find_corpus
from serab_lib.corpora.task import Task
from serab_lib.evaluation.classifiers import fit_classifier
from serab_lib.evaluation.protocol import normalise_speakers

# Parts of a file's name that number the takes of one sentence, as the tasks' patterns call them.
TAKES = ("repetition", "take", "version")


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
        sentences = name_sentences(parts, corpus.task)
        for model in options.models.split(","):
            embeddings = extract_corpus(corpus, load_extractor(model, weights=options.weights)).matrix
            tables = [
                measure_leak(embeddings, parts, units, n_repeats=options.n_repeats).assign(takes=takes)
                for takes, units in (("together", sentences), ("apart", parts["stem"]))
            ]
            leaks = pd.concat(tables)
            together = 100 * leaks.loc[leaks["takes"] == "together", "leak"].mean()
            print(f"{task}, {model}: {together:+.1f} points over {options.n_repeats} halvings", flush=True)
            keep(Results(options.results), "speaker_leak", leaks.assign(task=corpus.task.code, model=model))


def name_sentences(parts: pd.DataFrame, task: Task) -> pd.Series:
    """Name what an utterance shares with the other takes of it: its file's name but for the number of the take."""
    found = [re.fullmatch(task.pattern, stem).groupdict() for stem in parts["stem"]]
    names = ["-".join(value for name, value in fields.items() if name not in TAKES) for fields in found]
    return pd.Series(names, index=parts.index)


def measure_leak(embeddings: np.ndarray, parts: pd.DataFrame, units: pd.Series, *, n_repeats: int) -> pd.DataFrame:
    """One row per test speaker: accuracies with the test speakers unseen and seen, means over halvings; the difference.

    The test part is halved speaker by speaker and class by class, units staying whole, and one half is tested. LDA is
    fitted twice on equally many utterances: on train and validation, and with as many of these, drawn at random,
    replaced by the other half. Every speaker is normalised by all of their own utterances both times.
    """
    rng = np.random.default_rng(0)
    features = normalise_speakers(embeddings, parts["speaker"], np.full(len(parts), "all"))
    y = parts["emotion"].to_numpy(dtype=str)
    test = (parts["part"] == "test").to_numpy()
    others = np.flatnonzero(~test)
    answers = []
    for _ in range(n_repeats):
        order = units[test].drop_duplicates().sample(frac=1, random_state=rng).tolist()
        shuffled = parts[test].assign(unit=units.map({unit: i for i, unit in enumerate(order)})).sort_values("unit")
        position = shuffled.groupby(["speaker", "emotion"])["unit"].rank(method="dense")
        tested, seen = (shuffled.index[position % 2 == half].to_numpy() for half in (1, 0))
        kept = rng.permutation(others)[: max(0, len(others) - len(seen))]
        right = {"speaker": parts["speaker"].to_numpy()[tested]}
        for name, fitted in (("unseen", others), ("seen", np.concatenate([kept, seen]))):
            # Without a search the two parts that are handed over are only joined.
            n = len(fitted) - len(others) // 5
            one, other = fitted[:n], fitted[n:]
            result = fit_classifier(
                "LDA", features[one], y[one], features[other], y[other], features[tested], search=False
            )
            right[name] = result.predictions == y[tested]
        answers.append(pd.DataFrame(right))
    by_speaker = pd.concat(answers).groupby("speaker")
    table = by_speaker[["unseen", "seen"]].mean().assign(n_test=by_speaker.size() // n_repeats)
    return table.assign(leak=table["seen"] - table["unseen"]).reset_index()


if __name__ == "__main__":
    run(main)
