"""The grid: cells of tasks and extractors, computed once, written as they finish."""

from __future__ import annotations

import datetime
import itertools
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from serab_lib.benchmark.results import Results, describe_machine
from serab_lib.core import SerabError, cache_folder, digest, hash_files, require_writable
from serab_lib.corpora.check import count_sample_rates, describe_copies
from serab_lib.corpora.corpus import Corpus, find_corpus
from serab_lib.corpora.manifests import mark_originals, read_content
from serab_lib.corpora.splits import find_training, split, split_warnings
from serab_lib.corpora.task import Task, get_task
from serab_lib.extractors.registry import Entry, get_entry, identify, load_extractor
from serab_lib.extractors.weights import require_checkpoint, weights_folder

if TYPE_CHECKING:
    from serab_lib.benchmark.embeddings import Progress
    from serab_lib.evaluation.classifiers import ClassifierResult
    from serab_lib.evaluation.protocol import Problem

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """The embeddings of one task by one extractor, to be made.

    Attributes
    ----------
    corpus : Corpus
    hashes : tuple of str
        Content of each utterance's file.
    entry : Entry
    weights : str, Path or None
        Folder of checkpoints.
    device : str
    cache : Path
    search : bool
        Whether the fits search hyperparameters.
    """

    corpus: Corpus
    hashes: tuple[str, ...]
    entry: Entry
    weights: str | Path | None
    device: str
    cache: Path
    search: bool = True

    def __str__(self) -> str:
        return f"{self.corpus.task.code}, {self.entry.name}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Extraction:
    """What an order gives.

    Attributes
    ----------
    matrix : np.ndarray [shape=(n_utterances, embedding_size)]
        NaN in the rows of files that could not be used.
    unusable : dict of int to str
        Row of such a file to the reason.
    not_kept : str or None
        Why the cache could not be written, if it could not.
    origin : dict
        For the provenance.
    """

    matrix: np.ndarray
    unusable: dict[int, str]
    not_kept: str | None
    origin: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Fit:
    """The five classifiers on one split of a task, to be fitted.

    Attributes
    ----------
    order : Order
        Whose embeddings they are fitted to.
    rows : np.ndarray [shape=(n,)]
        The utterances of the split, as rows of the embeddings.
    parts : pandas.DataFrame
        The split of these utterances, in the same order.
    cells : tuple
        What the fit is for; a workplace does not look into it.
    """

    order: Order
    rows: np.ndarray
    parts: pd.DataFrame
    cells: tuple[Any, ...]

    def __str__(self) -> str:
        return str(self.order)

    def pose(self, matrix: np.ndarray) -> Problem:
        """Say what is fitted, given the embeddings of all utterances."""
        from serab_lib.evaluation.protocol import Problem

        return Problem(matrix[self.rows], self.parts, self.order.corpus.task.classes)


Divide = Callable[[Order, Extraction], Iterable[Fit]]


class Workplace(ABC):
    """Where orders are carried out."""

    @abstractmethod
    def work(
        self, orders: Iterable[Order], divide: Divide, progress: Progress
    ) -> Iterator[tuple[Order | Fit, list[ClassifierResult] | SerabError]]:
        """Carry out orders and the fits that follow from them.

        Parameters
        ----------
        orders : iterable of Order
            Those of one task stand together.
        divide : callable
            Told an order and what it gave (a workplace may leave out the matrix); returns the fits to be done.
        progress : callable
            Told what is being done, how much of it is done, and how much there is.

        Yields
        ------
        what : Order or Fit
        outcome : list of ClassifierResult, or SerabError
            As soon as it is there. An order yields nothing but its failure.
        """


