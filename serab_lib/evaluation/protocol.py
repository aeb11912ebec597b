"""From embeddings to the accuracies of one cell: normalise per speaker, fit five classifiers, select one, score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import joblib
import numpy as np
import pandas as pd
from joblib.externals.loky import BrokenProcessPool
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, recall_score

from serab_lib.core import SerabError, unknown_name
from serab_lib.corpora.splits import ALL_PROTOCOLS, PARTS, ROTATED
from serab_lib.evaluation.classifiers import (
    CLASSIFIERS,
    Candidate,
    ClassifierResult,
    Parts,
    divide_search,
    fit_best,
    try_candidates,
)

# The order in which classifiers are begun: the slow ones first, so that the last to finish is a quick one.
SLOWEST_FIRST = ("RF", "LR", "SVC", "QDA", "LDA")
# The row of `rotated` cells that is reported: what each fold's own choice by validation answers.
CHOSEN = "chosen"


@dataclass(frozen=True)
class CellResult:
    """What one cell gives: a row of scores for each classifier, a row of predictions for each test utterance."""

    scores: pd.DataFrame
    predictions: pd.DataFrame


def normalise_speakers(embeddings: np.ndarray, groups: Sequence[str], parts: Sequence[str]) -> np.ndarray:
    """Standardise each speaker's embeddings (n, d) with that speaker's own mean and deviation inside each part.

    The speaker is in the `released` protocol what the release takes for one. A dimension that is constant for a speaker
    becomes 0. As in the release. It is transductive: it needs several unlabelled utterances of each new speaker.
    """
    result = np.array(embeddings, dtype=np.float64)
    frame = pd.DataFrame({"group": np.asarray(groups), "part": np.asarray(parts)})
    for rows in frame.groupby(["part", "group"]).indices.values():
        mean, std = _measure(result[rows])
        result[rows] = (result[rows] - mean) / std
    return result


def _measure(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each dimension; a deviation of 1 where there is none."""
    std = own.std(axis=0)
    # Values that are equal up to rounding are constant: dividing by their spread would blow up noise.
    std[std <= 1e-12 * np.abs(own).max(axis=0)] = 1.0
    return own.mean(axis=0), std


def select(scores: pd.DataFrame, protocol: str) -> str:
    """Name the classifier that is best on validation, or on test as the release does; among equals the first.

    Under `rotated` it is the row `CHOSEN`, for which each fold has chosen on its validation part.
    """
    if protocol not in ALL_PROTOCOLS:
        raise unknown_name("protocol", protocol, ALL_PROTOCOLS, listing="serab run --help")
    if protocol == ROTATED:
        return CHOSEN
    column = "test_accuracy" if protocol == "released" else "validation_accuracy"
    return str(scores.loc[scores[column].idxmax(), "classifier"])


def evaluate(
    embeddings: np.ndarray,
    utterances: pd.DataFrame | Sequence[pd.DataFrame],
    *,
    protocol: str = "described",
    classes: Sequence[str] | None = None,
    search: bool = True,
    n_jobs: int = 1,
) -> CellResult:
    """Fit the five classifiers on one task's embeddings and score them.

    Parameters
    ----------
    embeddings : np.ndarray [shape=(n, d)]
        One row per utterance.
    utterances : pandas.DataFrame or a sequence of them
        As from `serab_lib.corpora.splits.split`, in the same order: `stem`, `speaker`, `emotion`, `group`, `part`; for
        `rotated`, those of `split_folds`.
    protocol : str
        Which classifier is selected; the split was made before.
    classes : sequence of str, optional
        The classes in the order in which they are numbered, such as `Task.classes`; sorted if None.
    search : bool
        Whether hyperparameters are searched; defaults are fitted otherwise.
    n_jobs : int
        Processes.

    Returns
    -------
    CellResult
        `scores` has `classifier`, `validation_accuracy`, `test_accuracy`, `test_uar`, `test_macro_f1` (fractions of 1),
        `best_params`, `seconds`, `selected`; `predictions` has `stem`, `speaker`, `group`, `emotion`, and each
        classifier's. Under `rotated`, the answers of all folds count together, `best_params` are by fold, predictions
        have the `fold`, and the row `chosen` is selected.

    Raises
    ------
    SerabError
        If the embeddings do not fit the utterances or are not finite.

    Notes
    -----
    Paper, section on the evaluation; the released `clf_benchmark.py`. The numbering of the classes matters: an SVM
    takes a vote between every two, and a tie goes to the class with the lower number. On RAVDESS with BYOL-S 512 that
    alone can decide which kernel validation prefers, points apart on test (`benchmarks/label_order.py`).
    """
    folds = [utterances] if isinstance(utterances, pd.DataFrame) else list(utterances)
    classes = classes or sorted(set(folds[0]["emotion"]))
    fitted = [fit_classifiers(make_parts(embeddings, parts, classes), search=search, n_jobs=n_jobs) for parts in folds]
    return score(fitted, folds, protocol, classes)


