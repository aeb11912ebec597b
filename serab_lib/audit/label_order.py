"""How much of an SVM's accuracy the numbering of the classes decides.

With k classes a support vector machine holds k (k - 1) / 2 votes, and a tie goes to the class with the lower number.
The release numbers the classes in the order of each loader's table; IEM4's in that of a Python set of strings, which
TFDS takes over when it builds the data set and which changes from one build to the next.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ParameterGrid
from sklearn.svm import SVC

from serab_lib.evaluation.classifiers import GRIDS
from serab_lib.evaluation.protocol import Problem
from serab_lib.evaluation.svm import MAX_ITERATIONS, scale_gamma


def measure_label_order(
    embeddings: np.ndarray,
    utterances: pd.DataFrame,
    *,
    classes: Sequence[str] | None = None,
    n_orders: int = 1_000,
    rng: np.random.Generator | int = 0,
    grid: Mapping[str, Sequence[Any]] | None = None,
    other_accuracy: float | None = None,
) -> pd.DataFrame:
    """Evaluate the SVM of one cell under random orders of the classes.

    Parameters
    ----------
    embeddings : np.ndarray [shape=(n, d)]
        One row per utterance.
    utterances : pandas.DataFrame
        As from `serab_lib.corpora.splits.split`: `emotion`, `group` and `part`.
    classes : sequence of str, optional
        The order that comes first, such as `Task.classes`, which is the release's; the alphabetical one if None.
    n_orders : int
        Random orders besides.
    rng : numpy.random.Generator or int
        A generator, or a seed.
    grid : mapping, optional
        What is searched; the benchmark's own by default.
    other_accuracy : float, optional
        Best test accuracy of the other four classifiers, 0 to 1, to tell what the release would report.

    Returns
    -------
    pandas.DataFrame
        One row per order: `classes` (in that order), `best_params` (chosen on validation), `validation_accuracy`,
        `test_accuracy`, `n_tied` (test utterances whose vote is tied), and `released`, the larger of the SVM's test
        accuracy and `other_accuracy`.

    Notes
    -----
    The machines between pairs of classes do not depend on the numbering, up to the tolerance of their training, so
    each candidate of the grid is fitted once and only the votes are counted anew for every order.
    """
    rng = np.random.default_rng(rng)
    present = set(utterances["emotion"])
    names = tuple(name for name in classes or sorted(present) if name in present)
    X_train, y_train, X_validation, y_validation, X_test = Problem(embeddings, utterances, names).parts()
    y_test = utterances.loc[utterances["part"] == "test", "emotion"].map(names.index).to_numpy()
    candidates = list(ParameterGrid(dict(grid or GRIDS["SVC"])))
    searched = _PairwiseMachines(X_train, y_train, X_validation)
    refitted = _PairwiseMachines(
        np.concatenate([X_train, X_validation]), np.concatenate([y_train, y_validation]), X_test
    )
    votes = [searched.count_votes(candidate) for candidate in candidates]
    orders = [np.arange(len(names)), *(rng.permutation(len(names)) for _ in range(n_orders))]
    rows = []
    for order in orders:
        n_right = [int((decide(each, order) == y_validation).sum()) for each in votes]
        best = int(np.argmax(n_right))
        tested = refitted.count_votes(candidates[best])
        accuracy = float((decide(tested, order) == y_test).mean())
        rows.append(
            {
                "classes": tuple(names[number] for number in order),
                "best_params": dict(candidates[best]),
                "validation_accuracy": n_right[best] / len(y_validation),
                "test_accuracy": accuracy,
                "n_tied": count_ties(tested),
                "released": max(accuracy, other_accuracy or 0.0),
            }
        )
    return pd.DataFrame(rows)


def decide(votes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Choose the class with the most votes, among equals the one that comes first.

    Parameters
    ----------
    votes : np.ndarray of int [shape=(n, k)]
    order : np.ndarray of int [shape=(k,)]
        The classes in the order of their numbers.

    Returns
    -------
    np.ndarray of int [shape=(n,)]

    Examples
    --------
    >>> import numpy as np
    >>> decide(np.array([[1, 1, 1], [0, 1, 2]]), np.array([2, 0, 1])).tolist()
    [2, 2]
    """
    return order[votes[:, order].argmax(axis=1)]


def count_ties(votes: np.ndarray) -> int:
    """Count the utterances for which several classes have the most votes."""
    return int(((votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum())


class _PairwiseMachines:
    """Votes of the machines between all pairs of classes, one fit a candidate."""

    def __init__(self, X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray) -> None:
        self.X_fit, self.y_fit, self.X_eval = X_fit, y_fit, X_eval
        self.linear = X_fit @ X_fit.T, X_eval @ X_fit.T
        self.radial = tuple(self._radial(X, products) for X, products in zip((X_fit, X_eval), self.linear, strict=True))
        self._votes: dict[str, np.ndarray] = {}

    def _radial(self, X: np.ndarray, products: np.ndarray) -> np.ndarray:
        squares = (X**2).sum(axis=1)[:, None] + (self.X_fit**2).sum(axis=1) - 2 * products
        return np.exp(-scale_gamma(self.X_fit) * squares)

    def count_votes(self, candidate: Mapping[str, Any]) -> np.ndarray:
        key = str(sorted(candidate.items()))
        if key not in self._votes:
            self._votes[key] = self._fit(candidate)
        return self._votes[key]

    def _fit(self, candidate: Mapping[str, Any]) -> np.ndarray:
        fit_kernel, eval_kernel = self.linear if candidate["kernel"] == "linear" else self.radial
        settings = {**candidate, "kernel": "precomputed", "max_iter": MAX_ITERATIONS}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine = SVC(**settings, decision_function_shape="ovo", random_state=42).fit(fit_kernel, self.y_fit)
        decisions = machine.decision_function(eval_kernel)
        k = len(machine.classes_)
        if k == 2:  # one machine, whose sign scikit-learn turns round
            decisions = -decisions[:, None]
        votes = np.zeros((len(eval_kernel), int(self.y_fit.max()) + 1), dtype=int)
        for column, (one, other) in enumerate(combinations(range(k), 2)):
            won = decisions[:, column] > 0
            votes[won, machine.classes_[one]] += 1
            votes[~won, machine.classes_[other]] += 1
        return votes
