"""Classifiers: the engine against plain scikit-learn, on the same embeddings in one run.

    OMP_NUM_THREADS=1 python benchmarks/classifiers.py [--quick] [--embeddings FILE.npz] [--only LDA,SVC]

Without --embeddings, made-up ones of the size of RAVDESS (840, 300 and 300 utterances of eight emotions) with 512 and
with 6,373 features; a file has arrays X_train, y_train, X_validation, y_validation and X_test, y_test. Both sides
search the grid on the validation part, refit on train and validation, and predict the test part. With 6,373 features
plain scikit-learn takes ten minutes for that; --quick takes three values of C out of eleven, and fits LDA once, to 392
utterances.
"""

from __future__ import annotations

import argparse
import time
import warnings
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from measuring import run
from sklearn.base import ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.svm import SVC

from serab_lib.core import SerabError
from serab_lib.evaluation.classifiers import GRIDS, fit_classifier
from serab_lib.evaluation.solvers import fit_linear

PARTS = {"train": 840, "validation": 300, "test": 300}
N_QUICK = 392
QUICK_C = (1e5, 1.0, 1e-2)
PLAIN: dict[str, ClassifierMixin] = {
    "LDA": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "LR": LogisticRegression(max_iter=10_000, random_state=42),
    "SVC": SVC(max_iter=10_000, random_state=42),
}


@dataclass(frozen=True)
class Embeddings:
    """One task's embeddings and labels by part."""

    X: dict[str, np.ndarray]
    y: dict[str, np.ndarray]

    @property
    def n_features(self) -> int:
        """Size of one embedding."""
        return self.X["train"].shape[1]


@dataclass(frozen=True)
class Outcome:
    """What one side made of one classifier."""

    params: dict[str, Any]
    validation_accuracy: float
    predictions: np.ndarray
    seconds: float


