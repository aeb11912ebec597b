"""The five classifiers of the paper, each with its grid searched on the fixed validation part.

What comes out is what scikit-learn's ``GridSearchCV`` gives with a ``PredefinedSplit``: the same candidates in the
same order, fitted on train, scored on validation, the first of the best refitted on train and validation together.
The work that the candidates share is done once, in the module of each classifier.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import ParameterGrid
from threadpoolctl import threadpool_limits

from serab_lib.core import unknown_name
from serab_lib.evaluation import solvers
from serab_lib.evaluation.solvers import Predictions, Settings

CLASSIFIERS = ("LDA", "LR", "QDA", "RF", "SVC")

_C = tuple(10.0**exponent for exponent in range(5, -6, -1))
_CLASS_WEIGHTS = ("balanced", None)

GRIDS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "LDA": {},
    "LR": {"C": _C, "class_weight": _CLASS_WEIGHTS},
    "QDA": {"reg_param": (0.0, 0.1, 0.25)},
    "RF": {"max_depth": (5, 10, 15, 20, 25), "min_samples_split": (2, 5, 10), "class_weight": _CLASS_WEIGHTS},
    "SVC": {"kernel": ("rbf", "linear"), "C": _C, "class_weight": _CLASS_WEIGHTS},
}
"""What is searched, by classifier, as in the released code."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "LDA": {},
    "LR": {"C": 1.0, "class_weight": "balanced"},
    "QDA": {"reg_param": 0.0},
    "RF": {"max_depth": None, "min_samples_split": 2, "class_weight": "balanced"},
    "SVC": {"kernel": "rbf", "C": 1.0, "class_weight": None},
}
"""What is fitted without a search, by classifier."""

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""`X_train, y_train, X_validation, y_validation, X_test`"""


@dataclass(frozen=True)
class Candidate:
    """One setting of a classifier's grid, its place there, and how it did on validation once it was tried."""

    number: int
    params: Mapping[str, Any]
    validation_accuracy: float = float("nan")
    seconds: float = 0.0


@dataclass(frozen=True)
class ClassifierResult:
    """One classifier on one task: the selected candidate, and its labels for the test part after a refit."""

    classifier: str
    best_params: dict[str, Any]
    validation_accuracy: float
    predictions: np.ndarray
    seconds: float


def fit_classifier(
    name: str, *parts: np.ndarray, search: bool = True, grid: Mapping[str, Sequence[Any]] | None = None
) -> ClassifierResult:
    """Select a candidate on the validation part and predict the test part.

    Parameters
    ----------
    name : str
        One of `CLASSIFIERS`.
    parts : np.ndarray
        As `Parts` lists them: finite embeddings, and labels of two classes or more.
    search : bool
        Whether to search the grid; otherwise the defaults are fitted.
    grid : mapping from str to sequence, optional
        What to search in place of ``GRIDS[name]``, with the same parameters.

    Notes
    -----
    As the released ``clf_benchmark.py``. Optimisers that stop at their iteration limit do so in silence.
    """
    groups = divide_search(name, search=search, grid=grid)
    tried = [candidate for group in groups for candidate in try_candidates(name, group, parts)]
    return fit_best(name, tried, parts)


def divide_search(
    name: str, *, search: bool = True, grid: Mapping[str, Sequence[Any]] | None = None
) -> list[list[Candidate]]:
    """List a classifier's candidates in groups that share work and are not too long for one core."""
    if name not in _PREDICTORS:
        raise unknown_name("classifier", name, CLASSIFIERS, listing="serab run --help")
    settings = ParameterGrid(grid or GRIDS[name]) if search else [DEFAULTS[name]]
    shared = {"LR": "C", "RF": "max_depth"}.get(name)
    groups: dict[str, list[Candidate]] = {}
    for number, params in enumerate(settings):
        others = {key: value for key, value in params.items() if key != shared} if shared else {}
        groups.setdefault(str(others), []).append(Candidate(number, params))
    return list(groups.values())


def try_candidates(name: str, candidates: Sequence[Candidate], parts: Parts) -> list[Candidate]:
    """Fit candidates of one group of `divide_search`, or some of them, on train and score them on validation."""
    start = time.perf_counter()
    X_train, y_train, X_validation, y_validation, _ = parts
    settings = [candidate.params for candidate in candidates]
    guesses = _predict(name, X_train, y_train, X_validation, settings)
    seconds = (time.perf_counter() - start) / len(candidates)
    accuracies = [int(np.sum(guess == y_validation)) / len(y_validation) for guess in guesses]
    return [
        dataclasses.replace(candidate, validation_accuracy=accuracy, seconds=seconds)
        for candidate, accuracy in zip(candidates, accuracies, strict=True)
    ]


def fit_best(name: str, tried: Sequence[Candidate], parts: Parts) -> ClassifierResult:
    """Refit the best of all candidates, in whatever order they were tried, on train and validation; predict test."""
    start = time.perf_counter()
    X_train, y_train, X_validation, y_validation, X_test = parts
    best = min(tried, key=lambda candidate: (-candidate.validation_accuracy, candidate.number))
    X_joined, y_joined = np.concatenate([X_train, X_validation]), np.concatenate([y_train, y_validation])
    (predictions,) = _predict(name, X_joined, y_joined, X_test, [best.params])
    return ClassifierResult(
        classifier=name,
        best_params=dict(best.params),
        validation_accuracy=best.validation_accuracy,
        predictions=predictions,
        seconds=sum(candidate.seconds for candidate in tried) + time.perf_counter() - start,
    )


def _predict(name: str, X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Settings) -> Predictions:
    """Fit and predict in float64, on one thread: threads change the order of sums, and so who wins a close race."""
    X_fit, X_eval = np.asarray(X_fit, dtype=np.float64), np.asarray(X_eval, dtype=np.float64)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.filterwarnings("ignore", module=r"sklearn\.")
        return _PREDICTORS[name](X_fit, y_fit, X_eval, settings)


def _predict_rf(X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Settings) -> Predictions:
    """Settings that differ in depth alone share trees: one below its depth limit is that of every higher limit, too."""
    forest, predictions = None, {}
    for number in sorted(range(len(settings)), key=lambda number: -(settings[number]["max_depth"] or np.inf)):
        forest = _grow_forest(settings[number], X_fit.astype(np.float32), y_fit, forest)
        predictions[number] = forest.predict(X_eval)
    return [predictions[number] for number in range(len(settings))]


def _grow_forest(
    params: Mapping[str, Any], X: np.ndarray, y: np.ndarray, deeper: RandomForestClassifier | None
) -> RandomForestClassifier:
    """Grow the trees that one of a higher depth limit does not have; each has a seed of its own, by its place."""
    forest = RandomForestClassifier(**params, random_state=solvers.SEED, warm_start=True)
    if deeper is None:
        return forest.fit(X, y)
    forest.estimators_ = []
    for is_same, run in itertools.groupby(deeper.estimators_, lambda tree: tree.get_depth() < params["max_depth"]):
        if is_same:
            forest.estimators_ += run
        else:
            forest.set_params(n_estimators=len(forest.estimators_) + len(list(run))).fit(X, y)
    return deeper if forest.estimators_ == deeper.estimators_ else forest


_PREDICTORS: Mapping[str, Callable[..., Predictions]] = {
    "LDA": solvers.predict_linear,
    "LR": solvers.predict_logistic,
    "QDA": solvers.predict_quadratic,
    "RF": _predict_rf,
    "SVC": solvers.predict_svm,
}
