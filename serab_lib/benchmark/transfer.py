"""Across corpora: one teaches, another one tests."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from serab_lib.benchmark.grid import ENGINE_VERSION, Job, Settings, Summary, extract, find_recordings
from serab_lib.benchmark.results import find_commit
from serab_lib.core import Progress, SerabError, cache_folder, digest, replaced, require_writable
from serab_lib.corpora.corpus import Corpus
from serab_lib.corpora.splits import ROTATED, split_folds
from serab_lib.corpora.task import Task, get_task
from serab_lib.evaluation.classifiers import CLASSIFIERS
from serab_lib.evaluation.protocol import choose, fit_classifiers, make_parts, measure, unweighted_average_recall
from serab_lib.evaluation.significance import t_interval
from serab_lib.extractors.registry import Entry, get_entry, identify
from serab_lib.extractors.weights import require_checkpoint, weights_folder

logger = logging.getLogger(__name__)

Names, Corpora = Sequence[str], Mapping[str, Corpus]
# What all nine tasks of the paper have.
COMMON_EMOTIONS = ("anger", "happiness", "sadness")
# By what embeddings are standardised: each speaker's own mean and deviation, or those of the training part.
NORMALISATIONS = ("speaker", "training")
KEY = ["train", "test", "model", "emotions", "normalised"]


def run_transfer(
    train: Iterable[str],
    test: Iterable[str],
    models: Iterable[str],
    settings: Settings,
    *,
    emotions: Sequence[str] = COMMON_EMOTIONS,
    classifiers: Sequence[str] = CLASSIFIERS,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Train on each of some corpora, test on all of each of others, and on the same one fold by fold.

    Parameters
    ----------
    train, test, models : iterable of str
        Tasks and extractors by name.
    settings : Settings
        `out` receives `transfer.csv`, and in `transfer/` what was predicted; what is there is not computed again.
    emotions : sequence of str
        What is told apart; if empty, all that two corpora share.
    classifiers : sequence of str
        Of these the training corpus's own validation speakers choose.
    progress : callable, optional
        Told how much is done.

    Returns
    -------
    pandas.DataFrame
        One row for each two corpora, model and normalisation, as in `transfer.csv`. Scores are fractions of 1; `low`
        and `high` are the ends of Student's 95 % interval of the unweighted average recall over speakers.

    Notes
    -----
    The train and validation parts of `described` teach; a corpus that tests itself is split as `rotated` has it.
    """
    trains, tests = ([get_task(name) for name in dict.fromkeys(names)] for names in (train, test))
    require_writable(Path(settings.out), "--out")
    folders = {"weights": weights_folder(settings.weights), "cache": cache_folder(settings.cache)}
    settings = replace(settings, **{name: folder.absolute() for name, folder in folders.items()})
    groups = [(task, *group) for task in trains for group in _group_tests(task, tests, emotions)]
    fits = list(itertools.product(map(get_entry, dict.fromkeys(models)), groups))
    summary, done = Summary(), []
    needed = {task.code: task for task in trains + tests}
    corpora = {code: find_recordings(task, settings, summary) for code, task in needed.items()}
    for warning in summary.warnings:
        logger.warning("warning: %s", warning)
    for number, (entry, group) in enumerate(fits, start=1):
        done.append(_complete(*group, entry, corpora, settings, classifiers))
        if progress:
            progress("fits", number, len(fits))
    table = read_transfer(settings.out)
    return table[table["inputs"].isin(done)].reset_index(drop=True)


def read_transfer(out: str | Path) -> pd.DataFrame:
    """Read what `run_transfer` wrote; no rows where there is nothing."""
    path = Path(out) / "transfer.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=[*KEY, "inputs"])


def split_transfer(utterances: pd.DataFrame, train: Task, tests: Names, classes: Names) -> list[pd.DataFrame]:
    """Split the utterances of several tasks (column `task`) so that one teaches.

    If it tests itself, there is a split for each fold; else one, and all of the others is tested.
    """
    own = utterances[utterances["task"] == train.code]
    if list(tests) == [train.code]:
        folds = split_folds(own, train, ROTATED)
    else:
        (parts,) = split_folds(own, train, "described")
        others = utterances[utterances["task"].isin(tests)]
        others = others.assign(group=others["task"] + " " + others["speaker"], part="test")
        folds = [pd.concat([parts[parts["part"] != "test"], others])]
    return [fold[fold["emotion"].isin(set(classes))].reset_index(drop=True) for fold in folds]


def predict(
    matrix: np.ndarray, folds: list[pd.DataFrame], classes: Names, *, by_speaker: bool, **options: Any
) -> pd.DataFrame:
    """Answer the test utterances of folds, each by the classifier that its validation part chooses.

    `matrix` has the embedding of each utterance in the row that the column `row` says; `options` are of
    `fit_classifiers`.
    """
    tables = []
    for fold in folds:
        parts = make_parts(matrix[fold["row"]], fold, classes, by_speaker=by_speaker)
        best = choose(fit_classifiers(parts, **options))
        test = fold.loc[fold["part"] == "test", ["task", "stem", "speaker", "emotion"]]
        answers = np.array(classes)[best.predictions]
        tables.append(test.assign(predicted=answers, classifier=best.best_params["classifier"]))
    return pd.concat(tables, ignore_index=True)


