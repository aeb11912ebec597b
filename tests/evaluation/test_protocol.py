from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from asserting import one_line
from sklearn.preprocessing import StandardScaler

from serab_lib.evaluation.classifiers import CLASSIFIERS
from serab_lib.evaluation.protocol import (
    accuracy,
    evaluate,
    fit_classifiers,
    make_parts,
    normalise_speakers,
    select,
    summarise_tasks,
    unweighted_average_recall,
)


def made_up(n_per_part: int = 60, n_features: int = 12, seed: int = 0) -> tuple[np.ndarray, pd.DataFrame]:
    """Three classes that lie apart, three parts, two speakers each with an offset of their own."""
    generator = np.random.default_rng(seed)
    n = 3 * n_per_part
    codes = generator.integers(0, 3, n)
    part = np.repeat(["train", "validation", "test"], n_per_part)
    speaker = np.char.add(part, generator.choice(["_a", "_b"], n))
    offsets = {name: generator.normal(scale=5, size=n_features) for name in np.unique(speaker)}
    centres = generator.normal(size=(3, n_features))
    X = centres[codes] + generator.normal(scale=0.6, size=(n, n_features))
    X += np.stack([offsets[name] for name in speaker])
    emotion = np.array(["anger", "fear", "sadness"])[codes]
    frame = pd.DataFrame({"emotion": emotion, "speaker": speaker, "group": speaker, "part": part})
    return X.astype(np.float32), frame.assign(stem=[f"u{i:03d}" for i in range(n)])


def test_each_speaker_is_standardised_inside_its_part() -> None:
    """Also one that is in several parts, and dimensions that are constant; what is given is not changed."""
    X, frame = made_up()
    X[:, 0] = 0.1
    before = X.copy()
    result = normalise_speakers(X, frame["group"].str[-1], frame["part"])
    for rows in frame.groupby("group").indices.values():
        expected = StandardScaler().fit_transform(X[rows].astype(float))
        np.testing.assert_allclose(result[rows], expected, atol=1e-9)
    np.testing.assert_array_equal(X, before)


def test_released_selects_on_test_and_described_on_validation_and_among_equals_the_first() -> None:
    """The release reports the classifier with the best test accuracy."""
    accuracies = {"validation_accuracy": [0.8, 0.9, 0.9], "test_accuracy": [0.6, 0.5, 0.6]}
    scores = pd.DataFrame({"classifier": ["LDA", "LR", "QDA"], **accuracies})
    assert (select(scores, "released"), select(scores, "described")) == ("LDA", "LR")
    with one_line("there is no protocol"):
        select(scores, "other")


@pytest.mark.parametrize("protocol", ["released", "described"])
def test_evaluate_gives_every_classifier(protocol: str) -> None:
    X, frame = made_up()
    result = evaluate(X, frame, protocol=protocol, search=False)
    assert tuple(result.scores["classifier"]) == CLASSIFIERS
    assert result.scores["selected"].sum() == 1
    assert result.scores.loc[result.scores["selected"], "classifier"].item() == select(result.scores, protocol)
    assert result.scores["test_accuracy"].max() > 0.85
    test = frame[frame["part"] == "test"]
    assert list(result.predictions["stem"]) == list(test["stem"])
    for row in result.scores.itertuples():
        right = result.predictions[row.classifier].to_numpy() == test["emotion"].to_numpy()
        assert row.test_accuracy == pytest.approx(right.mean())


def test_parallel_gives_the_same() -> None:
    X, frame = made_up()
    first, second = (evaluate(X, frame, search=False, n_jobs=n_jobs) for n_jobs in (1, 2))
    pd.testing.assert_frame_equal(first.scores.drop(columns="seconds"), second.scores.drop(columns="seconds"))
    pd.testing.assert_frame_equal(first.predictions, second.predictions)


def test_embeddings_and_parts_that_cannot_be_fitted_are_refused() -> None:
    X, frame = made_up()
    first_class = frame["emotion"].where(frame["part"] != "train", "anger")
    for embeddings, utterances, message in (
        (X[1:], frame, r"shape \(179, 12\) for 180 utterances"),
        (np.where(X == X[3], np.nan, X), frame, "not finite"),
        (X, frame.replace({"part": {"validation": "test"}}), "the validation part is empty"),
        (X, frame.assign(emotion=first_class), "the train part has one class"),
    ):
        with one_line(message):
            evaluate(embeddings, utterances)
    with one_line("sadness are not among anger, fear"):
        evaluate(X, frame, classes=["anger", "fear"])


def test_progress_counts_searches_and_refits() -> None:
    X, frame = made_up(n_features=3)
    told: list[tuple[int, int]] = []
    parts = make_parts(X, frame, ["anger", "fear", "sadness"])
    results = fit_classifiers(parts, search=False, progress=lambda *counts: told.append(counts))
    assert told == [(n, 10) for n in range(1, 11)]
    assert [result.classifier for result in results] == list(CLASSIFIERS)


def test_average_recall_is_over_the_true_emotions() -> None:
    truth, predicted = ["a", "a", "a", "b"], ["a", "a", "c", "b"]
    assert accuracy(truth, predicted) == pytest.approx(3 / 4)
    assert unweighted_average_recall(truth, predicted) == pytest.approx((2 / 3 + 1) / 2)


def test_means_over_tasks() -> None:
    found = summarise_tasks([50, 80, 20], [10, 80, 10])
    assert found == pytest.approx({"UM": 50, "WM": 71, "GM": (50 * 80 * 20) ** (1 / 3)})
    assert all(np.isnan(list(summarise_tasks([50, np.nan], [1, 1]).values())))
