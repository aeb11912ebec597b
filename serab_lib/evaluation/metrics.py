"""How well one classifier did on one task, and one model over the tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

from serab_lib.core import SerabError


def accuracy(y_true: ArrayLike, y_predicted: ArrayLike) -> float:
    """Share of the utterances whose emotion is right.

    Parameters
    ----------
    y_true, y_predicted : array-like, shape (n,)
        Labels, and what a classifier made of them.

    Returns
    -------
    float
        0 to 1.
    """
    return float(accuracy_score(y_true, y_predicted))


def unweighted_average_recall(y_true: ArrayLike, y_predicted: ArrayLike) -> float:
    """Mean over the emotions of the share that is right among the utterances of one emotion.

    Parameters
    ----------
    y_true, y_predicted : array-like, shape (n,)
        Labels, and what a classifier made of them.

    Returns
    -------
    float
        0 to 1. Emotions that are only predicted have no recall and do not count.
    """
    return float(recall_score(y_true, y_predicted, labels=np.unique(y_true), average="macro"))


def count_confusions(y_true: ArrayLike, y_predicted: ArrayLike, *, classes: Sequence[str]) -> np.ndarray:
    """Count utterances by true and predicted emotion, in the order given.

    Parameters
    ----------
    y_true, y_predicted : array-like, shape (n,)
        Labels, and what a classifier made of them.
    classes : sequence of str
        All emotions of the task, each once; one that does not occur gets a row and a column of zeros.

    Returns
    -------
    np.ndarray of int, shape (n_classes, n_classes)
        Rows are true, columns predicted.

    Raises
    ------
    SerabError
        A label that is not among the classes, which scikit-learn would drop in silence.
    """
    unknown = sorted({*np.unique(y_true).tolist(), *np.unique(y_predicted).tolist()} - set(classes))
    if unknown:
        raise SerabError(f"got labels {unknown}, expected only {list(classes)}: pass all classes of the task")
    return confusion_matrix(y_true, y_predicted, labels=list(classes))


def unweighted_mean(accuracies: ArrayLike) -> float:
    """UM: mean of the accuracies of the tasks; NaN if one is missing."""
    return float(np.mean(np.asarray(accuracies, dtype=float)))


def weighted_mean(accuracies: ArrayLike, sizes: ArrayLike) -> float:
    """WM: mean of the accuracies of the tasks, weighted by the number of test utterances; NaN if one is missing."""
    return float(np.average(np.asarray(accuracies, dtype=float), weights=np.asarray(sizes, dtype=float)))


def geometric_mean(accuracies: ArrayLike) -> float:
    """GM: geometric mean of the accuracies of the tasks; NaN if one is missing, 0 if one is 0."""
    return float(stats.gmean(np.asarray(accuracies, dtype=float)))


def summarise_tasks(accuracies: ArrayLike, sizes: ArrayLike) -> dict[str, float]:
    """Give the three means over tasks that the paper's table prints.

    Parameters
    ----------
    accuracies : array-like, shape (n_tasks,)
        Test accuracies, as fractions or as percent.
    sizes : array-like, shape (n_tasks,)
        Numbers of test utterances, in the same order.

    Returns
    -------
    dict from str to float
        ``UM``, ``WM`` and ``GM``, in the unit of the accuracies.

    Notes
    -----
    The paper's section 3.3; models are sorted by UM in its table 3.

    Examples
    --------
    >>> {name: round(mean, 3) for name, mean in summarise_tasks([0.9, 0.4], [100, 300]).items()}
    {'UM': 0.65, 'WM': 0.525, 'GM': 0.6}
    """
    return {
        "UM": unweighted_mean(accuracies),
        "WM": weighted_mean(accuracies, sizes),
        "GM": geometric_mean(accuracies),
    }
