"""The five classifiers of the paper, each with its grid searched on the fixed validation part.

What comes out is what scikit-learn's ``GridSearchCV`` gives with a ``PredefinedSplit``: the same candidates in the
same order, fitted on train, scored on validation, the first of the best refitted on train and validation together.
The work that the candidates share is done once, in the module of each classifier.
"""

from __future__ import annotations

import dataclasses
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
from serab_lib.evaluation import logistic, svm
from serab_lib.evaluation.discriminants import fit_linear, score_quadratic

CLASSIFIERS = ("LDA", "LR", "QDA", "RF", "SVC")

_C = tuple(10.0**exponent for exponent in range(5, -6, -1))
_CLASS_WEIGHTS = ("balanced", None)

GRIDS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "LDA": {},
    "LR": {"C": _C, "class_weight": _CLASS_WEIGHTS},
    "QDA": {"reg_param": (0.0, 0.1, 0.25)},
    "RF": {
        "max_depth": (5, 10, 15, 20, 25),
        "min_samples_split": (2, 5, 10),
        "class_weight": _CLASS_WEIGHTS,
    },
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

Settings = Sequence[Mapping[str, Any]]
Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""`X_train, y_train, X_validation, y_validation, X_test`"""


@dataclass(frozen=True)
class Candidate:
    """One setting of a classifier's grid, and how it did on the validation part once that was tried."""

    number: int
    """Its place in the grid: among equals the lowest is selected."""
    params: Mapping[str, Any]
    validation_accuracy: float = float("nan")
    seconds: float = 0.0


@dataclass(frozen=True)
class ClassifierResult:
    """One classifier on one task.

    Attributes
    ----------
    classifier : str
        Its name in `CLASSIFIERS`.
    best_params : dict
        The selected candidate of the grid; the defaults without a search.
    validation_accuracy : float
        Share of the validation part that this candidate gets right when fitted on train alone, 0 to 1.
    predictions : np.ndarray, shape (n_test,)
        Labels for the test part, by the candidate refitted on train and validation.
    seconds : float
        Time for all of it.
    """

    classifier: str
    best_params: dict[str, Any]
    validation_accuracy: float
    predictions: np.ndarray
    seconds: float


def fit_classifier(
    name: str,
    X_train: np.ndarray,
    y_train: np.ndarray,
    X_validation: np.ndarray,
    y_validation: np.ndarray,
    X_test: np.ndarray,
    *,
    search: bool = True,
    grid: Mapping[str, Sequence[Any]] | None = None,
    seed: int = 42,
) -> ClassifierResult:
    """Select a candidate on the validation part and predict the test part.

    Parameters
    ----------
    name : str
        One of `CLASSIFIERS`.
    X_train, X_validation, X_test : np.ndarray, shapes (n_train | n_validation | n_test, n_features)
        Embeddings, finite.
    y_train, y_validation : np.ndarray, shapes (n_train,), (n_validation,)
        Labels, two classes or more.
    search : bool
        Whether to search the grid; otherwise the defaults are fitted.
    grid : mapping from str to sequence, optional
        What to search in place of ``GRIDS[name]``, with the same parameters.
    seed : int
        For the random forest, the only one that draws anything; 42 in the release.

    Returns
    -------
    ClassifierResult
        The selected candidate and what it predicts.

    Raises
    ------
    SerabError
        An unknown classifier.

    Notes
    -----
    As the released ``clf_benchmark.py``: candidates in the order of scikit-learn's ``ParameterGrid``, ties to the
    first. That QDA gives a result at all is explained at
    `serab_lib.evaluation.discriminants`. Optimisers that stop at their iteration limit do so in
    silence; the release only warned.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.tile(["anger", "sadness"], 30)
    >>> X = rng.normal(size=(60, 8)) + 2.0 * (y == "anger")[:, None]
    >>> result = fit_classifier("LR", X[:30], y[:30], X[30:40], y[30:40], X[40:])
    >>> result.validation_accuracy, result.predictions[:2].tolist()
    (1.0, ['anger', 'sadness'])
    """
    parts = X_train, y_train, X_validation, y_validation, X_test
    groups = divide_search(name, search=search, grid=grid)
    tried = [candidate for group in groups for candidate in try_candidates(name, group, parts, seed=seed)]
    return fit_best(name, tried, parts, seed=seed)


