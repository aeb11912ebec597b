"""Faults for the tests to cause: runs in processes of their own that die at a chosen moment, workers that die."""

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

from serab_lib.benchmark import grid, results
from serab_lib.corpora.task import RemoteFile
from serab_lib.download import transfer

KEY = ("SAV", "logmel-stats", "described")
BOTH = ("logmel-stats", "egemaps")
_undisturbed: dict[tuple, tuple] = {}
_replaced: dict[str, Callable] = {}


def settings(folder: Path, *, out: str = "out", cache: str = "cache", **options: Any) -> grid.Settings:
    """Settings for the corpus in `folder/data`; quick unless told otherwise."""
    fields = {"search": False, "n_jobs": 1, "protocols": ("described", "released")} | options
    return grid.Settings(data=folder / "data", out=folder / out, cache=folder / cache, **fields)


def run(folder: Path, models: tuple[str, ...] = ("logmel-stats",), **options: Any) -> Any:
    return grid.run_grid(["SAV"], models, settings(folder, **options))


def read_numbers(folder: Path, out: str = "out") -> pd.DataFrame:
    return results.Results(folder / out).read_cells().drop(columns="seconds")


def count_cached(folder: Path) -> int:
    return results.Results(folder / "out").read_provenance()["/".join(KEY)]["embeddings_from_cache"]


def assert_undisturbed(folder: Path, models: tuple[str, ...] = ("logmel-stats",)) -> None:
    """Hold the results against those of a run with nothing in its way, which is made once for each corpus."""
    files = sorted((folder / "data").rglob("*.wav"))
    key = (models, *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files))
    if key not in _undisturbed:
        run(folder, models, out="undisturbed", cache="undisturbed-cache")
        _undisturbed[key] = _read_all(folder, "undisturbed")
    for found, expected in zip(_read_all(folder, "out"), _undisturbed[key], strict=True):
        if isinstance(expected, pd.DataFrame):
            pd.testing.assert_frame_equal(found, expected)
        else:
            assert found == expected


def _read_all(folder: Path, out: str) -> tuple[Any, ...]:
    """Cells without what differs from run to run, what they were computed from, and their predictions."""
    inputs = results.Results(folder / out).finished_inputs()
    predictions = [results.Results(folder / out).read_predictions(*key) for key in sorted(inputs)]
    return read_numbers(folder, out), inputs, *predictions


def call_in_child(function: Callable[..., None], *arguments: Any) -> int:
    """Call a function in a fresh process; return its exit status, -9 if it was killed."""
    process = start_child(function, *arguments)
    process.join(120)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def start_child(function: Callable[..., Any], *arguments: Any) -> Any:
    process = multiprocessing.get_context("forkserver").Process(target=function, args=arguments)
    process.start()
    return process


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_writing(folder: Path, pattern: str, moment: str, n_before: int = 0) -> None:
    """Run the grid and die in or after the writing of a file, leaving the first such files alone."""
    replace, left = os.replace, n_before

    def replace_or_die(source: Path, target: Path) -> None:
        nonlocal left
        left -= fnmatch.fnmatch(Path(target).name, pattern)
        if left < 0 and moment == "in":
            os.truncate(source, os.path.getsize(source) // 2)
            die()
        replace(source, target)
        if left < 0:
            die()

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
    from serab_lib.evaluation import protocol

    try_candidates = protocol.try_candidates
    protocol.try_candidates = lambda name, *others: die() if name == classifier else try_candidates(name, *others)
    run(folder)


def die_fetching(url: str, folder: Path) -> None:
    """Download a file and die as soon as the first part of it is there."""
    transfer.retrieve(RemoteFile(name="a.zip", urls=(url,)), folder, lambda n_done, n_total: n_done and die())


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
        if self.when is None or self.when(*arguments):
            with contextlib.suppress(FileExistsError):
                if self.flag:
                    self.flag.touch(exist_ok=False)
                die()
        there = getattr(importlib.import_module(self.module), self.__name__)
        return _replaced.get(f"{self.module}:{self.__name__}", there)(*arguments)


def is_wide(name: str, group: Any, arrays: tuple) -> bool:
    return arrays[0].shape[1] == 128


def is_in_processes(extractor: Any, *arguments: Any) -> bool:
    """Whether an extractor works in processes, not threads, so that it can be killed alone."""
    return extractor.needs_processes


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
