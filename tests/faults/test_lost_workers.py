import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from faulting import BOTH, Deadly, assert_undisturbed, is_wide, read_numbers, run, settings
from making import one_line

pytest.importorskip("distributed", reason="needs the extra [dask]")

import dask.config
from distributed import Client

from serab_lib.benchmark import cluster, grid

FIT, EXTRACT = "serab_lib.benchmark.cluster:try_candidates", "serab_lib.benchmark.cluster:extract_there"


def run_there(folder: Path, address: str = "local:2", **options):
    with cluster.open_cluster(address) as compute:
        return grid.run_grid(["SAV"], BOTH, settings(folder, cache="cluster-cache", **options), compute=compute)


def test_what_lost_workers_had_is_made_again_elsewhere(folder, monkeypatch):
    flags = {function: folder / function.split(":")[1] for function in (EXTRACT, FIT)}
    with monkeypatch.context() as patch:
        for function, flag in flags.items():
            patch.setattr(cluster, flag.name, Deadly(function, flag))
        summary = run_there(folder)
    assert all(flag.exists() for flag in flags.values())
    assert (summary.failures, len(summary.computed)) == ([], 4)
    assert_undisturbed(folder, BOTH)


def test_a_fit_that_kills_every_worker_is_given_up_in_one_line(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "try_candidates", Deadly(FIT, when=is_wide))
        with dask.config.set({"distributed.scheduler.allowed-failures": 1}):
            summary = run_there(folder, protocols=("described",))
    assert any(each.startswith("SAV, logmel-stats: a worker failed (KilledWorker: ") for each in summary.failures)
    assert all("\n" not in each for each in summary.failures)
    assert "logmel-stats" not in set(read_numbers(folder)["model"])
    run(folder, BOTH)
    assert_undisturbed(folder, BOTH)


def start_scheduler_and_worker(folder: Path) -> tuple[list[subprocess.Popen], str]:
    file, processes = folder / "scheduler.json", []
    for program in ("dask_scheduler --host 127.0.0.1 --port 0", "dask_worker --no-nanny --nthreads 1"):
        command = f"{sys.executable} -m distributed.cli.{program} --no-dashboard --scheduler-file".split()
        processes.append(subprocess.Popen([*command, file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            address = json.loads(file.read_text())["address"]
            with Client(address, timeout=60) as client:
                client.wait_for_workers(1, timeout=60)
            return processes, address
        time.sleep(0.1)
    raise AssertionError("the scheduler does not start")


@pytest.mark.parametrize(("which", "words"), [(0, "scheduler"), (1, "no worker has been there")])
def test_a_lost_scheduler_or_only_worker_is_one_line_and_the_command_goes_on_here(folder, monkeypatch, which, words):
    monkeypatch.setattr(cluster, "WAIT_S", 5.0)
    processes, address = start_scheduler_and_worker(folder)
    plan = grid.plan

    def plan_and_kill(*arguments):
        yield from plan(*arguments)
        # All has been sent: the loss comes in the middle of it.
        threading.Timer(0.1, os.kill, (processes[which].pid, signal.SIGKILL)).start()

    monkeypatch.setattr(grid, "plan", plan_and_kill)
    try:
        with one_line(words):
            run_there(folder, address)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    monkeypatch.undo()
    assert not run(folder, BOTH).failures
    assert_undisturbed(folder, BOTH)
