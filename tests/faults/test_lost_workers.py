"""Clusters that lose a worker, all of them, or their scheduler."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulting import assert_same_as_undisturbed, extract_there_or_die, fit_there_or_die, read_numbers, run, settings

from serab_lib.benchmark import cluster_tasks
from serab_lib.benchmark.grid import run_grid
from serab_lib.core import SerabError

pytest.importorskip("distributed", reason="needs the extra [dask]")

from serab_lib.benchmark.cluster import Cluster
from serab_lib.benchmark.cluster_connection import open_cluster

BOTH = ("logmel-stats", "opensmile")
pytestmark = pytest.mark.slow


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with open_cluster("local:2", folders={}) as cluster:
        yield cluster


def run_there(folder: Path, cluster: Cluster, **options):
    return run_grid(["SAV"], BOTH, settings(folder, cache="cluster-cache", **options), workplace=cluster)


def test_worker_lost_during_a_fit(folder: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of a cluster killed during a fit: what it had is made again elsewhere."""
    fit = functools.partial(fit_there_or_die, cluster_tasks.fit, str(folder / "flag"), 128)
    monkeypatch.setattr(cluster_tasks, "fit", fit)
    summary = run_there(folder, cluster)
    assert (folder / "flag").exists()
    assert not summary.failures
    assert len(summary.computed) == 4
    monkeypatch.undo()
    assert_same_as_undisturbed(folder, BOTH)


def test_worker_lost_during_extraction(folder: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of a cluster killed during extraction: it is begun again elsewhere."""
    extract = functools.partial(extract_there_or_die, cluster_tasks.extract, str(folder / "flag"))
    monkeypatch.setattr(cluster_tasks, "extract", extract)
    assert not run_there(folder, cluster).failures
    assert (folder / "flag").exists()
    monkeypatch.undo()
    assert_same_as_undisturbed(folder, BOTH)


def test_fit_that_kills_every_worker(folder: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that kills each worker of a cluster: given up after four, in one line; other cells are there."""
    monkeypatch.setattr(cluster_tasks, "fit", functools.partial(fit_there_or_die, cluster_tasks.fit, "", 6373))
    summary = run_there(folder, cluster, protocols=("described",))
    assert summary.failures
    assert all(each.startswith("SAV, ") and "4 workers died with it" in each for each in summary.failures)
    assert "opensmile" not in set(read_numbers(folder)["model"])
    monkeypatch.undo()
    run(folder, BOTH)
    assert_same_as_undisturbed(folder, BOTH)


def start_scheduler_and_worker(folder: Path) -> tuple[list[subprocess.Popen], str]:
    file = folder / "scheduler.json"
    common = ("--scheduler-file", str(file), "--no-dashboard")

    def start(program: str, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments, *common]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
    worker = start("dask_worker", "--no-nanny", "--nthreads", "1")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return [scheduler, worker], json.loads(file.read_text())["address"]
        except (OSError, ValueError):
            time.sleep(0.1)
    raise AssertionError("the scheduler does not start")


@pytest.mark.parametrize(("which", "words"), [(0, "scheduler"), (1, "no worker has been there")])
def test_scheduler_or_all_workers_lost(folder: Path, which: int, words: str) -> None:
    """The scheduler, or the only worker, killed for good: one line; the same command goes on here."""
    processes, address = start_scheduler_and_worker(folder)
    try:
        with open_cluster(address, folders={}) as cluster:
            cluster.wait_s = 5
            threading.Timer(1.0, os.kill, (processes[which].pid, signal.SIGKILL)).start()
            with pytest.raises(SerabError, match=words) as caught:
                # Enough work for the loss to come in the middle of it.
                run_grid(["SAV"], BOTH, settings(folder, search=True, cache="cluster-cache"), workplace=cluster)
        assert "\n" not in str(caught.value)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert not run(folder, BOTH).failures
    assert_same_as_undisturbed(folder, BOTH)
