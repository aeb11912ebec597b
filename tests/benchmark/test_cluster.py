import os
import socket
import sys
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
from faulting import read_numbers, run, settings
from making import call, one_line

from serab_lib.benchmark.grid import run_grid
from serab_lib.core import SerabError
from serab_lib.corpora.task import PAPER_TASKS, TASKS
from serab_lib.evaluation import classifiers

pytest.importorskip("distributed", reason="needs the extra [dask]")

from distributed.protocol import deserialize, serialize

from serab_lib.benchmark import cluster, results


def test_a_cluster_gives_the_numbers_of_one_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a small search, so that a forest's candidates are tried apart from each other."""
    grids = {name: {key: values[:2] for key, values in grid.items()} for name, grid in classifiers.GRIDS.items()}
    monkeypatch.setattr(classifiers, "GRIDS", grids | {"RF": {"max_depth": (2, 5), "min_samples_split": (2, 5)}})
    run(folder, out="here", search=True)
    seen = []
    with cluster.open_cluster("local:2") as compute:
        work = {"compute": compute, "progress": lambda *told: seen.append(told)}
        summary = run_grid(["SAV"], ["logmel-stats"], settings(folder, cache="own-cache", search=True), **work)
    assert not summary.failures and len(summary.computed) == 2
    assert read_numbers(folder).equals(read_numbers(folder, "here"))
    assert ("cells", 2, 2) in seen
    # Four candidates of the forest, five searches of the others (two of LR), the five that are fitted, and the cells.
    assert {total for what, _, total in seen if what == "SAV: classifiers"} == {1 + 4 + 5 + 5 + 1}


@pytest.mark.nightly
def test_workers_with_a_gpu_extract(folder: Path) -> None:
    from distributed import Client, SpecCluster, get_task_stream
    from distributed.nanny import Nanny
    from distributed.scheduler import Scheduler

    def spec(**options):
        return {"cls": Nanny, "options": {"nthreads": 1, "memory_limit": 0, "dashboard_address": None, **options}}

    workers = {"gpu": spec(resources={"GPU": 1}), "cpu": spec()}
    scheduler = {"cls": Scheduler, "options": {"dashboard_address": None, "port": 0}}
    with SpecCluster(workers=workers, scheduler=scheduler) as place, Client(place) as client:
        client.wait_for_workers(2)
        names = {address: state["name"] for address, state in client.scheduler_info()["workers"].items()}
        with get_task_stream(client) as stream:
            compute = partial(cluster.compute_there, client, wait_s=60)
            summary = run_grid(["SAV"], ["logmel-stats"], settings(folder), compute=compute)
    assert len(summary.computed) == 2
    by_kind = {(task["key"].split("-")[0], names[task["worker"]]) for task in stream.data}
    assert {name for kind, name in by_kind if kind == "extract_there"} == {"gpu"}
    assert "cpu" in {name for kind, name in by_kind if kind != "extract_there"}


def test_a_wrong_address_a_wrong_description_of_jobs_and_a_missing_extra_are_one_line(tmp_path, monkeypatch) -> None:
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "a.toml").write_text("jobs = [")
    (tmp_path / "b.toml").write_text('memory = "1GB"')
    for address, words in {
        "127.0.0.1:1": "tcp://HOST:PORT",
        "local:0": "local:N",
        f"slurm:{tmp_path / 'a.toml'}": r"a\.toml.*Invalid value",
        f"slurm:{tmp_path / 'b.toml'}": r"b\.toml.*cores",
        f"slurm:{tmp_path / 'c.toml'}": r"c\.toml.*No such file",
    }.items():
        with one_line(words), cluster.open_cluster(address):
            pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with one_line(r"serab-companion\[dask\]"), cluster.open_cluster("local:1"):
        pass