def main() -> int:
    """Compare, print a table, and return 1 if the sides disagree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embeddings", help="npz file instead of made-up embeddings")
    parser.add_argument("--features", type=int, nargs="+", default=[512, 6373], help="sizes of made-up embeddings")
    parser.add_argument("--only", default="LDA,LR,SVC,QDA", help="classifiers, separated by commas")
    parser.add_argument("--quick", action="store_true", help="fewer candidates, and LDA on 392 utterances")
    options = parser.parse_args()
    names = options.only.split(",")
    for name in set(names) - set(GRIDS):
        raise SerabError(f"there is no classifier {name!r}: choose from {', '.join(GRIDS)}")
    if options.embeddings:
        sets = [read_embeddings(options.embeddings)]
    else:
        sets = [make_embeddings(n_features) for n_features in options.features]
    print_row("features", "classifier", "plain s", "ours s", "ratio", "plain test", "ours test", "differ", "selected")
    agree = True
    for embeddings in sets:
        for name in names:
            if name == "LDA" and options.quick:
                agree &= compare_lda(embeddings)
            else:
                agree &= compare_search(embeddings, name, quick=options.quick)
    print("selected parameters and test accuracies agree" if agree else "THE SIDES DISAGREE")
    return 0 if agree else 1


def read_embeddings(path: str) -> Embeddings:
    """Read a file of embeddings."""
    try:
        with np.load(path) as arrays:
            return Embeddings(
                {part: arrays[f"X_{part}"].astype(float) for part in PARTS},
                {part: arrays[f"y_{part}"] for part in PARTS},
            )
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise SerabError(f"{path} is no .npz file with the arrays that --help names") from error


def make_embeddings(n_features: int, *, seed: int = 0) -> Embeddings:
    """Eight overlapping classes in 60 correlated directions, with noise in all features, standardised by part."""
    generator = np.random.default_rng(seed)
    names = np.array(["anger", "calm", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"])
    shares = np.array([2, 2, 2, 2, 2, 1, 2, 2]) / 15
    n_directions = 60
    centres = generator.normal(scale=0.32, size=(len(names), n_directions))
    mixing = generator.normal(size=(n_directions, n_features)) * generator.gamma(2.0, 0.5, size=(n_directions, 1))
    X, y = {}, {}
    for part, n in PARTS.items():
        codes = generator.choice(len(names), size=n, p=shares)
        latent = centres[codes] + generator.normal(size=(n, n_directions))
        values = latent @ mixing + 6.0 * generator.normal(size=(n, n_features))
        X[part] = (values - values.mean(axis=0)) / values.std(axis=0)
        y[part] = names[codes]
    return Embeddings(X, y)


def compare_search(embeddings: Embeddings, name: str, *, quick: bool) -> bool:
    """Print a line about one search; whether the sides agree."""
    grid = dict(GRIDS[name])
    if quick and "C" in grid:
        grid["C"] = QUICK_C
    ours = search(embeddings, name, grid)
    accuracy = np.mean(ours.predictions == embeddings.y["test"])
    if name not in PLAIN:
        shown = f"{ours.seconds:.2f}", "", "", f"{accuracy:.3f}", "", ours.params
        print_row(embeddings.n_features, name, "refused", *shown)
        return True
    plain = search_plainly(embeddings, name, grid)
    n_different = int(np.sum(plain.predictions != ours.predictions))
    plain_accuracy = np.mean(plain.predictions == embeddings.y["test"])
    agree = plain.params == ours.params and plain_accuracy == accuracy
    print_row(
        embeddings.n_features,
        name,
        *format_times(plain.seconds, ours.seconds),
        f"{plain_accuracy:.3f}",
        f"{accuracy:.3f}",
        n_different,
        ours.params if plain.params == ours.params else f"{plain.params} / {ours.params}",
    )
    return bool(agree)


def search(embeddings: Embeddings, name: str, grid: dict[str, Any]) -> Outcome:
    """Search with the engine."""
    X, y = embeddings.X, embeddings.y
    result = fit_classifier(name, X["train"], y["train"], X["validation"], y["validation"], X["test"], grid=grid)
    return Outcome(result.best_params, result.validation_accuracy, result.predictions, result.seconds)


def search_plainly(embeddings: Embeddings, name: str, grid: dict[str, Any]) -> Outcome:
    """Search with scikit-learn, as the release does."""
    X, y = embeddings.X, embeddings.y
    start = time.perf_counter()
    fold = PredefinedSplit(np.repeat([-1, 0], [len(X["train"]), len(X["validation"])]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid = {parameter: list(values) for parameter, values in grid.items()}
        found = GridSearchCV(PLAIN[name], grid, cv=fold).fit(
            np.concatenate([X["train"], X["validation"]]), np.concatenate([y["train"], y["validation"]])
        )
        predictions = found.predict(X["test"])
    return Outcome(found.best_params_, found.best_score_, predictions, time.perf_counter() - start)


def compare_lda(embeddings: Embeddings) -> bool:
    """Print a line about one fit of LDA; whether the sides agree to 1e-8."""
    X, y = embeddings.X["train"][:N_QUICK], embeddings.y["train"][:N_QUICK]
    start = time.perf_counter()
    plain = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(X, y)
    plain_s = time.perf_counter() - start
    times = []
    for _ in range(3):
        start = time.perf_counter()
        coefficients, constants = fit_linear(X, y)
        times.append(time.perf_counter() - start)
    ours_s = float(np.median(times))
    distance = np.abs(plain.coef_ - coefficients).max() / np.abs(plain.coef_).max()
    winners = (embeddings.X["test"] @ coefficients.T + constants).argmax(axis=1)
    predictions = plain.predict(embeddings.X["test"]), np.unique(y)[winners]
    accuracies = [np.mean(predicted == embeddings.y["test"]) for predicted in predictions]
    print_row(
        embeddings.n_features,
        "LDA",
        *format_times(plain_s, ours_s),
        *(f"{accuracy:.3f}" for accuracy in accuracies),
        int(np.sum(predictions[0] != predictions[1])),
        f"one fit to {len(X)} utterances, coefficients differ by {distance:.0e} of the largest",
    )
    return bool(distance < 1e-8 and np.array_equal(*predictions))


def format_times(plain_s: float, ours_s: float) -> tuple[str, str, str]:
    """Write both times and their ratio."""
    return f"{plain_s:.2f}", f"{ours_s:.2f}", f"{plain_s / ours_s:.1f}"


def print_row(*values: object) -> None:
    """Print a line of the table."""
    print("{:>8} {:>10} {:>9} {:>9} {:>7}  {:>10} {:>10} {:>8}  {}".format(*map(str, values)), flush=True)


if __name__ == "__main__":
    run(main, interrupted="the same command begins anew")
