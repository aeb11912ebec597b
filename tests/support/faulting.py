"""Faults for the tests to cause: runs in processes of their own that die at a chosen moment, workers that die."""

from __future__ import annotations

import contextlib
import fnmatch
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

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
    """Hold the results against those of a run with nothing in its way."""
    run(folder, models, out="undisturbed", cache="undisturbed-cache")
    pd.testing.assert_frame_equal(read_numbers(folder), read_numbers(folder, "undisturbed"))
    ours, others = Results(folder / "out"), Results(folder / "undisturbed")
    assert not ours.find_damaged()
    for task, model, protocol in ours.finished_inputs():
        pd.testing.assert_frame_equal(
            ours.read_predictions(task, model, protocol), others.read_predictions(task, model, protocol)
        )
    assert ours.finished_inputs() == others.finished_inputs()


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
    """Run the grid and die when a classifier is fitted under the second protocol."""
    from serab_lib.evaluation import protocol

    fit = protocol.fit_classifier

    def fit_or_die(name: str, *arguments: Any, **options: Any) -> Any:
        if name == classifier:
            die()
        return fit(name, *arguments, **options)

    protocol.fit_classifier = fit_or_die
    run(folder)


def run_in_child(folder: Path, cache: str) -> None:
    """Run the grid undisturbed."""
    summary = run(folder, cache=cache)
    assert not summary.failures, summary.failures


def fit_or_die(flag: str, n_features: int, position: int, name: str, arrays: tuple, search: bool) -> Any:
    """In a worker process: die, once where a flag is given, always otherwise."""
    from serab_lib.evaluation.classifiers import fit_classifier

    if arrays[0].shape[1] == n_features and name == "SVC" and is_first(flag):
        die()
    return position, fit_classifier(name, *arrays, search=search)


def embed_or_die(flag: str, extractor: Any, paths: Any) -> Any:
    """In a worker process: die in place of making embeddings, once where a flag is given, always otherwise."""
    from serab_lib.benchmark.embeddings import _embed_files

    if is_first(flag):
        die()
    return _embed_files(extractor, paths)


# The next two are sent to the workers of a cluster, which can import this module but none of the tests.
def fit_there_or_die(work: Callable, flag: str, n_features: int, arrays: tuple, name: str, *rest: Any) -> Any:
    """On a worker of a cluster: die in place of a fit, once where a flag is given, always otherwise."""
    if arrays[0].shape[1] == n_features and name == "LR" and is_first(flag):
        die()
    return work(arrays, name, *rest)


def extract_there_or_die(work: Callable, flag: str, order: Any, expectation: Any) -> Any:
    """On a worker of a cluster: die once in place of an extraction."""
    if is_first(flag):
        die()
    return work(order, expectation)


def is_first(flag: str) -> bool:
    """Whether nobody was here before; always where there is no flag."""
    if not flag:
        return True
    with contextlib.suppress(FileExistsError):
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        return True
    return False


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, or a skip where none may be mounted."""
    import subprocess

    import pytest

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
