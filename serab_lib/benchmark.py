"""The grid: cells of tasks and extractors, computed once, written as they finish."""

from __future__ import annotations

import datetime
import logging
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from serab_lib.checkpoints import require_checkpoint
from serab_lib.corpus import Corpus, find_corpus
from serab_lib.errors import SerabError
from serab_lib.extractors.registry import Entry, get_entry, load_extractor
from serab_lib.fingerprints import digest, hash_files
from serab_lib.results import Results
from serab_lib.splits import split, split_warnings
from serab_lib.storage import cache_folder, require_writable
from serab_lib.tasks import Task, get_task

if TYPE_CHECKING:
    from serab_lib.embeddings import Progress

logger = logging.getLogger(__name__)

# Part of every cell's fingerprint: raise it when a change to the library changes results.
ENGINE_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a grid is computed.

    Attributes
    ----------
    data, weights, out, cache : str, Path or None
        Folders; None for the defaults.
    protocols : sequence of str
    device : str
        `cpu` or `cuda`.
    n_jobs : int
        Workers for extraction and classifiers.
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


@dataclass(frozen=True)
class _Cell:
    key: tuple[str, str, str]
    parts: pd.DataFrame
    inputs: str


@dataclass(frozen=True)
class _Made:
    cell: _Cell
    embeddings: np.ndarray
    origin: dict[str, Any]