class Here(Workplace):
    """The machine that runs the program: tasks one after the other, threads and processes for what is inside a task.

    Parameters
    ----------
    n_jobs : int
        Workers for extraction and classifiers.
    """

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def work(
        self, orders: Iterable[Order], divide: Divide, progress: Progress
    ) -> Iterator[tuple[Order | Fit, list[ClassifierResult] | SerabError]]:
        """Extract all of a task, then fit all of it in parallel; see `Workplace.work`."""
        for _, together in itertools.groupby(orders, key=lambda order: order.corpus.task.code):
            fits: list[Fit] = []
            problems: list[Problem] = []
            for order in together:
                try:
                    made = extract_order(order, n_jobs=self.n_jobs, progress=progress)
                except SerabError as error:
                    yield order, error
                    continue
                for fit in divide(order, made):
                    fits.append(fit)
                    problems.append(fit.pose(made.matrix))
            yield from self._fit(fits, problems, progress)

    def _fit(
        self, fits: Sequence[Fit], problems: Sequence[Problem], progress: Progress
    ) -> Iterator[tuple[Fit, list[ClassifierResult] | SerabError]]:
        """Fit all together; if that fails, each that is left alone, so that one cannot fail the others."""
        if not fits:
            return
        from serab_lib.evaluation.protocol import evaluate_many

        order, left, n_done = fits[0].order, dict(enumerate(fits)), 0

        def count(position: int, classifier: str) -> None:
            nonlocal n_done
            n_done += 1
            progress(f"{order.corpus.task.code}: classifiers", min(n_done, 5 * len(fits)), 5 * len(fits))

        options = {"search": order.search, "n_jobs": self.n_jobs, "on_fit": count}
        try:
            for position, results in evaluate_many(problems, **options):
                yield left.pop(position), results
        except SerabError as error:
            logger.debug("the rest is fitted one by one: %s", error)
        for position, fit in left.items():
            try:
                ((_, results),) = evaluate_many([problems[position]], **options)
            except SerabError as error:
                yield fit, error
            else:
                yield fit, results


def extract_order(order: Order, *, n_jobs: int, progress: Progress) -> Extraction:
    """Carry out an order in this process.

    Raises
    ------
    SerabError
        If the extractor cannot be loaded, or its numbers cannot be used.
    """
    from serab_lib.benchmark.embeddings import extract, set_statistics

    def tell(what: str, n_done: int, n_total: int) -> None:
        progress(f"{order.corpus.task.code}: {what}", n_done, n_total)

    utterances = order.corpus.utterances
    extractor = load_extractor(order.entry, weights=order.weights, device=order.device)
    origin = set_statistics(extractor, order.corpus, n_jobs=n_jobs, progress=tell)
    started = datetime.datetime.now(datetime.UTC)
    paths, hashes = list(utterances["path"]), list(order.hashes)
    made = extract(paths, hashes, extractor, cache=order.cache, n_jobs=n_jobs, progress=tell)
    seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    origin |= {
        "extractor": extractor.fingerprint,
        "extraction_seconds": round(seconds, 3),
        "embeddings_from_cache": made.n_cached,
        "unusable_files": sorted(utterances["stem"].iloc[list(made.unusable)]),
        **describe_machine(order.device),
    }
    if read_content(order.corpus.task.name) is None:  # elsewhere it is known what each recording is
        origin["sample_rates_hz"] = count_sample_rates(paths)
    return Extraction(matrix=made.matrix, unusable=made.unusable, not_kept=made.not_kept, origin=origin)


# Part of every cell's fingerprint: raise it when a change to the library changes results.
ENGINE_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a grid is computed.

    Attributes
    ----------
    data, weights, out, cache : str, Path or None
        Folders; None for the defaults. A cache that cannot be written is read all the same, and the run goes
        on without keeping what it makes.
    protocols : sequence of str
    device : str
        `cpu` or `cuda`.
    n_jobs : int
        Workers for extraction and classifiers on this machine.
    search : bool
        Whether hyperparameters are searched.
    """

    out: str | Path
    data: str | Path | None = None
    weights: str | Path | None = None
    cache: str | Path | None = None
    protocols: Sequence[str] = ("described",)
    device: str = "cpu"
    n_jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    search: bool = True


@dataclass
class Summary:
    """What a run did: cells computed, cells that were there, and what failed or deserves a word."""

    computed: list[tuple[str, str, str]] = field(default_factory=list)
    present: list[tuple[str, str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def warn(self, warning: str) -> None:
        """Add a warning, unless it is there."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def fail(self, failure: str) -> None:
        """Add a failure, unless it is there."""
        if failure not in self.failures:
            self.failures.append(failure)


_Key = tuple[str, str, str]


@dataclass(frozen=True)
class _Cell:
    key: _Key
    parts: pd.DataFrame
    inputs: str


@dataclass(frozen=True)
class _Planned:
    """A cell that a fit is for, with what its provenance says of the extraction."""

    cell: _Cell
    origin: dict[str, Any]


