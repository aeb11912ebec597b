"""What a worker of a cluster does: the functions that `cluster` beside this file sends there, and what it must have."""

from __future__ import annotations

import dataclasses
import functools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import serab_lib
from serab_lib.benchmark.grid import Extraction, Order, extract_order
from serab_lib.benchmark.results import list_versions
from serab_lib.core import SerabError, digest, hash_files

if TYPE_CHECKING:
    from serab_lib.evaluation.classifiers import ClassifierResult


@dataclass(frozen=True)
class Expectation:
    """What every worker must have, so that it computes what this machine would.

    Attributes
    ----------
    folders : tuple of (str, str)
        The option that chose a folder, and the folder.
    versions : tuple of (str, str)
        Packages that can change a number.
    code : str
        Digest of the library's own files.
    """

    folders: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...] = field(default_factory=lambda: _list_versions())
    code: str = field(default_factory=lambda: _digest_code())

    def find_problem(self) -> str | None:
        """Say, on a worker, what is not as expected; None if all is."""
        for option, folder in self.folders:
            if not os.path.isdir(folder):
                return f"does not see {folder} ({option}): it must lie on a file system that all machines share"
        here = dict(_list_versions())
        for name, version in self.versions:
            if here.get(name) != version:
                return f"has {name} {here.get(name, 'not at all')}, expected {version}: install constraints.txt there"
        if _digest_code() != self.code:
            return "has another state of serab_lib: install the same one on all machines"
        return None


def extract(order: Order, expectation: Expectation) -> Extraction:
    """On a worker: carry out an order, if its files are those that were hashed."""
    from distributed import get_worker

    _require(expectation)
    paths = list(order.corpus.utterances["path"])
    for path, expected, got in zip(paths, order.hashes, hash_files(paths, cache=order.cache), strict=True):
        if expected != got:
            raise SerabError(f"{path} has another content on the worker {get_worker().address}: share one folder")
    return extract_order(order, n_jobs=get_worker().state.nthreads, progress=lambda what, n_done, n_total: None)


def leave_out_matrix(made: Extraction) -> Extraction:
    """On a worker: what is said about embeddings, without them."""
    return dataclasses.replace(made, matrix=made.matrix[:0])


def pose(
    made: Extraction, rows: np.ndarray, parts: pd.DataFrame, classes: tuple[str, ...], expectation: Expectation
) -> tuple[np.ndarray, ...]:
    """On a worker: the normalised parts of one split."""
    from serab_lib.evaluation.protocol import Problem

    _require(expectation)
    return Problem(made.matrix[rows], parts, classes).parts()


def fit(arrays: tuple[np.ndarray, ...], name: str, search: bool, expectation: Expectation) -> ClassifierResult:
    """On a worker: fit one classifier."""
    from serab_lib.evaluation.classifiers import fit_classifier

    _require(expectation)
    return fit_classifier(name, *arrays, search=search)


def _require(expectation: Expectation) -> None:
    if problem := find_problem(expectation):
        from distributed import get_worker

        raise SerabError(f"worker {get_worker().address} {problem}")


def find_problem(expectation: Expectation) -> str | None:
    """Say what this worker lacks; see `Expectation.find_problem`."""
    return expectation.find_problem()


def list_workers(dask_scheduler: Any) -> dict[str, dict[str, float]]:
    """On the scheduler: map the address of each worker to its resources."""
    return {address: dict(state.resources) for address, state in dask_scheduler.workers.items()}


@functools.cache
def _list_versions() -> tuple[tuple[str, str], ...]:
    # A build for a GPU and one for CPUs alone ("2.13.0+cpu") are one version; Python's own may differ.
    return tuple((name, version.split("+")[0]) for name, version in list_versions().items() if name != "python")


@functools.cache
def _digest_code() -> str:
    folder = Path(serab_lib.__file__).parent
    files = sorted(folder.rglob("*.py"), key=lambda file: file.relative_to(folder).as_posix())
    return digest(file.read_text() for file in files)
