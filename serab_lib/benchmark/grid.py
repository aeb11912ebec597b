"""The grid: cells of tasks and extractors, computed once, written as they finish.

`plan` finds what is not there yet, as one job for each task with each extractor. `extract`, `prepare`, the classifiers
and `finish` make its cells: here in a loop, on the workers of a cluster in `serab_lib.benchmark.cluster`.
"""

from __future__ import annotations

import datetime
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from serab_lib.benchmark.results import Cell, Results, describe_machine
from serab_lib.core import Progress, SerabError, cache_folder, digest, hash_files, require_writable
from serab_lib.corpora.check import describe_copies
from serab_lib.corpora.corpus import Corpus, find_corpus, mark_originals, read_content
from serab_lib.corpora.splits import PARTS, find_training, split_folds, split_warnings
from serab_lib.corpora.task import Task, get_task
from serab_lib.extractors.registry import Entry, get_entry, identify, load_extractor
from serab_lib.extractors.weights import require_checkpoint, weights_folder

if TYPE_CHECKING:
    from serab_lib.benchmark.embeddings import Embeddings
    from serab_lib.evaluation.classifiers import ClassifierResult, Parts

logger = logging.getLogger(__name__)

# Part of every cell's inputs: raise it when a change to the library changes results.
ENGINE_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a grid is computed: folders (None for the defaults), protocols, device, workers, search of hyperparameters.

    A cache that cannot be written is read all the same, and the run goes on without keeping what it makes.
    """

    out: str | Path
    data: str | Path | None = None
    weights: str | Path | None = None
    cache: str | Path | None = None
    protocols: Sequence[str] = ("described",)
    device: str = "cpu"
    n_jobs: int | None = None  # workers for extraction and classifiers on this machine; one per core if None
    search: bool = True


@dataclass
class Summary:
    """What a run did: cells computed, cells that were there, and what failed or deserves a word, once each."""

    computed: list[tuple[str, str, str]] = field(default_factory=list)
    present: list[tuple[str, str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Split:
    """The split of a task, or each fold's, and each protocol under it with the digest of what its cell is made of."""

    folds: list[pd.DataFrame]
    inputs: dict[str, str]


@dataclass(frozen=True, eq=False)
class Job:
    """One task with one extractor: what is needed to compute those of their cells that are not there."""

    corpus: Corpus  # its utterances have their files' hashes in the column `content`
    entry: Entry
    settings: Settings  # with absolute folders
    splits: dict[str, Split]  # by their content: protocols that split the task alike share one, and so their fits

    def __str__(self) -> str:
        return f"{self.corpus.task.code}, {self.entry.name}"


Key = tuple[str, str, str]
Outcome = list[Cell] | SerabError
Compute = Callable[[Iterable[Job], Progress], Iterator[tuple[Job, Outcome]]]
"""Computes jobs somewhere: yields each with the cells of one of its splits, or why there are none."""


