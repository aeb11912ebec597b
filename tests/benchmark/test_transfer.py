"""One corpus teaches and another one tests, against the same in plain scikit-learn."""

import itertools
import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from making import call, one_line, write_ravdess, write_savee
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.preprocessing import StandardScaler

from serab_lib.benchmark import transfer
from serab_lib.benchmark.grid import Settings
from serab_lib.corpora.task import get_task
from serab_lib.evaluation import classifiers

C = [10.0, 0.001]
EMOTIONS = ("anger", "happiness", "sadness")
SPEAKERS, PLANS = tomllib.loads(Path(__file__).with_name("transfer.toml").read_text()).values()


def made_up() -> tuple[np.ndarray, pd.DataFrame]:
    """Two corpora of one language of feelings in other voices, with an emotion that only one has."""
    rng, rows = np.random.default_rng(0), []
    for task, speakers in SPEAKERS.items():
        emotions = (*EMOTIONS, *(["neutral"] if task == "SAV" else []))
        rows += [(task, name, emotion, take) for name in speakers for emotion in emotions for take in range(8)]
    table = pd.DataFrame(rows, columns=["task", "speaker", "emotion", "take"]).assign(row=range(len(rows)))
    table["stem"] = table["speaker"] + table["emotion"] + table["take"].astype(str)
    table["released_group"] = table["speaker"]
    centres = {name: rng.normal(size=8) for name in (*EMOTIONS, "neutral")}
    voices = {name: rng.normal(scale=2, size=8) for names in SPEAKERS.values() for name in names}
    noise = rng.normal(scale=1.3, size=(len(table), 8))
    own = zip(table["emotion"], table["speaker"], strict=True)
    return np.array([centres[emotion] + voices[name] for emotion, name in own]) + noise, table


def score_plainly(X: np.ndarray, table: pd.DataFrame, pair: str, *, by_speaker: bool) -> float:
    kept = table["emotion"].isin(EMOTIONS).to_numpy()
    Z, table = X[kept], table[kept].reset_index(drop=True)
    y, truth, answers = table["emotion"].to_numpy(), [], []
    for plan in PLANS[pair]:
        own = [np.flatnonzero(table["speaker"].isin(names.split())) for names in plan]
        scaled = StandardScaler().fit(Z[own[0]]).transform(Z)
        for rows in table.groupby("speaker").indices.values() if by_speaker else ():
            scaled[rows] = StandardScaler().fit_transform(Z[rows])
        once = PredefinedSplit(np.repeat([-1, 0], [len(own[0]), len(own[1])]))
        both = np.concatenate(own[:2])
        logistic = LogisticRegression(max_iter=10_000, random_state=42)
        models = (LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), {}), (logistic, {"C": C})
        fits = [GridSearchCV(model, grid, cv=once).fit(scaled[both], y[both]) for model, grid in models]
        best = max(fits, key=lambda fit: fit.best_score_)
        truth.extend(y[own[2]])
        answers.extend(best.predict(scaled[own[2]]))
    return balanced_accuracy_score(truth, answers)


@pytest.mark.parametrize("pair", PLANS)
def test_transfer_is_that_of_plain_scikit_learn(pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "GRIDS", {"LDA": {}, "LR": {"C": C}})
    (X, table), (train, test), found = made_up(), pair.split("-"), []
    for way in transfer.NORMALISATIONS:
        folds = transfer.split_transfer(table, get_task(train), [test], EMOTIONS)
        predictions = transfer.predict(X, folds, EMOTIONS, way == "speaker", classifiers=("LDA", "LR"))
        scores = transfer.score_speakers(predictions)
        found.append(scores["test_uar"])
        assert scores["test_uar"] == pytest.approx(score_plainly(X, table, pair, by_speaker=way == "speaker"))
        assert (scores["n_test"], scores["n_speakers"]) == (24 * len(SPEAKERS[test]), len(SPEAKERS[test]))
        assert scores["low"] <= scores["test_uar"] <= scores["high"]
    assert found[0] > found[1] > 0


def test_the_command_keeps_rows_and_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_savee(tmp_path / "data", n_takes=2)
    write_ravdess(tmp_path / "data")
    arguments = ["transfer", "--train", "SAV", "--test", "RAV,SAV", "--models", "logmel-stats", "--classifiers", "LDA"]
    settings = Settings(out=tmp_path / "out", data=tmp_path / "data", cache=tmp_path / "cache")
    arguments += ["--data", tmp_path / "data", "--out", tmp_path / "out", "--cache", tmp_path / "cache"]
    output = call(*arguments)
    assert "33.3" in output and "speaker" in output
    monkeypatch.setattr(transfer, "predict", None)  # what is finished is not computed again, only what differs
    output = call(*arguments, "--json")
    with pytest.raises(TypeError):
        transfer.run_transfer("SAV", ["RAV"], ["logmel-stats"], settings, classifiers=["LDA", "LR"])
    rows = json.loads(output[output.index("[") :])
    keys = {(row["test"], row["normalised"]) for row in rows}
    assert keys == set(itertools.product(("RAV", "SAV"), ("speaker", "training"))) and len(rows) == 4
    for row in rows:
        assert row["seconds"] >= 0 and isinstance(row["n_test"], int)
        kept = pd.read_csv(tmp_path / "out" / "transfer" / f"SAV-{row['test']}-logmel-stats-3.csv", dtype=str)
        expected = balanced_accuracy_score(kept["emotion"], kept[f"predicted_{row['normalised']}"])
        assert row["test_uar"] == pytest.approx(expected, abs=1e-6)
    with one_line("anger, neutral, but SAV shares anger, .* with AES: choose two or more"):
        transfer.run_transfer("SAV", ["AES"], ["logmel-stats"], Settings(out=tmp_path), emotions=["anger", "neutral"])
