from functools import partial

import numpy as np
import pandas as pd
import pytest
from making import one_line
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.preprocessing import StandardScaler

from serab_lib.corpora import splits, task
from serab_lib.evaluation import classifiers, protocol
from serab_lib.evaluation.classifiers import CLASSIFIERS
from serab_lib.evaluation.protocol import accuracy, evaluate, make_parts, normalise_speakers, select


def made_up(n_per_part: int = 60, n_features: int = 12) -> tuple[np.ndarray, pd.DataFrame]:
    """Three classes that lie apart, three parts, two speakers each with an offset of their own."""
    generator = np.random.default_rng(0)
    n = 3 * n_per_part
    codes, speakers = generator.integers(0, 3, n), generator.integers(0, 2, n)
    part = np.repeat(["train", "validation", "test"], n_per_part)
    speaker = np.char.add(part, np.array(["_a", "_b"])[speakers])
    offsets, centres = generator.normal(scale=5, size=(6, n_features)), generator.normal(size=(3, n_features))
    X = centres[codes] + generator.normal(scale=0.6, size=(n, n_features))
    X += offsets[2 * np.repeat(range(3), n_per_part) + speakers]
    emotion = np.array(["anger", "fear", "sadness"])[codes]
    frame = pd.DataFrame({"emotion": emotion, "speaker": speaker, "group": speaker, "part": part})
    return X.astype(np.float32), frame.assign(stem=[f"u{i:03d}" for i in range(n)])


def test_each_speaker_is_standardised_inside_its_part() -> None:
    X, frame = made_up()
    X[:, 0] = 0.1
    X.flags.writeable = False
    result = normalise_speakers(X, frame["group"].str[-1], frame["part"])
    for rows in frame.groupby("group").indices.values():
        np.testing.assert_allclose(result[rows], StandardScaler().fit_transform(X[rows].astype(float)), atol=1e-9)


def test_released_selects_on_test_and_described_on_validation_and_among_equals_the_first() -> None:
    accuracies = {"validation_accuracy": [0.8, 0.9, 0.9], "test_accuracy": [0.6, 0.5, 0.6]}
    scores = pd.DataFrame({"classifier": ["LDA", "LR", "QDA"], **accuracies})
    assert (select(scores, "released"), select(scores, "described")) == ("LDA", "LR")
    with one_line("there is no protocol"):
        select(scores, "other")


@pytest.mark.parametrize("protocol", ["released", "described"])
def test_evaluate_gives_every_classifier_the_same_in_parallel(protocol: str) -> None:
    X, frame = made_up()
    result, parallel = (evaluate(X, frame, protocol=protocol, search=False, n_jobs=n) for n in (1, 2))
    assert tuple(result.scores["classifier"]) == CLASSIFIERS
    assert list(result.scores.query("selected")["classifier"]) == [select(result.scores, protocol)]
    assert result.scores["test_accuracy"].max() > 0.85
    test = frame[frame["part"] == "test"]
    assert list(result.predictions["stem"]) == list(test["stem"])
    for row in result.scores.itertuples():
        right = result.predictions[row.classifier].to_numpy() == test["emotion"].to_numpy()
        assert row.test_accuracy == pytest.approx(right.mean())
    pd.testing.assert_frame_equal(result.scores.drop(columns="seconds"), parallel.scores.drop(columns="seconds"))
    pd.testing.assert_frame_equal(result.predictions, parallel.predictions)


PLAIN = {
    "LDA": (LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), {}),
    "LR": (LogisticRegression(max_iter=10_000, random_state=42), {"C": [10.0, 0.001], "class_weight": ["balanced"]}),
    "RF": (RandomForestClassifier(random_state=42), {"max_depth": [2, 5]}),
}


def score_plainly(X: np.ndarray, frame: pd.DataFrame, names: list[list[str]]) -> dict[str, tuple[float, ...]]:
    """Rotated scoring in plain scikit-learn: by classifier, and of each fold's choice."""
    truth, answers, speaker = [], {name: [] for name in (*PLAIN, "chosen")}, frame["speaker"].to_numpy()
    Z, y = np.array(X, dtype=float), frame["emotion"].to_numpy()
    for own in frame.groupby("speaker").indices.values():
        Z[own] = StandardScaler().fit_transform(Z[own])
    for number, tested in enumerate(names):
        test, validation = np.isin(speaker, tested), np.isin(speaker, names[(number + 1) % len(names)])
        train = ~test & ~validation
        rows = np.concatenate([np.flatnonzero(train), np.flatnonzero(validation)])
        once = PredefinedSplit(np.repeat([-1, 0], [train.sum(), validation.sum()]))
        fits = {n: GridSearchCV(model, grid, cv=once).fit(Z[rows], y[rows]) for n, (model, grid) in PLAIN.items()}
        best = max(fits, key=lambda name: fits[name].best_score_)
        truth.extend(y[test])
        for name in answers:
            answers[name].extend(fits[best if name == "chosen" else name].predict(Z[test]))
    metrics = accuracy_score, balanced_accuracy_score, lambda *both: f1_score(*both, average="macro")
    return {name: tuple(metric(truth, own) for metric in metrics) for name, own in answers.items()}


def test_rotated_pools_the_folds_as_plain_scikit_learn_does(monkeypatch: pytest.MonkeyPatch) -> None:
    X, frame = made_up(n_features=6)
    X += np.random.default_rng(1).normal(scale=0.8, size=X.shape)
    folds = splits.split_folds(frame.drop(columns=["group", "part"]), task.get_task("SAV"), "rotated")
    monkeypatch.setattr(protocol, "fit_classifiers", partial(protocol.fit_classifiers, classifiers=tuple(PLAIN)))
    monkeypatch.setattr(classifiers, "GRIDS", {name: grid for name, (_, grid) in PLAIN.items()})
    result = evaluate(X, folds, protocol="rotated")
    plain = score_plainly(X, frame, [sorted(set(fold.query("part == 'test'")["speaker"])) for fold in folds])
    scores = result.scores.set_index("classifier")
    for name, numbers in plain.items():
        assert tuple(scores.loc[name, ["test_accuracy", "test_uar", "test_macro_f1"]]) == pytest.approx(numbers), name
    assert list(scores.index[scores["selected"]]) == ["chosen"] and len(set(plain.values())) > 2
    assert sorted(result.predictions["stem"]) == sorted(frame["stem"])
    assert list(result.predictions["fold"].unique()) == [1, 2, 3, 4, 5]
    assert {own["classifier"] for own in scores.loc["chosen", "best_params"].values()} <= set(PLAIN)


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
    results = protocol.fit_classifiers(parts, search=False, progress=lambda *counts: told.append(counts))
    assert told == [(n, 10) for n in range(1, 11)]
    assert [result.classifier for result in results] == list(CLASSIFIERS)


def test_average_recall_is_over_the_true_emotions_and_means_over_tasks() -> None:
    truth, predicted = ["a", "a", "a", "b"], ["a", "a", "c", "b"]
    assert accuracy(truth, predicted) == pytest.approx(3 / 4)
    assert protocol.unweighted_average_recall(truth, predicted) == pytest.approx((2 / 3 + 1) / 2)
    assert protocol.macro_f1(truth, predicted) == pytest.approx((4 / 5 + 1) / 2)
    found = protocol.summarise_tasks([50, 80, 20], [10, 80, 10])
    assert found == pytest.approx({"UM": 50, "WM": 71, "GM": (50 * 80 * 20) ** (1 / 3)})
    assert all(np.isnan(list(protocol.summarise_tasks([50, np.nan], [1, 1]).values())))
