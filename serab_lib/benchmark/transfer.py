"""Across corpora: one teaches, another one tests."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from serab_lib.benchmark.grid import ENGINE_VERSION, Job, Settings, Summary, extract, find_recordings
from serab_lib.benchmark.results import find_commit
from serab_lib.core import Progress, SerabError, cache_folder, digest, replaced, require_writable
from serab_lib.corpora.splits import ROTATED, split_folds
from serab_lib.corpora.task import Task, get_task
from serab_lib.evaluation.classifiers import CLASSIFIERS
from serab_lib.evaluation.protocol import choose, fit_classifiers, make_parts, measure
from serab_lib.evaluation.significance import t_interval
from serab_lib.extractors.registry import get_entry
from serab_lib.extractors.weights import weights_folder

logger = logging.getLogger(__name__)

# What all nine tasks of the paper have.
COMMON_EMOTIONS = ("anger", "happiness", "sadness")
# By what embeddings are standardised: each speaker's own mean and deviation, or those of the training part.
NORMALISATIONS = ("speaker", "training")
KEY = ["train", "test", "model", "emotions", "normalised"]


def run_transfer(
    train: str,
    test: Iterable[str],
    models: Iterable[str],
    settings: Settings,
    *,
    emotions: Sequence[str] = COMMON_EMOTIONS,
    classifiers: Sequence[str] = CLASSIFIERS,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Train on one corpus and test on all of others; on the same one, fold by fold.

    Parameters
    ----------
    train : str
        Task by name.
    test, models : iterable of str
        Tasks and extractors by name.
    settings : Settings
        `out` receives `transfer.csv`, and in `transfer/` what was predicted.
    emotions : sequence of str
        What is told apart; if empty, all that these corpora share.
    classifiers : sequence of str
        Of these the training corpus's own validation speakers choose.
    progress : callable, optional
        Told how many models are done; each is written when it is, and not computed again.

    Returns
    -------
    pandas.DataFrame
        One row for each tested corpus, model and normalisation, as in `transfer.csv`. Scores are fractions of 1; `low`
        and `high` are the ends of Student's 95 % interval of the unweighted average recall over speakers; `seconds` is
        what fitting and answering took, for all corpora that were tested at once.

    Notes
    -----
    The train and validation parts of `described` teach; a corpus that tests itself is split as `rotated` has it.
    """
    source, tasks, summary = get_task(train), {task.code: task for task in map(get_task, test)}, Summary()
    shared = [name for name in source.classes if all(name in task.classes for task in tasks.values())]
    classes = tuple(emotions or shared)
    if len(classes) < 2 or not set(classes) <= set(shared):
        raise SerabError(
            f"emotions {', '.join(classes)}, but {source.code} shares {', '.join(shared) or 'none'} with "
            f"{', '.join(tasks)}: choose two or more of those with --emotions"
        )
    require_writable(Path(settings.out), "--out")
    folders = {"weights": weights_folder(settings.weights), "cache": cache_folder(settings.cache)}
    settings = replace(settings, **{name: folder.absolute() for name, folder in folders.items()})
    corpora = {code: find_recordings(task, settings, summary) for code, task in ({source.code: source} | tasks).items()}
    for warning in summary.warnings:
        logger.warning("warning: %s", warning)
    options = {"search": settings.search, "n_jobs": settings.n_jobs or os.cpu_count() or 1, "classifiers": classifiers}
    tests, tables = [[source.code], [code for code in tasks if code != source.code]], []
    names, tell = list(models), progress or (lambda what, n_done, n_total: None)
    for n_done, model in enumerate(names):
        tell(f"{source.code} teaches", n_done, len(names))
        jobs = [Job(corpus, get_entry(model), settings, {}) for corpus in corpora.values()]
        matrix = np.concatenate([extract(job, n_jobs=settings.n_jobs).matrix for job in jobs])
        listed = pd.concat([job.corpus.utterances.assign(task=job.corpus.task.code) for job in jobs], ignore_index=True)
        utterances = listed.assign(row=listed.index)[np.isfinite(matrix).all(axis=1)]
        for codes in (codes for codes in tests if set(codes) & set(tasks)):
            folds = split_transfer(utterances, source, codes, classes)
            labels = {"train": source.code, "model": model, "emotions": " ".join(classes)}
            tables.append(_teach(labels, codes, folds, matrix, Path(settings.out), **options))
    return pd.concat(tables, ignore_index=True)


def _teach(
    labels: dict[str, str], tests: list[str], folds: list[pd.DataFrame], matrix: np.ndarray, out: Path, **options: Any
) -> pd.DataFrame:
    """Find the rows that were made of the same before, or make them and write what was predicted, then them."""
    used, classes = pd.concat(folds), labels["emotions"].split()
    columns = used[["task", "stem", "emotion", "group", "part"]].to_numpy().ravel()
    chosen = [str(ENGINE_VERSION), str(options["search"]), *options["classifiers"], *labels.values()]
    inputs = digest([*chosen, joblib.hash(matrix[used["row"].unique()]), *columns])
    path = out / "transfer" / f"{labels['train']}-{'-'.join(tests)}-{labels['model']}-{len(classes)}.csv"
    there = read_transfer(out)
    finished = there[there["inputs"] == inputs]
    if len(finished) == len(tests) * len(NORMALISATIONS) and path.exists():
        return finished
    rows, predicted = [], {}
    for way in NORMALISATIONS:
        started = time.monotonic()
        answers = predict(matrix, folds, classes, way == "speaker", **options)
        origin = {"seconds": round(time.monotonic() - started, 1), "inputs": inputs, "commit": find_commit()}
        predicted[f"predicted_{way}"] = answers["predicted"]
        for test, own in answers.groupby("task"):
            rows.append({**labels, "test": test, "normalised": way, **score_speakers(own), **origin})
    with replaced(path) as temporary:
        answers[["task", "stem", "speaker", "emotion"]].assign(**predicted).to_csv(temporary, index=False)
    made = pd.DataFrame(rows).round(6).astype(object)  # whole numbers stay whole beside a table without them
    table = pd.concat([there.astype(object), made]).drop_duplicates(KEY, keep="last").sort_values(KEY)
    with replaced(out / "transfer.csv") as temporary:
        table.to_csv(temporary, index=False)
    return made[table.columns]


def read_transfer(out: str | Path) -> pd.DataFrame:
    """Read what `run_transfer` wrote; no rows where there is nothing."""
    path = Path(out) / "transfer.csv"
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=KEY)
    return table.reindex(columns=list(dict.fromkeys([*table, "seconds", "inputs"])))  # which an older one lacks


def split_transfer(
    utterances: pd.DataFrame, train: Task, tests: Sequence[str], classes: Iterable[str]
) -> list[pd.DataFrame]:
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
    matrix: np.ndarray, folds: Iterable[pd.DataFrame], classes: Sequence[str], by_speaker: bool, **options: Any
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
    right = predictions["predicted"] == predictions["emotion"]
    own = right.groupby([predictions["speaker"], predictions["emotion"]]).mean().groupby("speaker").mean()
    low, high = np.clip(t_interval(own), 0, 1)
    scores = {"classifier": " ".join(dict.fromkeys(predictions["classifier"])), "low": low, "high": high}
    scores |= measure(predictions["emotion"], predictions["predicted"])
    return scores | {"n_test": len(predictions), "n_speakers": len(own)}
