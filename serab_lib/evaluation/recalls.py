"""Beyond accuracy: recall of every emotion and what is taken for what, for measured cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from serab_lib.evaluation.intervals import N_DRAWS, intervals_of_cell, wilson_interval
from serab_lib.evaluation.metrics import count_confusions, unweighted_average_recall

if TYPE_CHECKING:
    from serab_lib.benchmark.results import Results


def measure_recalls(predictions: pd.DataFrame, classifier: str) -> pd.DataFrame:
    """Measure the recall of every emotion of one cell.

    Parameters
    ----------
    predictions : pandas.DataFrame
        As from `serab_lib.benchmark.results.Results.read_predictions`.
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


def confuse(predictions: pd.DataFrame, classifier: str, *, classes: Sequence[str] = ()) -> pd.DataFrame:
    """Count what is taken for what in one cell.

    Parameters
    ----------
    predictions : pandas.DataFrame
    classifier : str
    classes : sequence of str
        Emotions to have a row and a column even where they do not occur.

    Returns
    -------
    pandas.DataFrame of int
        Rows are true emotions, columns predicted ones, in alphabetical order.
    """
    classes = sorted({*classes, *predictions["emotion"], *predictions[classifier]})
    counts = count_confusions(predictions["emotion"], predictions[classifier], classes=classes)
    return pd.DataFrame(counts, index=pd.Index(classes, name="emotion"), columns=pd.Index(classes, name="predicted"))


def score_cells(results: Results, *, n_draws: int = N_DRAWS) -> pd.DataFrame:
    """Give accuracy and UAR of every measured cell, with intervals.

    Parameters
    ----------
    results : Results
    n_draws : int
        Resamples for each bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row per cell, with the classifier that its protocol reports: `accuracy`, `low`, `high` (Wilson),
        `low_utterances` to `high_speakers` (bootstrap over utterances, and over speakers), `uar`, percent;
        `worst_emotion` with `worst_recall`; `n_test`, `n_speakers`, `synthetic`.
    """
    rows = []
    for key, classifier, synthetic, predictions in _read_cells(results):
        intervals = intervals_of_cell(predictions, classifier, n_draws=n_draws)
        wilson, utterances, speakers = intervals[intervals["metric"] == "accuracy"].to_dict("records")
        worst = measure_recalls(predictions, classifier).sort_values("recall", kind="stable").iloc[0]
        rows.append(
            {
                **key,
                "classifier": classifier,
                "accuracy": wilson["estimate"],
                "low": wilson["low"],
                "high": wilson["high"],
                "low_utterances": utterances["low"],
                "high_utterances": utterances["high"],
                "low_speakers": speakers["low"],
                "high_speakers": speakers["high"],
                "uar": 100 * unweighted_average_recall(predictions["emotion"], predictions[classifier]),
                "worst_emotion": worst["emotion"],
                "worst_recall": float(worst["recall"]),
                "n_test": len(predictions),
                "n_speakers": predictions["speaker"].nunique(),
                "synthetic": synthetic,
            }
        )
    return pd.DataFrame(rows)


def confuse_cells(results: Results, task: str, protocol: str) -> dict[str, pd.DataFrame]:
    """Count what is taken for what in every cell of a task.

    Parameters
    ----------
    results : Results
    task, protocol : str

    Returns
    -------
    dict from str to pandas.DataFrame
        Model to table as from `confuse`, all with the same emotions, the most accurate model first.
    """
    cells = {
        key["model"]: (classifier, predictions)
        for key, classifier, _, predictions in _read_cells(results)
        if (key["task"], key["protocol"]) == (task, protocol)
    }
    classes = {each for name, part in cells.values() for each in (*part["emotion"], *part[name])}
    tables = {model: confuse(part, name, classes=sorted(classes)) for model, (name, part) in cells.items()}
    return dict(sorted(tables.items(), key=lambda item: -np.trace(item[1].to_numpy()) / item[1].to_numpy().sum()))


def tabulate_recalls(confusions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Give the recall of each emotion by each model.

    Parameters
    ----------
    confusions : mapping from str to pandas.DataFrame
        As from `confuse_cells`.

    Returns
    -------
    pandas.DataFrame
        One row per model: `UAR` and the recall of each emotion that occurs, percent.
    """
    rows = {}
    for model, table in confusions.items():
        n = table.sum(axis=1)
        recalls = (100 * np.diag(table) / n)[n > 0]
        rows[model] = {"UAR": recalls.mean(), **recalls}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def _read_cells(results: Results) -> Iterator[tuple[dict[str, str], str, bool, pd.DataFrame]]:
    """Each cell's key, the classifier that its protocol reports, whether it is synthetic, and its predictions."""
    cells = results.read_cells()
    for row in cells[cells["selected"].astype(bool)].itertuples():
        key = {name: getattr(row, name) for name in ("task", "model", "protocol")}
        yield key, row.classifier, bool(row.synthetic), results.read_predictions(*key.values())