def run_grid(
    tasks: Iterable[str | Task],
    models: Iterable[str],
    settings: Settings,
    *,
    workplace: Workplace | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Compute the cells of a grid that are not there yet.

    Parameters
    ----------
    tasks : iterable of str or Task
    models : iterable of str
        Names of extractors.
    settings : Settings
    workplace : Workplace, optional
        Where the work is done, such as `serab_lib.benchmark.cluster.Cluster`; this machine if None. Results are written
        here in either case, and are the same.
    progress : callable, optional
        Told what is being done, how much of it is done, and how much there is.

    Returns
    -------
    Summary
        A task without its corpus, or a model without its weights, is a failure in it; the other cells are
        computed all the same.

    Raises
    ------
    SerabError
        If a name is unknown or results cannot be written.
    """
    chosen_tasks = list({task.code: task for task in map(get_task, tasks)}.values())
    entries = [get_entry(model) for model in dict.fromkeys(models)]
    require_writable(Path(settings.out), "--out")
    grid = _Grid(settings, progress)
    workplace = workplace or Here(settings.n_jobs)
    grid.run(chosen_tasks, entries, workplace)
    return grid.summary


class _Grid:
    """From tasks and extractors to orders, and from what they give to cells."""

    def __init__(self, settings: Settings, progress: Progress | None) -> None:
        self.settings, self.progress = settings, progress
        self.cache = cache_folder(settings.cache).absolute()
        self.results = Results(settings.out)
        self.summary = Summary()
        self.open: dict[Order, list[_Cell]] = {}
        self.n_cells = 0

    def run(self, tasks: Sequence[Task], entries: Sequence[Entry], workplace: Workplace) -> None:
        """Have what is not there computed, and write it as it comes."""
        weights = {}
        for entry in entries:
            try:
                _, weights[entry.name] = require_checkpoint(entry, self.settings.weights, cache=self.cache)
            except SerabError as error:
                self.summary.fail(str(error))
        usable = [entry for entry in entries if entry.name in weights]
        self.n_cells = len(tasks) * len(usable) * len(self.settings.protocols)
        orders = (order for task in tasks for order in self._plan(task, usable, weights))
        for what, outcome in workplace.work(orders, self._divide, self._tell):
            if isinstance(outcome, SerabError):
                self.summary.fail(f"{what}: {outcome}")
            elif isinstance(what, Fit):
                for each in what.cells:
                    self._write(each, what, outcome)
            self._tell("cells", len(self.summary.computed) + len(self.summary.present), self.n_cells)

    def _plan(self, task: Task, entries: Sequence[Entry], weights: dict[str, str]) -> Iterator[Order]:
        """Yield an order for each extractor that has cells to be computed, or two if protocols differ in what it is."""
        try:
            corpus = find_corpus(task, self.settings.data)
            hashes = hash_files(list(corpus.utterances["path"]), cache=self.cache)
            originals = None if corpus.synthetic else mark_originals(task, corpus.utterances, hashes, cache=self.cache)
        except SerabError as error:
            self.summary.fail(f"{task.code}: {error}")
            return
        if not corpus.complete:
            self.summary.warn(
                f"{task.code} is incomplete ({len(corpus.utterances)} of {corpus.n_expected} utterances): "
                f"its cells say so; `serab check {task.name}` names the files"
            )
        if originals is not None and not all(originals):
            self.summary.warn(
                f"{task.code}: {sum(originals):,} of {len(originals):,} recordings are as they were released: "
                f"`serab check {task.name}` says what the others are; results differ by points"
            )
        finished, damaged = self.results.finished_inputs(), self.results.find_damaged()
        for entry, protocols in _group_protocols(entries, self.settings.protocols):
            try:
                vectors = [identify(entry, weights[entry.name]), *_describe_statistics(entry, corpus, hashes)]
            except SerabError as error:  # the statistics need a split that there is not
                self.summary.fail(str(error))
                continue
            utterances = corpus.utterances.assign(content=hashes, is_original=originals)
            cells = list(self._cells(task, utterances, entry.name, vectors, protocols))
            cells = [cell for cell in cells if self._is_open(cell, finished, damaged)]
            if cells:
                order = Order(
                    corpus=corpus,
                    hashes=tuple(hashes),
                    entry=entry,
                    weights=weights_folder(self.settings.weights).absolute(),
                    device=self.settings.device,
                    cache=self.cache,
                    search=self.settings.search,
                )
                self.open[order] = cells
                yield order

    def _is_open(self, cell: _Cell, finished: dict[_Key, str | None], damaged: dict[_Key, str]) -> bool:
        if finished.get(cell.key) == cell.inputs:
            self.summary.present.append(cell.key)
            return False
        if cell.key in damaged:
            reason = f"{damaged[cell.key]} is not as it was written"
        elif cell.key in finished:
            reason = "the cell there was made from other audio, weights or settings"
        else:
            return True
        self.summary.warn(f"{', '.join(cell.key)}: {reason}; it is computed anew, the old one moves to stale.csv")
        return True

    def _cells(
        self, task: Task, utterances: pd.DataFrame, model: str, vectors: Sequence[str], protocols: Sequence[str]
    ) -> Iterator[_Cell]:
        """Yield cells with the digest of all that they are made of; `vectors` says how the embeddings are."""
        for protocol in protocols:
            try:
                parts = split(utterances, task, protocol)
            except SerabError as error:
                self.summary.fail(str(error))  # the same for every model
                continue
            for warning in split_warnings(parts):
                self.summary.warn(f"{task.code}, {protocol}: {warning}")
            columns = parts[["stem", "content", "emotion", "group", "part"]].to_numpy().ravel()
            inputs = digest([str(ENGINE_VERSION), str(self.settings.search), *vectors, *task.classes, *columns])
            yield _Cell((task.code, model, protocol), parts, inputs)

    def _divide(self, order: Order, made: Extraction) -> list[Fit]:
        """Protocols that split a task alike share their fits and differ in what they select."""
        for reason in made.unusable.values():
            self.summary.warn(f"{order.corpus.task.code}: {reason}; the cell is computed without it")
        if made.not_kept:
            self.summary.warn(made.not_kept)
        copies = describe_copies(order.corpus.task, made.origin.get("sample_rates_hz", {}))
        if copies and not order.corpus.synthetic:
            self.summary.warn(f"{order.corpus.task.code}: {copies}")
        positions = {stem: row for row, stem in enumerate(order.corpus.utterances["stem"]) if row not in made.unusable}
        shared: dict[str, Fit] = {}
        for cell in self.open.pop(order):
            parts = cell.parts[cell.parts["stem"].isin(positions)].reset_index(drop=True)
            if _coverage(parts) != _coverage(cell.parts):
                self.summary.fail(
                    f"{', '.join(cell.key)}: without the {len(made.unusable)} unusable files a part is empty or a "
                    f"class cannot be learnt: `serab check {order.corpus.task.name}` names them"
                )
                continue
            alike = digest(parts[["stem", "emotion", "group", "part"]].to_numpy().ravel())
            rows = np.array([positions[stem] for stem in parts["stem"]], dtype=int)
            before = shared[alike].cells if alike in shared else ()
            shared[alike] = Fit(order, rows, parts, (*before, _Planned(cell, made.origin)))
        return list(shared.values())

    def _write(self, planned: _Planned, fit: Fit, results: list[ClassifierResult]) -> None:
        from serab_lib.evaluation.protocol import score

        cell, corpus = planned.cell, fit.order.corpus
        counts = fit.parts["part"].value_counts()
        n_originals = None if fit.parts["is_original"].isna().all() else int(fit.parts["is_original"].sum())
        sizes = {f"n_{part}": int(counts[part]) for part in ("train", "validation", "test")}
        sizes |= {
            "search": self.settings.search,
            "complete": corpus.complete and not planned.origin["unusable_files"],
            "n_originals": n_originals,
            "synthetic": corpus.synthetic,
        }
        origin = {
            "inputs": cell.inputs,
            "data": digest(fit.order.hashes),
            "n_utterances": len(corpus.utterances),
            "n_expected": corpus.n_expected,
            "n_originals": n_originals,
            "missing": list(corpus.missing),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seeds": {"split": 0, "classifiers": 42},
            "engine_version": ENGINE_VERSION,
        }
        result = score(results, fit.parts, cell.key[2])
        self.results.write(cell.key, result, sizes, planned.origin | origin)
        self.summary.computed.append(cell.key)

    def _tell(self, what: str, n_done: int, n_total: int) -> None:
        if self.progress:
            self.progress(what, n_done, n_total)


def _group_protocols(entries: Iterable[Entry], protocols: Sequence[str]) -> Iterator[tuple[Entry, list[str]]]:
    """Yield each entry with the protocols under which it is the same extractor."""
    for entry in entries:
        variants = [entry.under(protocol) for protocol in protocols]
        for first, variant in enumerate(variants):
            if variant not in variants[:first]:
                yield variant, [name for name, other in zip(protocols, variants, strict=True) if other == variant]


def _describe_statistics(entry: Entry, corpus: Corpus, hashes: Sequence[str]) -> list[str]:
    """Say what the log-mel statistics are, or on which recordings they are measured; nothing where there are none."""
    if "window_samples" not in entry.options:
        return []
    if published := corpus.find_statistics(int(str(entry.options["window_samples"]))):
        return [str(published)]
    return list(np.array(hashes)[find_training(corpus.utterances, corpus.task)])


def _coverage(parts: pd.DataFrame) -> tuple[set[str], set[str]]:
    """The parts that have utterances, and the classes that train has."""
    return set(parts["part"]), set(parts.loc[parts["part"] == "train", "emotion"])