def run_grid(
    tasks: Iterable[str | Task], models: Iterable[str], settings: Settings, *, progress: Progress | None = None
) -> Summary:
    """Compute the cells of a grid that are not there yet.

    Parameters
    ----------
    tasks : iterable of str or Task
    models : iterable of str
        Names of extractors.
    settings : Settings
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
    chosen_tasks = [get_task(task) for task in dict.fromkeys(tasks)]
    entries = [get_entry(model) for model in dict.fromkeys(models)]
    require_writable(Path(settings.out), "--out")
    cache = cache_folder(settings.cache)
    require_writable(cache, "--cache or SERAB_CACHE")
    summary = Summary()
    usable = {entry.name: code for entry in entries if (code := _weights_identity(entry, settings, summary))}
    for task in chosen_tasks:
        try:
            corpus = find_corpus(task, settings.data)
            hashes = hash_files(list(corpus.utterances["path"]), cache=cache)
        except SerabError as error:
            summary.failures.append(f"{task.code}: {error}")
            continue
        grid = _TaskGrid(corpus, hashes, settings, cache, summary, progress)
        grid.run([(entry, usable[entry.name]) for entry in entries if entry.name in usable])
    return summary


def _weights_identity(entry: Entry, settings: Settings, summary: Summary) -> str | None:
    """Text that changes with the weights, or None with a failure noted where they are not at hand."""
    file = entry.options.get("checkpoint")
    try:
        if entry.needs_weights:
            file = require_checkpoint(entry.name, settings.weights)
    except SerabError as error:
        summary.failures.append(str(error))
        return None
    options = sorted((name, str(value)) for name, value in entry.options.items())
    files = [Path(str(file))] if file else []
    if files and files[0].is_dir():
        files = sorted(path for path in files[0].rglob("*") if path.is_file())
    content = " ".join(hash_files([str(path) for path in files], cache=cache_folder(settings.cache))) or "none"
    return f"{entry.family} {options} {content}"


class _TaskGrid:
    """The cells of one task."""

    def __init__(
        self,
        corpus: Corpus,
        hashes: list[str],
        settings: Settings,
        cache: Path,
        summary: Summary,
        progress: Progress | None,
    ) -> None:
        self.corpus, self.task, self.settings = corpus, corpus.task, settings
        self.utterances = corpus.utterances.assign(content=hashes)
        self.cache, self.summary, self.progress = cache, summary, progress
        self.results = Results(settings.out)

    def run(self, entries: Sequence[tuple[Entry, str]]) -> None:
        """Extract what is not cached and evaluate what is not there."""
        if not self.corpus.complete:
            self.summary.warnings.append(
                f"{self.task.code} is incomplete ({len(self.utterances)} of {self.corpus.n_expected} utterances): "
                f"its cells say so; `serab check {self.task.name}` names the files"
            )
        finished = self.results.finished_inputs()
        waiting: list[_Made] = []
        for entry, identity in entries:
            cells = [cell for cell in self._cells(entry, identity) if self._is_open(cell, finished)]
            if cells:
                try:
                    waiting += self._extract(entry, cells)
                except SerabError as error:
                    self.summary.failures.append(f"{self.task.code}, {entry.name}: {error}")
        self._evaluate(waiting)

    def _cells(self, entry: Entry, identity: str) -> Iterable[_Cell]:
        for protocol in self.settings.protocols:
            key = (self.task.code, entry.name, protocol)
            try:
                parts = split(self.utterances, self.task, protocol)
            except SerabError as error:
                if str(error) not in self.summary.failures:  # the same for every model
                    self.summary.failures.append(str(error))
                continue
            for warning in split_warnings(parts):
                message = f"{self.task.code}, {protocol}: {warning}"
                if message not in self.summary.warnings:
                    self.summary.warnings.append(message)
            columns = parts[["stem", "content", "emotion", "group", "part"]].to_numpy().ravel()
            inputs = digest([str(ENGINE_VERSION), identity, str(self.settings.search), *self.task.classes, *columns])
            yield _Cell(key, parts, inputs)

    def _is_open(self, cell: _Cell, finished: dict[tuple[str, str, str], str | None]) -> bool:
        if cell.key not in finished:
            return True
        if finished[cell.key] == cell.inputs:
            self.summary.present.append(cell.key)
            return False
        self.summary.warnings.append(
            f"{', '.join(cell.key)}: the cell there was made from other audio, weights or settings; "
            "it is computed anew, the old one moves to stale.csv"
        )
        return True

    def _extract(self, entry: Entry, cells: Sequence[_Cell]) -> list[_Made]:
        from serab_lib.embeddings import extract
        from serab_lib.extraction import set_statistics

        extractor = load_extractor(entry, weights=self.settings.weights, device=self.settings.device)
        origin = set_statistics(extractor, self.corpus, n_jobs=self.settings.n_jobs, progress=self._tell)
        started = datetime.datetime.now(datetime.UTC)
        made = extract(
            list(self.utterances["path"]),
            list(self.utterances["content"]),
            extractor,
            cache=self.cache,
            n_jobs=self.settings.n_jobs,
            progress=self._tell,
        )
        seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
        for reason in made.unusable.values():
            self.summary.warnings.append(f"{self.task.code}: {reason}; the cell is computed without it")
        origin |= {
            "extractor": extractor.fingerprint,
            "extraction_seconds": round(seconds, 3),
            "embeddings_from_cache": made.n_cached,
            "unusable_files": sorted(self.utterances["stem"].iloc[list(made.unusable)]),
        }
        rows = dict(zip(self.utterances["stem"], made.matrix, strict=True))
        return [_Made(cell, np.stack([rows[stem] for stem in cell.parts["stem"]]), origin) for cell in cells]

    def _evaluate(self, waiting: Sequence[_Made]) -> None:
        """Fit and write; protocols that split a task alike share their fits and differ in what they select."""
        if not waiting:
            return
        from serab_lib.evaluation.protocol import Problem, evaluate_many, score

        shared: dict[str, list[tuple[_Made, pd.DataFrame]]] = {}
        problems = []
        for made in waiting:
            usable = np.isfinite(made.embeddings).all(axis=1)
            parts = made.cell.parts[usable].reset_index(drop=True)
            columns = parts[["stem", "emotion", "group", "part"]].to_numpy().ravel()
            alike = shared.setdefault(digest([made.cell.key[1], *columns]), [])
            if not alike:
                problems.append(Problem(made.embeddings[usable], parts, self.task.classes))
            alike.append((made, parts))
        n_fits, n_done = 5 * len(problems), 0

        def count(position: int, classifier: str) -> None:
            nonlocal n_done
            n_done += 1
            self._tell("classifiers", n_done, n_fits)

        members = list(shared.values())
        fitted = evaluate_many(problems, search=self.settings.search, n_jobs=self.settings.n_jobs, on_fit=count)
        for position, results in fitted:
            for made, parts in members[position]:
                self._write(made.cell, parts, score(results, parts, made.cell.key[2]), made.origin)

    def _write(self, cell: _Cell, parts: pd.DataFrame, result: Any, origin: dict[str, Any]) -> None:
        counts = parts["part"].value_counts()
        sizes = {f"n_{part}": int(counts[part]) for part in ("train", "validation", "test")}
        sizes |= {
            "search": self.settings.search,
            "complete": self.corpus.complete and not origin["unusable_files"],
            "synthetic": self.corpus.synthetic,
        }
        self.results.write(cell.key, result, sizes, origin | self._provenance(cell))
        self.summary.computed.append(cell.key)

    def _provenance(self, cell: _Cell) -> dict[str, Any]:
        return {
            "inputs": cell.inputs,
            "data": digest(self.utterances["content"]),
            "n_utterances": len(self.utterances),
            "n_expected": self.corpus.n_expected,
            "missing": list(self.corpus.missing),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seeds": {"split": 0, "classifiers": 42},
            "engine_version": ENGINE_VERSION,
            **describe_machine(self.settings.device),
        }

    def _tell(self, what: str, n_done: int, n_total: int) -> None:
        if self.progress:
            self.progress(f"{self.task.code}: {what}", n_done, n_total)


def describe_machine(device: str) -> dict[str, Any]:
    """Versions, device and commit that a result was made with."""
    packages = ("serab-companion", "torch", "torchaudio", "scikit-learn", "numpy", "scipy", "opensmile")
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if device.startswith("cuda"):
        import torch

        machine += f", {torch.cuda.get_device_name(device)}"
    return {"versions": versions, "device": device, "machine": machine, "commit": _commit()}


def _commit() -> str | None:
    """Commit of the library's own checkout, with a mark where files were changed; None outside one."""
    folder = Path(__file__).parent
    known = ["git", "ls-files", "--error-unmatch", "benchmark.py"]
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        for command in (known, describe):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
