"""What the order of the classes does to one cell: an SVM's votes tie, and ties go to the lower number.

    python benchmarks/label_order.py --data DIR --weights DIR [--results results] [--n-orders 1000]

Writes one row per order of RAVDESS's classes, with BYOL-S 512, to RESULTS/audit/label_order.csv: the release's order
first, random ones after it. With k classes a machine holds k (k - 1) / 2 votes between pairs of classes, which do not
depend on the numbering; so each candidate of the search is fitted once, and its votes are counted anew for every order.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from measuring import keep, make_parser, run
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ParameterGrid
from sklearn.svm import SVC

from serab_lib import load_extractor, split
from serab_lib.benchmark.embeddings import extract_corpus
from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError
from serab_lib.corpora.corpus import find_corpus
from serab_lib.evaluation.classifiers import GRIDS
from serab_lib.evaluation.protocol import normalise_speakers
from serab_lib.evaluation.solvers import MAX_ITERATIONS

TASK, MODEL, PROTOCOL = "RAV", "byol-s-512", "released"


def main() -> None:
    """Measure and write."""
    parser = make_parser(__doc__)
    parser.add_argument("--n-orders", type=int, default=1000)
    options = parser.parse_args()
    results = Results(options.results)
    cells = results.read_cells().set_index(["task", "model", "protocol", "classifier"])["test_accuracy"].sort_index()
    if (TASK, MODEL, PROTOCOL) not in cells.index:
        raise SerabError(
            f"{options.results} has no cell of {MODEL} on {TASK}: `serab run --tasks {TASK} --models {MODEL} "
            f"--protocol {PROTOCOL} --out {options.results}` makes it"
        )
    others = float(cells.loc[TASK, MODEL, PROTOCOL].drop("SVC").max())
    corpus = find_corpus(TASK, options.data)
    embeddings = extract_corpus(corpus, load_extractor(MODEL, weights=options.weights)).matrix
    parts = split(corpus.utterances, corpus.task, PROTOCOL)
    table = measure_orders(embeddings, parts, corpus.task.classes, n_orders=options.n_orders)
    # What the release reports: the best of the SVM and the other four.
    table = table.assign(released=table["test_accuracy"].clip(lower=others), task=TASK, model=MODEL)
    keep(results, "label_order", table)
    print(table["released"].describe(), (100 * table["released"]).round(1).value_counts(normalize=True).head(8))


def measure_orders(
    embeddings: np.ndarray,
    parts: pd.DataFrame,
    classes: Sequence[str],
    *,
    n_orders: int,
    grid: Mapping[str, Sequence[Any]] = GRIDS["SVC"],
) -> pd.DataFrame:
    """One row per order of the classes, the given one first: accuracies, parameters and how many votes are tied."""
    rng = np.random.default_rng(0)
    X = normalise_speakers(embeddings, parts["group"], parts["part"])
    y = parts["emotion"].map(list(classes).index).to_numpy()
    train, validation, test = (np.flatnonzero(parts["part"] == part) for part in ("train", "validation", "test"))
    candidates = list(ParameterGrid(dict(grid)))
    searched = [count_votes(X[train], y[train], X[validation], candidate) for candidate in candidates]
    both = np.concatenate([train, validation])

    @functools.cache
    def refit(number: int) -> np.ndarray:
        return count_votes(X[both], y[both], X[test], candidates[number])

    orders = [np.arange(len(classes)), *(rng.permutation(len(classes)) for _ in range(n_orders))]
    return pd.DataFrame(
        measure_order(order, candidates, searched, refit, y[validation], y[test], classes) for order in orders
    )


def measure_order(
    order: np.ndarray,
    candidates: Sequence[Mapping[str, Any]],
    searched: Sequence[np.ndarray],
    refit: Callable[[int], np.ndarray],
    y_validation: np.ndarray,
    y_test: np.ndarray,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Choose a candidate on validation and score it on test, with votes decided in one order."""
    n_right = [int((decide(votes, order) == y_validation).sum()) for votes in searched]
    best = int(np.argmax(n_right))
    votes = refit(best)
    return {
        "classes": " ".join(classes[number] for number in order),
        "best_params": candidates[best],
        "validation_accuracy": n_right[best] / len(y_validation),
        "test_accuracy": float((decide(votes, order) == y_test).mean()),
        "n_tied": int(((votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum()),
    }


def decide(votes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The class with the most votes, among equals the one that comes first in the order."""
    return order[votes[:, order].argmax(axis=1)]


def count_votes(X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, candidate: Mapping[str, Any]) -> np.ndarray:
    """Votes of the machines between all pairs of classes, shape (n_eval, n_classes)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine = SVC(**candidate, max_iter=MAX_ITERATIONS, decision_function_shape="ovo", random_state=42)
        machine.fit(X_fit, y_fit)
    decisions = machine.decision_function(X_eval)
    if decisions.ndim == 1:  # two classes are one machine, whose sign scikit-learn turns round
        decisions = -decisions[:, None]
    votes = np.zeros((len(X_eval), int(y_fit.max()) + 1), dtype=int)
    for column, (one, other) in enumerate(combinations(machine.classes_, 2)):
        won = decisions[:, column] > 0
        votes[won, one] += 1
        votes[~won, other] += 1
    return votes


if __name__ == "__main__":
    run(main)