def divide_search(
    name: str, *, search: bool = True, grid: Mapping[str, Sequence[Any]] | None = None
) -> list[list[Candidate]]:
    """List the candidates of a classifier in groups that share work: each can be tried on a machine of its own.

    A forest's candidates share work where they differ in depth alone; all of another classifier's are one group.
    """
    if name not in _PREDICTORS:
        raise unknown_name("classifier", name, CLASSIFIERS, listing="serab run --help")
    settings = ParameterGrid(grid or GRIDS[name]) if search else [DEFAULTS[name]]
    groups: dict[str, list[Candidate]] = {}
    for number, params in enumerate(settings):
        others = {key: value for key, value in params.items() if key != "max_depth"} if name == "RF" else {}
        groups.setdefault(str(others), []).append(Candidate(number, params))
    return list(groups.values())


def try_candidates(name: str, candidates: Sequence[Candidate], parts: Parts, *, seed: int = 42) -> list[Candidate]:
    """Fit candidates of one group of `divide_search`, or some of them, on train and score them on validation."""
    start = time.perf_counter()
    X_train, y_train, X_validation, y_validation, _ = parts
    settings = [candidate.params for candidate in candidates]
    guesses = _predict(name, X_train, y_train, X_validation, settings, seed=seed)
    seconds = (time.perf_counter() - start) / len(candidates)
    return [
        dataclasses.replace(
            candidate, validation_accuracy=int(np.sum(guess == y_validation)) / len(y_validation), seconds=seconds
        )
        for candidate, guess in zip(candidates, guesses, strict=True)
    ]


def fit_best(name: str, tried: Sequence[Candidate], parts: Parts, *, seed: int = 42) -> ClassifierResult:
    """Refit the best of all candidates, in whatever order they were tried, on train and validation; predict test."""
    start = time.perf_counter()
    X_train, y_train, X_validation, y_validation, X_test = parts
    best = min(tried, key=lambda candidate: (-candidate.validation_accuracy, candidate.number))
    X_joined, y_joined = np.concatenate([X_train, X_validation]), np.concatenate([y_train, y_validation])
    (predictions,) = _predict(name, X_joined, y_joined, X_test, [best.params], seed=seed)
    return ClassifierResult(
        classifier=name,
        best_params=dict(best.params),
        validation_accuracy=best.validation_accuracy,
        predictions=predictions,
        seconds=sum(candidate.seconds for candidate in tried) + time.perf_counter() - start,
    )


def _predict(
    name: str,
    X_fit: np.ndarray,
    y_fit: np.ndarray,
    X_eval: np.ndarray,
    settings: Settings,
    *,
    seed: int,
) -> list[np.ndarray]:
    """Fit each setting and predict, in float64 and on one thread wherever it runs.

    The order of a sum can decide between two classes that are as likely, and threads change that order.
    """
    X_fit, X_eval = np.asarray(X_fit, dtype=np.float64), np.asarray(X_eval, dtype=np.float64)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.filterwarnings("ignore", module=r"sklearn\.")
        return _PREDICTORS[name](X_fit, y_fit, X_eval, settings, seed=seed)


def _predict_lda(
    X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Settings, *, seed: int
) -> list[np.ndarray]:
    """LDA has one setting."""
    coefficients, constants = fit_linear(X_fit, y_fit)
    return [np.unique(y_fit)[(X_eval @ coefficients.T + constants).argmax(axis=1)]]


def _predict_qda(
    X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Settings, *, seed: int
) -> list[np.ndarray]:
    """QDA's settings share the directions of each class."""
    scores = score_quadratic(X_fit, y_fit, X_eval, [params["reg_param"] for params in settings])
    return list(np.unique(y_fit)[scores.argmax(axis=2)])


def _predict_rf(
    X_fit: np.ndarray, y_fit: np.ndarray, X_eval: np.ndarray, settings: Settings, *, seed: int
) -> list[np.ndarray]:
    """Settings that differ in depth alone: a forest below its depth limit is that of every higher limit, too."""
    depth, predictions = np.inf, {}
    for number in sorted(range(len(settings)), key=lambda number: -(settings[number]["max_depth"] or np.inf)):
        params = settings[number]
        if not predictions or params["max_depth"] <= depth:
            forest = RandomForestClassifier(**params, random_state=seed).fit(X_fit, y_fit)
            depth, latest = max(tree.get_depth() for tree in forest.estimators_), forest.predict(X_eval)
        predictions[number] = latest
    return [predictions[number] for number in range(len(settings))]


_PREDICTORS: Mapping[str, Callable[..., list[np.ndarray]]] = {
    "LDA": _predict_lda,
    "LR": logistic.predict_settings,
    "QDA": _predict_qda,
    "RF": _predict_rf,
    "SVC": svm.predict_settings,
}
