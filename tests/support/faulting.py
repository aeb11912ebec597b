"""Faults for the tests to cause: runs in processes of their own that die at a chosen moment, workers that die."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import importlib
import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from serab_lib.benchmark.grid import Settings, run_grid
from serab_lib.benchmark.results import Results

KEY = ("SAV", "logmel-stats", "described")


def settings(folder: Path, *, out: str = "out", cache: str = "cache", **options: Any) -> Settings:
    """Settings for the corpus in `folder/data`; quick unless told otherwise."""
    fields = {"search": False, "n_jobs": 1, "protocols": ("described", "released")} | options
    return Settings(data=folder / "data", out=folder / out, cache=folder / cache, **fields)


def run(folder: Path, models: tuple[str, ...] = ("logmel-stats",), **options: Any) -> Any:
    """Run the grid of the corpus in `folder/data`."""
    return run_grid(["SAV"], models, settings(folder, **options))


def read_numbers(folder: Path, out: str = "out") -> pd.DataFrame:
    """All cells without what differs from run to run."""
    return Results(folder / out).read_cells().drop(columns="seconds")


def assert_same_as_undisturbed(folder: Path, models: tuple[str, ...] = ("logmel-stats",)) -> None:
    """Hold the results against those of a run with nothing in its way, which is made once for each corpus."""
    files = sorted((folder / "data").rglob("*.wav"))
    key = (models, *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files))
    if key not in _undisturbed:
        run(folder, models, out="undisturbed", cache="undisturbed-cache")
        _undisturbed[key] = read_all(folder / "undisturbed")
    cells, predictions, inputs = read_all(folder / "out")
    pd.testing.assert_frame_equal(cells, _undisturbed[key][0])
    for cell, table in _undisturbed[key][1].items():
        pd.testing.assert_frame_equal(predictions[cell], table)
    assert inputs == _undisturbed[key][2]


_undisturbed: dict[tuple, tuple] = {}


def read_all(out: Path) -> tuple[pd.DataFrame, dict, dict]:
    """Cells without what differs from run to run, predictions, and what the cells were computed from."""
    results = Results(out)
    inputs = results.finished_inputs()
    predictions = {key: results.read_predictions(*key) for key in inputs}
    return results.read_cells().drop(columns="seconds"), predictions, inputs


def call_in_child(function: Callable[..., None], *arguments: Any, timeout_s: float = 120) -> int:
    """Call a function in a fresh process; return its exit status, -9 if it was killed."""
    process = start_child(function, *arguments)
    process.join(timeout_s)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def start_child(function: Callable[..., None], *arguments: Any) -> Any:
    """Start a function in a fresh process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["serab_lib.benchmark.embeddings", "serab_lib.evaluation.protocol", "serab_lib.benchmark.grid"]
    )
    process = context.Process(target=function, args=arguments)
    process.start()
    return process


def die() -> None:
    """End this process as `kill -9` would."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_writing(folder: Path, pattern: str, moment: str, n_before: int = 0) -> None:
    """Run the grid and die before, in or after the writing of a file, leaving the first such files alone."""
    replace, left = os.replace, n_before

    def replace_or_die(source: Path, target: Path) -> None:
        nonlocal left
        if fnmatch.fnmatch(Path(target).name, pattern):
            left -= 1
            if left < 0:
                if moment == "in":
                    os.truncate(source, os.path.getsize(source) // 2)
                if moment == "after":
                    replace(source, target)
                die()
        replace(source, target)

    os.replace = replace_or_die
    run(folder)


def die_extracting(folder: Path, n_utterances: int) -> None:
    """Run the grid and die after some utterances, as soon as some of them are in the cache."""
    from serab_lib.extractors.logmel_stats import LogMelStats

    prepare, n_left = LogMelStats.prepare, n_utterances

    def prepare_or_die(self: LogMelStats, waveform: Any) -> Any:
        nonlocal n_left
        n_left -= 1
        if n_left < 0:
            # What is written is written beside this thread.
            deadline = time.monotonic() + 30
            while not list((folder / "cache").rglob("[!.]*.npz")) and time.monotonic() < deadline:
                time.sleep(0.01)
            die()
        return prepare(self, waveform)

    LogMelStats.prepare = prepare_or_die
    run(folder)


def die_fitting(folder: Path, classifier: str) -> None:
    """Run the grid and die when a classifier is fitted."""
    from serab_lib.evaluation import protocol

    try_candidates = protocol.try_candidates

    def try_or_die(name: str, *arguments: Any) -> Any:
        if name == classifier:
            die()
        return try_candidates(name, *arguments)

    protocol.try_candidates = try_or_die
    run(folder)


def run_in_child(folder: Path, cache: str) -> None:
    """Run the grid undisturbed."""
    summary = run(folder, cache=cache)
    assert not summary.failures, summary.failures


class Deadly:
    """Stands in for a function, `module:name`, in worker processes: kills the one that calls it.

    Once, if there is a flag, which the first call makes; only where `when`, told the arguments, says so.
    """

    def __init__(self, function: str, flag: Path | None = None, *, when: Callable[..., bool] | None = None) -> None:
        self.module, self.__name__ = function.split(":")
        self.flag, self.when = flag, when
        # In this process it is this object that stands there from now on.
        _replaced[function] = getattr(importlib.import_module(self.module), self.__name__)

    def __call__(self, *arguments: Any) -> Any:
        if (self.when is None or self.when(*arguments)) and is_first(self.flag):
            die()
        there = getattr(importlib.import_module(self.module), self.__name__)
        return _replaced.get(f"{self.module}:{self.__name__}", there)(*arguments)


_replaced: dict[str, Callable] = {}


def is_wide(name: str, group: Any, arrays: tuple) -> bool:
    """Whether candidates are tried on the 128 numbers of log-mel statistics."""
    return arrays[0].shape[1] == 128


def is_in_processes(extractor: Any, *arguments: Any) -> bool:
    """Whether an extractor works in processes, not threads, so that it can be killed alone."""
    return extractor.needs_processes


def is_first(flag: Path | None) -> bool:
    """Whether nobody was here before; always where there is no flag."""
    if flag is None:
        return True
    with contextlib.suppress(FileExistsError):
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        return True
    return False


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, or a skip where none may be mounted."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here: it takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write until the disk is full; return the file to be deleted."""
    file = folder / "filling"
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        while stream.write(b"\0" * 4096):
            pass
    return file