def make_parts(
    embeddings: np.ndarray, utterances: pd.DataFrame, classes: Sequence[str], *, by_speaker: bool = True
) -> Parts:
    """Normalise the embeddings of a split and number its classes in the order given, for classifiers to be fitted.

    Without `by_speaker`, all are standardised with the mean and deviation of the train part.
    """
    if np.ndim(embeddings) != 2 or len(embeddings) != len(utterances):
        raise SerabError(
            f"embeddings of shape {np.shape(embeddings)} for {len(utterances)} utterances: pass one row per utterance"
        )
    if not np.isfinite(embeddings).all():
        raise SerabError("some embeddings are not finite: check the extractor and its checkpoint")
    if unknown := set(utterances["emotion"]) - set(classes):
        raise SerabError(f"classes {', '.join(sorted(unknown))} are not among {', '.join(classes)}: pass all of them")
    rows = {part: np.flatnonzero(utterances["part"] == part) for part in PARTS}
    if empty := [part for part in PARTS if not len(rows[part])]:
        raise SerabError(f"the {empty[0]} part is empty: check which files of the corpus are missing")
    if by_speaker:
        X = normalise_speakers(embeddings, utterances["group"], utterances["part"])
    else:
        mean, std = _measure(np.asarray(embeddings, dtype=np.float64)[rows["train"]])
        X = (embeddings - mean) / std
    y = utterances["emotion"].map({name: number for number, name in enumerate(classes)}).to_numpy(dtype=int)
    if len(np.unique(y[rows["train"]])) < 2:
        raise SerabError("the train part has one class, needs two or more: check which files of the corpus are missing")
    train, validation, test = rows.values()
    return X[train], y[train], X[validation], y[validation], X[test]


def fit_classifiers(
    parts: Parts,
    *,
    search: bool = True,
    n_jobs: int = 1,
    classifiers: Sequence[str] = CLASSIFIERS,
    progress: Callable[[int, int], None] | None = None,
) -> list[ClassifierResult]:
    """Fit classifiers on all cores, and tell how many of all jobs are done: groups of candidates, then refits."""
    order = [name for name in SLOWEST_FIRST if name in classifiers]
    groups = [(name, group) for name in order for group in divide_search(name, search=search)]
    tell = progress or (lambda n_done, n_total: None)
    tried: dict[str, list[Candidate]] = {name: [] for name in order}
    fitted: dict[str, ClassifierResult] = {}
    try:
        # One pool for both rounds: arrays are written for the workers once.
        with joblib.Parallel(n_jobs=n_jobs, return_as="generator", max_nbytes="1M") as pool:
            found = pool(joblib.delayed(try_candidates)(name, group, parts) for name, group in groups)
            for n_done, ((name, _), candidates) in enumerate(zip(groups, found, strict=True), start=1):
                tried[name] += candidates
                tell(n_done, len(groups) + len(tried))
            for result in pool(joblib.delayed(fit_best)(name, tried[name], parts) for name in order):
                fitted[result.classifier] = result
                tell(len(groups) + len(fitted), len(groups) + len(tried))
    except BrokenProcessPool as error:
        raise SerabError(
            "a worker process died while classifiers were fitted (killed, or out of memory): "
            "the same command goes on from there, with fewer --jobs it needs less memory"
        ) from error
    return [fitted[name] for name in classifiers]