def score_speakers(predictions: pd.DataFrame) -> dict[str, Any]:
    """Score what was predicted for a corpus; the interval is of the unweighted average recall over its speakers."""
    own = [unweighted_average_recall(each["emotion"], each["predicted"]) for _, each in predictions.groupby("speaker")]
    low, high = np.clip(t_interval(own), 0, 1)
    scores = {"classifier": " ".join(dict.fromkeys(predictions["classifier"])), "low": low, "high": high}
    scores |= measure(predictions["emotion"], predictions["predicted"])
    return scores | {"n_test": len(predictions), "n_speakers": len(own)}


def _group_tests(train: Task, tests: Iterable[Task], emotions: Names) -> list[tuple[Names, Names]]:
    """Group the corpora that test the same classes, which one fit serves; a corpus that tests itself is apart."""
    groups: dict[tuple[bool, Names], list[str]] = {}
    for test in tests:
        shared = [name for name in train.classes if name in test.classes]
        chosen = tuple(emotions or shared)
        if len(chosen) < 2 or not set(chosen) <= set(shared):
            raise SerabError(
                f"{train.code} and {test.code} share the classes {', '.join(shared) or '(none)'}, got "
                f"{', '.join(chosen) or 'all of them'}: choose two or more of the shared ones with --emotions"
            )
        groups.setdefault((test == train, chosen), []).append(test.code)
    return [(classes, codes) for (_, classes), codes in groups.items()]


def _complete(
    train: Task, classes: Names, tests: Names, entry: Entry, corpora: Corpora, settings: Settings, classifiers: Names
) -> str:
    """Compute and write the rows of one fit, if they are not there; return the digest of what they are made of."""
    used = {code: corpora[code] for code in dict.fromkeys([train.code, *tests])}
    _, weights = require_checkpoint(entry, settings.weights, cache=Path(settings.cache))
    known = [identify(entry, weights), str(settings.search), str(ENGINE_VERSION), *classifiers, *classes]
    tables = [corpus.utterances[["stem", "content", "emotion", "speaker"]] for corpus in used.values()]
    inputs = digest([*known, train.code, *tests, *pd.concat(tables).to_numpy().ravel()])
    if inputs in set(read_transfer(settings.out)["inputs"]):
        return inputs
    utterances, matrix = _embed(used, entry, settings)
    folds = split_transfer(utterances, train, tests, classes)
    options = {"classifiers": classifiers, "search": settings.search, "n_jobs": settings.n_jobs or 1}
    answers = {way: predict(matrix, folds, classes, by_speaker=way == "speaker", **options) for way in NORMALISATIONS}
    labels = {"train": train.code, "model": entry.name, "emotions": " ".join(classes)}
    labels |= {"inputs": inputs, "commit": find_commit()}
    _write(labels, answers, Path(settings.out), f"{train.code}-{'-'.join(tests)}-{entry.name}-{len(classes)}.csv")
    return inputs


def _embed(corpora: Corpora, entry: Entry, settings: Settings) -> tuple[pd.DataFrame, np.ndarray]:
    """Join the usable utterances of corpora, each with the row of its embedding."""
    made = [extract(Job(corpus, entry, settings, {}), n_jobs=settings.n_jobs) for corpus in corpora.values()]
    tables = [corpus.utterances.assign(task=code) for code, corpus in corpora.items()]
    utterances, matrix = pd.concat(tables, ignore_index=True), np.concatenate([each.matrix for each in made])
    return utterances.assign(row=range(len(utterances)))[np.isfinite(matrix).all(axis=1)], matrix


def _write(labels: Mapping[str, Any], answers: Mapping[str, pd.DataFrame], out: Path, name: str) -> None:
    """Write what was predicted, then its rows in place of older ones."""
    predictions = answers["speaker"][["task", "stem", "speaker", "emotion"]].assign(
        **{f"predicted_{way}": table["predicted"] for way, table in answers.items()}
    )
    (out / "transfer").mkdir(exist_ok=True)
    with replaced(out / "transfer" / name) as temporary:
        predictions.to_csv(temporary, index=False)
    tested = [(way, *group) for way, table in answers.items() for group in table.groupby("task")]
    rows = [{**labels, "test": test, "normalised": way, **score_speakers(own)} for way, test, own in tested]
    table = pd.concat([read_transfer(out).astype(object), pd.DataFrame(rows)]).drop_duplicates(KEY, keep="last")
    first = [*KEY, *(column for column in rows[0] if column not in KEY)]
    with replaced(out / "transfer.csv") as temporary:
        table.sort_values(KEY)[first].to_csv(temporary, index=False, float_format="%.6f")
