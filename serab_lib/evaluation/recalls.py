"""Beyond accuracy: recall of every emotion and what is taken for what, for measured cells."""

from __future__ import annotations

import pandas as pd

from serab_lib.evaluation.intervals import wilson_interval
from serab_lib.evaluation.metrics import accuracy, count_confusions, unweighted_average_recall
from serab_lib.results import CELL_KEY, Results


def measure_recalls(predictions: pd.DataFrame, classifier: str) -> pd.DataFrame:
    """Measure the recall of every emotion of one cell.

    Parameters
    ----------
    predictions : pandas.DataFrame
        As from `serab_lib.results.Results.read_predictions`.
    classifier : str
        Whose predictions.

    Returns
    -------
    pandas.DataFrame
        One row per emotion of the test part: `n`, `n_right`, `recall`, `low`, `high` (Wilson's 95 % interval),
        percent; `precision` (of what is given this name, how much is right), and `most_taken_for`, the emotion that
        it is most often mistaken for (empty where it never is).
    """
    table = confuse(predictions, classifier)
    rows = []
    for emotion in sorted(set(predictions["emotion"])):
        own = table.loc[emotion]
        interval = wilson_interval(int(own[emotion]), int(own.sum()))
        others = own.drop(emotion)
        called = int(table[emotion].sum())
        rows.append(
            {
                "emotion": emotion,
                "n": int(own.sum()),
                "n_right": int(own[emotion]),
                "recall": 100 * interval.estimate,
                "low": 100 * interval.low,
                "high": 100 * interval.high,
                "precision": 100 * float(own[emotion]) / called if called else float("nan"),
                "most_taken_for": str(others.idxmax()) if others.sum() else "",
            }
        )
    return pd.DataFrame(rows)


def confuse(predictions: pd.DataFrame, classifier: str) -> pd.DataFrame:
    """Count what is taken for what in one cell.

    Parameters
    ----------
    predictions : pandas.DataFrame
    classifier : str

    Returns
    -------
    pandas.DataFrame of int
        Rows are true emotions, columns predicted ones, in alphabetical order.
    """
    classes = sorted({*predictions["emotion"], *predictions[classifier]})
    counts = count_confusions(predictions["emotion"], predictions[classifier], classes=classes)
    return pd.DataFrame(counts, index=pd.Index(classes, name="emotion"), columns=pd.Index(classes, name="predicted"))


def score_cells(results: Results) -> pd.DataFrame:
    """Give accuracy and UAR of every measured cell, with intervals.

    Parameters
    ----------
    results : Results

    Returns
    -------
    pandas.DataFrame
        One row per cell, with the classifier that its protocol reports: `accuracy`, `low`, `high` (Wilson), `uar`,
        percent; `worst_emotion` with `worst_recall`; `n_test`, `n_speakers`, `synthetic`.
    """
    cells = results.read_cells()
    rows = []
    for row in cells[cells["selected"].astype(bool)].itertuples():
        key = tuple(getattr(row, name) for name in CELL_KEY)
        predictions = results.read_predictions(*key)
        truth, predicted = predictions["emotion"], predictions[row.classifier]
        interval = wilson_interval(int((truth == predicted).sum()), len(truth))
        worst = measure_recalls(predictions, row.classifier).sort_values("recall", kind="stable").iloc[0]
        rows.append(
            {
                **dict(zip(CELL_KEY, key, strict=True)),
                "classifier": row.classifier,
                "accuracy": 100 * accuracy(truth, predicted),
                "low": 100 * interval.low,
                "high": 100 * interval.high,
                "uar": 100 * unweighted_average_recall(truth, predicted),
                "worst_emotion": worst["emotion"],
                "worst_recall": float(worst["recall"]),
                "n_test": len(predictions),
                "n_speakers": predictions["speaker"].nunique(),
                "synthetic": bool(row.synthetic),
            }
        )
    return pd.DataFrame(rows)