def run_grid(
    tasks: Iterable[str | Task],
    models: Iterable[str],
    settings: Settings,
    *,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Compute the cells of a grid that are not there yet.

    `compute` does the work, such as what `serab_lib.benchmark.cluster.open_cluster` gives; this machine if None.
    Results are written here in either case, and are the same. A task without its corpus, or a model without its
    weights, is a failure in the summary; the other cells are computed all the same. SerabError if a name is unknown or
    results cannot be written.
    """
    chosen_tasks = list({task.code: task for task in map(get_task, tasks)}.values())
    entries = [get_entry(model) for model in dict.fromkeys(models)]
    require_writable(Path(settings.out), "--out")
    folders = {"weights": weights_folder(settings.weights), "cache": cache_folder(settings.cache)}
    settings = replace(settings, **{name: folder.absolute() for name, folder in folders.items()})
    results, summary = Results(settings.out), Summary()
    tell = progress or (lambda what, n_done, n_total: None)
    compute = compute or partial(compute_here, n_jobs=settings.n_jobs or os.cpu_count() or 1)
    for job, outcome in compute(plan(chosen_tasks, entries, settings, summary), tell):
        if isinstance(outcome, SerabError):
            summary.failures.append(f"{job}: {outcome}")
            continue
        for cell in outcome:
            results.write(cell)
            summary.computed.append(cell.key)
            summary.warnings += cell.warnings
        n_cells = len(chosen_tasks) * len(entries) * len(settings.protocols)
        tell("cells", len(summary.computed) + len(summary.present), n_cells)
    summary.warnings, summary.failures = (list(dict.fromkeys(each)) for each in (summary.warnings, summary.failures))
    return summary


def plan(tasks: Iterable[Task], entries: Iterable[Entry], settings: Settings, summary: Summary) -> Iterator[Job]:
    """Yield a job for each task and extractor with cells to be computed; two if protocols differ in what it is."""
    weights = {}
    for entry in entries:
        try:
            _, weights[entry.name] = require_checkpoint(entry, settings.weights, cache=Path(settings.cache))
        except SerabError as error:
            summary.failures.append(str(error))
    finished = Results(settings.out).finished_inputs()
    for task in tasks:
        try:
            corpus = find_recordings(task, settings, summary)
        except SerabError as error:
            summary.failures.append(f"{task.code}: {error}")
            continue
        for entry in (entry for entry in entries if entry.name in weights):
            yield from _plan_cells(corpus, entry, weights[entry.name], settings, finished, summary)


def _plan_cells(
    corpus: Corpus, entry: Entry, weights: str, settings: Settings, finished: Mapping[Key, str | None], summary: Summary
) -> Iterable[Job]:
    """Compare what each cell of a task and an extractor would be made of with what the finished one was made of."""
    task, jobs = corpus.task, {}
    for protocol in settings.protocols:
        variant = entry.under(protocol)
        identity = identify(variant, weights)
        try:
            folds = split_folds(corpus.utterances, task, protocol)
            vectors = [identity, *_describe_statistics(variant, corpus)]
        except SerabError as error:
            summary.failures.append(str(error))  # the same for every model
            continue
        summary.warnings += [f"{task.code}, {protocol}: {warning}" for warning in split_warnings(folds)]
        columns = pd.concat(folds)[["stem", "content", "emotion", "group", "part"]].to_numpy().ravel()
        inputs = digest([str(ENGINE_VERSION), str(settings.search), *vectors, *task.classes, *columns])
        key = (task.code, entry.name, protocol)
        if finished.get(key) == inputs:
            summary.present.append(key)
            continue
        if key in finished:
            summary.warnings.append(
                f"{', '.join(key)}: the cell there was made from other audio, weights or settings; "
                "it is computed anew, the old one moves to stale.csv"
            )
        job = jobs.setdefault(identity, Job(corpus, variant, settings, {}))
        job.splits.setdefault(digest(columns), Split(folds, {})).inputs[protocol] = inputs
    return jobs.values()


def find_recordings(task: Task, settings: Settings, summary: Summary) -> Corpus:
    """Find a corpus; say of each utterance what its file holds, and whether it is as it was released."""
    corpus = find_corpus(task, settings.data)
    utterances, cache = corpus.utterances, Path(settings.cache)
    hashes = hash_files(list(utterances["path"]), cache=cache)
    originals = None if corpus.synthetic else mark_originals(task, utterances, hashes, cache=cache)
    if not corpus.complete:
        summary.warnings.append(
            f"{task.code} is incomplete ({len(utterances)} of {corpus.n_expected} utterances): "
            f"its cells say so; `serab check {task.name}` names the files"
        )
    if originals is not None and not all(originals):
        summary.warnings.append(
            f"{task.code}: {sum(originals):,} of {len(originals):,} recordings are as they were released: "
            f"`serab check {task.name}` says what the others are; results differ by points"
        )
    return replace(corpus, utterances=utterances.assign(content=hashes, is_original=originals))


def _describe_statistics(entry: Entry, corpus: Corpus) -> list[str]:
    """Say what the log-mel statistics are, or on which recordings they are measured; nothing where there are none."""
    if "window_samples" not in entry.options:
        return []
    if published := corpus.find_statistics(int(str(entry.options["window_samples"]))):
        return [str(published)]
    return list(corpus.utterances.loc[find_training(corpus.utterances, corpus.task), "content"])


def extract(job: Job, **options: Any) -> Embeddings:
    """Make the embeddings of a job's corpus, with options of `extract_corpus`."""
    from serab_lib.benchmark.embeddings import extract_corpus

    utterances, settings = job.corpus.utterances, job.settings
    hashes, cache = list(utterances["content"]), Path(settings.cache)
    if hash_files(list(utterances["path"]), cache=cache) != hashes:
        raise SerabError("files are not what was hashed before, or not on this machine: run the same command again")
    extractor = load_extractor(job.entry, weights=settings.weights, device=settings.device)
    started = time.monotonic()
    made = extract_corpus(job.corpus, extractor, hashes=hashes, cache=cache, **options)
    provenance = made.provenance | {
        "extractor": extractor.fingerprint,
        "extraction_seconds": round(time.monotonic() - started, 3),
        "embeddings_from_cache": made.n_cached,
        "unusable_files": sorted(utterances["stem"].iloc[list(made.unusable)]),
        **describe_machine(settings.device),
    }
    if read_content(job.corpus.task.name) is None:  # elsewhere it is known what each recording is
        provenance["sample_rates_hz"] = made.sample_rates
    return replace(made, provenance=provenance)


def prepare(job: Job, fold: pd.DataFrame, made: Embeddings) -> Parts:
    """Make what classifiers are fitted to, of one fold of a job: the files that can be used, normalised."""
    from serab_lib.evaluation.protocol import make_parts

    parts, rows = _leave_out_unusable(job, fold, made)
    return make_parts(made.matrix[rows], parts, job.corpus.task.classes)


def _leave_out_unusable(job: Job, fold: pd.DataFrame, made: Embeddings) -> tuple[pd.DataFrame, np.ndarray]:
    """The fold without the files that cannot be used, and the rows of the embeddings of the others."""
    rows = pd.Index(job.corpus.utterances["stem"]).get_indexer(fold["stem"])
    usable = ~np.isin(rows, list(made.unusable))
    parts = fold[usable].reset_index(drop=True)
    # The parts that have utterances, and the classes that train has.
    needed = fold["part"] + fold["emotion"].where(fold["part"] == "train", "")
    if set(needed) != set(needed[usable]):
        raise SerabError(
            f"without the {len(made.unusable)} unusable files a part of a split is empty or a "
            f"class cannot be learnt: `serab check {job.corpus.task.name}` names them"
        )
    return parts, rows[usable]


def finish(job: Job, part: Split, made: Embeddings, fitted: Sequence[Sequence[ClassifierResult]]) -> list[Cell]:
    """Score the classifiers of one split of a job, fitted for each of its folds, under each of its protocols."""
    from serab_lib.evaluation.protocol import score

    corpus, folds = job.corpus, [_leave_out_unusable(job, fold, made)[0] for fold in part.folds]
    is_original, parts = folds[0]["is_original"], pd.concat(folds)["part"]
    n_originals = None if is_original.isna().all() else int(is_original.sum())
    columns = {f"n_{name}": int((parts == name).sum()) for name in PARTS} | {
        "search": job.settings.search,
        "complete": corpus.complete and not made.unusable,
        "n_originals": n_originals,
        "synthetic": corpus.synthetic,
    }
    provenance = made.provenance | {
        "data": digest(corpus.utterances["content"]),
        "n_utterances": len(corpus.utterances),
        "n_expected": corpus.n_expected,
        "n_originals": n_originals,
        "missing": list(corpus.missing),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seeds": {"split": 0, "classifiers": 42},
        "engine_version": ENGINE_VERSION,
    }
    cells = []
    for protocol, inputs in part.inputs.items():
        scored, key = score(fitted, folds, protocol, corpus.task.classes), (corpus.task.code, job.entry.name, protocol)
        scores, origin = scored.scores.assign(**columns), provenance | {"inputs": inputs}
        cells.append(Cell(key, scores, scored.predictions, origin, _list_warnings(corpus, made)))
    return cells


def _list_warnings(corpus: Corpus, made: Embeddings) -> list[str]:
    """List what a user should know of how embeddings were made."""
    code, rates = corpus.task.code, made.provenance.get("sample_rates_hz", {})
    warnings = [f"{code}: {reason}; the cell is computed without it" for reason in made.unusable.values()]
    if not corpus.synthetic and (copies := describe_copies(corpus.task, rates)):
        warnings.append(f"{code}: {copies}")
    return warnings + ([made.not_kept] if made.not_kept else [])


def compute_here(jobs: Iterable[Job], progress: Progress, *, n_jobs: int) -> Iterator[tuple[Job, Outcome]]:
    """Compute jobs on this machine, one after the other, with workers for what is inside one."""
    for job in jobs:

        def tell(what: str, n_done: int, n_total: int, code: str = job.corpus.task.code) -> None:
            progress(f"{code}: {what}", n_done, n_total)

        made = _try_twice(extract, job, n_jobs=n_jobs, progress=tell)
        if isinstance(made, SerabError):
            yield job, made
            continue
        for part in job.splits.values():
            yield job, _try_twice(_evaluate, job, part, made, n_jobs=n_jobs, progress=partial(tell, "classifiers"))


def _evaluate(job: Job, part: Split, made: Embeddings, **options: Any) -> list[Cell]:
    from serab_lib.evaluation.protocol import fit_classifiers

    search = job.settings.search
    fitted = [fit_classifiers(prepare(job, fold, made), search=search, **options) for fold in part.folds]
    return finish(job, part, made, fitted)


def _try_twice(work: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Do work, once more if a worker process dies of it; return what it gives, or why it gives nothing."""
    for may_repeat in (True, False):
        try:
            return work(*arguments, **options)
        except SerabError as error:
            if not may_repeat or not isinstance(error.__cause__, BrokenProcessPool):
                return error
            logger.warning("a worker process died: what it had begun is begun again")