def score(
    fitted: Sequence[Sequence[ClassifierResult]], folds: Sequence[pd.DataFrame], protocol: str, classes: Sequence[str]
) -> CellResult:
    """Score the classifiers fitted for each fold on its test part and select what a protocol reports; as `evaluate`."""
    rotated, names, tables, n_validation = protocol == ROTATED, np.array(classes), [], []
    if rotated:
        fitted = [[*results, choose(results)] for results in fitted]
    for number, (results, parts) in enumerate(zip(fitted, folds, strict=True), start=1):
        table = parts.loc[parts["part"] == "test", ["stem", "speaker", "group", "emotion"]]
        table = table.assign(fold=number) if rotated else table
        tables.append(table.assign(**{each.classifier: names[each.predictions] for each in results}))
        n_validation.append(int((parts["part"] == "validation").sum()))
    predictions, rows = pd.concat(tables, ignore_index=True), []
    for results in zip(*fitted, strict=True):
        truth, predicted = predictions["emotion"], predictions[results[0].classifier]
        n_right = sum(round(each.validation_accuracy * n) for each, n in zip(results, n_validation, strict=True))
        row = {"classifier": results[0].classifier, "validation_accuracy": n_right / sum(n_validation)}
        row |= measure(truth, predicted) | {"seconds": sum(each.seconds for each in results)}
        by_fold = {str(number): each.best_params for number, each in enumerate(results, start=1)}
        rows.append(row | {"best_params": by_fold if rotated else results[0].best_params})
    scores = pd.DataFrame(rows)
    return CellResult(scores.assign(selected=scores["classifier"] == select(scores, protocol)), predictions)


def choose(results: Sequence[ClassifierResult]) -> ClassifierResult:
    """A fold's choice: the best on validation, among equals the first."""
    best = max(results, key=lambda result: result.validation_accuracy)
    return replace(
        best, classifier=CHOSEN, best_params={"classifier": best.classifier, **best.best_params}, seconds=0.0
    )


def measure(y_true: ArrayLike, y_predicted: ArrayLike) -> dict[str, float]:
    """Score predictions by the three metrics of a cell."""
    # Into a column of pandas scikit-learn would look value by value, and several times.
    both = [np.asarray(each, dtype=str) for each in (y_true, y_predicted)]
    scores = accuracy(*both), unweighted_average_recall(*both), macro_f1(*both)
    return dict(zip(("test_accuracy", "test_uar", "test_macro_f1"), scores, strict=True))


def accuracy(y_true: ArrayLike, y_predicted: ArrayLike) -> float:
    """Share of the utterances whose emotion is right, 0 to 1."""
    return float(accuracy_score(y_true, y_predicted))


def unweighted_average_recall(y_true: ArrayLike, y_predicted: ArrayLike) -> float:
    """Mean over the emotions of the share that is right among the utterances of one emotion, 0 to 1.

    Emotions that are only predicted have no recall and do not count.
    """
    return float(recall_score(y_true, y_predicted, labels=np.unique(y_true), average="macro"))


def macro_f1(y_true: ArrayLike, y_predicted: ArrayLike) -> float:
    """Mean over the emotions that occur of the harmonic mean of precision and recall, 0 to 1."""
    return float(f1_score(y_true, y_predicted, labels=np.unique(y_true), average="macro", zero_division=0))


def summarise_tasks(accuracies: ArrayLike, sizes: ArrayLike) -> dict[str, float]:
    """Give the three means over tasks that the paper's table prints, NaN if an accuracy is missing.

    ``UM`` is unweighted, ``WM`` weighted by the numbers of test utterances, ``GM`` geometric; section 3.3 of the paper.

    Examples
    --------
    >>> {name: round(mean, 3) for name, mean in summarise_tasks([0.9, 0.4], [100, 300]).items()}
    {'UM': 0.65, 'WM': 0.525, 'GM': 0.6}
    """
    values = np.asarray(accuracies, dtype=float)
    means = {"UM": np.mean(values), "WM": np.average(values, weights=sizes), "GM": stats.gmean(values)}
    return {name: float(mean) for name, mean in means.items()}