@pytest.mark.timeout(60)
def test_no_scheduler_is_one_line_within_seconds(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    arguments = ["run", "--tasks", "SAV", "--models", "logmel-stats", "--data", folder / "data"]
    output = call(*arguments, "--out", folder / "out", "--dask", address, code=1)
    assert [line for line in output.splitlines() if "error:" in line and "dask scheduler" in line]


def test_a_cluster_that_is_gone_is_one_line_and_work_that_fails_is_told() -> None:
    def stub(error: Exception) -> Mock:
        return Mock(**{"wait_for_workers.side_effect": error, "result.side_effect": error})

    for error, words in ((TimeoutError(), "no worker has been there for 5 s"), (OSError(), "the scheduler is lost")):
        with one_line(words):
            next(cluster.compute_there(stub(error), [], print, wait_s=5))
    with one_line("the scheduler is lost"):
        cluster._take(stub(CancelledError()))
    assert "a worker failed (ValueError: too much)" in str(cluster._take(stub(ValueError("too\nmuch"))))
    assert str(cluster._take(stub(SerabError("as it is")))) == "as it is"


def test_a_worker_with_other_code_is_refused_also_where_it_joins_late(folder: Path, monkeypatch) -> None:
    here = cluster.describe_code()
    for others in ({"numpy": "0"}, {"serab-companion": "0"}, {"serab_lib": "another source"}):
        with one_line(f"^worker tcp://there:1 has another version of {next(iter(others))}: "):
            cluster._require_same_code(here, here | others, "tcp://there:1")
    equal = {"torch": f"{here['torch']}+gpu", "python": "3.99"}
    monkeypatch.setattr(cluster, "list_versions", lambda: results.list_versions() | equal)
    assert cluster.describe_code() == here
    monkeypatch.setattr(cluster, "_SOURCE", "another source")
    with cluster.open_cluster("local:1") as compute:
        with one_line("another version of serab_lib: "):
            run_grid(["SAV"], ["logmel-stats"], settings(folder), compute=compute)
        monkeypatch.setattr("distributed.Client.run", lambda self, function: {})
        failures = run_grid(["SAV"], ["logmel-stats"], settings(folder), compute=compute).failures
    assert failures and all("another version of serab_lib: " in failure for failure in failures)


def test_every_task_can_be_sent() -> None:
    assert [deserialize(*serialize(each, serializers=["pickle"])).code for each in TASKS.values()] == list(TASKS)


@pytest.mark.nightly
def test_nine_tasks_on_a_stand_in_for_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue")
    pytest.importorskip("espeakng_loader", reason="needs the extra [demo]")
    from serab_lib.corpora.synthetic import generate

    programs = tmp_path / "bin"
    programs.mkdir()
    # Slurm keeps a copy of the script, and so does the stand-in: the one it is given is deleted.
    submit = 'cp "$1" "$0.$$"; setsid bash "$0.$$" >"$0.$$.out" 2>&1 &\necho "Submitted batch job $!"'
    for name, text in {"sbatch": submit, "scancel": 'kill -- -"$1"'}.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    job = 'jobs = 1\ncores = 1\nmemory = "4GB"\ninterface = "lo"\nwalltime = "02:00:00"\n'
    (tmp_path / "jobs.toml").write_text(job + 'job_extra_directives = ["--hold"]\n')
    generate(tmp_path / "data")
    run_grid(PAPER_TASKS, ["logmel-stats"], settings(tmp_path, out="here"))
    with cluster.open_cluster(f"slurm:{tmp_path / 'jobs.toml'}") as compute:
        summary = run_grid(PAPER_TASKS, ["logmel-stats"], settings(tmp_path, cache="own-cache"), compute=compute)
    assert not summary.failures and len(summary.computed) == 18
    assert read_numbers(tmp_path).equals(read_numbers(tmp_path, "here"))
    (script,) = [file for file in programs.glob("sbatch.*") if file.suffix != ".out"]
    assert {"#SBATCH -t 02:00:00", "#SBATCH --hold"} <= set(script.read_text().splitlines())
