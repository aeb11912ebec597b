"""The grid on a cluster: the same numbers to the last digit, also when a worker is killed midway."""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from faulting import read_numbers, run, settings
from making import make_byol_state, make_cvt_state, write_savee
from typer.testing import CliRunner

import serab_lib
from serab_lib.benchmark.cluster_tasks import Expectation
from serab_lib.benchmark.grid import run_grid
from serab_lib.benchmark.results import Results
from serab_lib.benchmark.slurm import Jobs, Profile, read_profile
from serab_lib.cli import app
from serab_lib.core import SerabError, UnknownNameError, digest
from serab_lib.corpora.corpus import find_corpus
from serab_lib.corpora.task import PAPER_TASKS, TASKS

pytest.importorskip("distributed", reason="needs the extra [dask]")

from distributed import LocalCluster

from serab_lib.benchmark.cluster import Cluster
from serab_lib.benchmark.cluster_connection import open_cluster

MODELS = ("logmel-stats", "opensmile")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_savee(tmp_path / "data", n_takes=2)
    return tmp_path


def kill_a_worker(cluster: Cluster, killed: list[str]) -> None:
    """Kill one worker process as soon as anything has been computed."""

    def wait_and_kill() -> None:
        while not any(cluster.client.run_on_scheduler(_count_finished).values()):
            time.sleep(0.05)
        pids = cluster.client.run(os.getpid)
        address, pid = sorted(pids.items())[0]
        os.kill(pid, signal.SIGKILL)
        killed.append(address)

    threading.Thread(target=wait_and_kill, daemon=True).start()


def _count_finished(dask_scheduler) -> dict[str, int]:
    return {address: len(state.has_what) for address, state in dask_scheduler.workers.items()}


@pytest.mark.slow
def test_a_cluster_gives_the_numbers_of_one_machine(folder: Path) -> None:
    run(folder, MODELS, out="here")
    seen = []
    with open_cluster("local:2", folders={"--data": folder / "data"}) as cluster:
        summary = run_grid(
            ["SAV"],
            MODELS,
            settings(folder, cache="own-cache"),
            workplace=cluster,
            progress=lambda *report: seen.append(report),
        )
    assert not summary.failures
    assert len(summary.computed) == 4
    assert read_numbers(folder).equals(read_numbers(folder, "here"))
    assert seen[-1] == ("cells", 4, 4)
    assert ("SAV: classifiers", 10, 10) in seen
    origin = Results(folder / "out").read_provenance()["SAV/opensmile/described"]
    assert origin["embeddings_from_cache"] == 0
    assert origin["machine"]


@pytest.mark.nightly
def test_nine_tasks_and_four_extractors_with_a_worker_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """--jobs 1, --jobs 2 and a cluster that loses a worker write the same cells.csv, times aside."""
    pytest.importorskip("espeakng_loader", reason="needs the extra [demo]")
    from serab_lib.corpora.synthetic.speech import generate

    generate(tmp_path / "data")
    for task in PAPER_TASKS:
        utterances = find_corpus(task, tmp_path / "data").utterances
        spare = utterances.drop(utterances.groupby(["speaker", "emotion"]).head(1).index)
        for path in spare["path"]:
            Path(path).unlink()
    torch.save(make_byol_state(), tmp_path / "byol.pth")
    torch.save(make_cvt_state(), tmp_path / "cvt.pth")
    models = (*MODELS, f"path:{tmp_path / 'byol.pth'}", f"path:{tmp_path / 'cvt.pth'}")
    killed: list[str] = []
    with open_cluster("local:2", folders={"--data": tmp_path / "data"}) as cluster:
        kill_a_worker(cluster, killed)
        options = settings(tmp_path, out="cluster", cache="cluster-cache", protocols=("described",))
        summary = run_grid(PAPER_TASKS, models, options, workplace=cluster)
        assert killed
        assert cluster.n_lost == 1
    assert any(f"worker {killed[0]} is lost" in record.getMessage() for record in caplog.records)
    assert not summary.failures
    assert len(summary.computed) == 36
    for n_jobs in (1, 2):
        options = settings(tmp_path, out=f"{n_jobs}", cache=f"cache-{n_jobs}", n_jobs=n_jobs, protocols=("described",))
        run_grid(PAPER_TASKS, models, options)
        assert read_numbers(tmp_path, "cluster").equals(read_numbers(tmp_path, f"{n_jobs}"))


@pytest.mark.slow
def test_workers_with_a_gpu_extract_and_others_fit(folder: Path) -> None:
    """Extraction goes where the resource GPU is; classifiers where it is not, unless that worker stands idle."""
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
        cluster = Cluster(client, folders={})
        with get_task_stream(client) as stream:
            summary = run_grid(["SAV"], ["logmel-stats"], settings(folder), workplace=cluster)
    assert len(summary.computed) == 2
    by_kind = {(task["key"].split("-")[0], names[task["worker"]]) for task in stream.data}
    assert {name for kind, name in by_kind if kind == "extract"} == {"gpu"}
    assert "cpu" in {name for kind, name in by_kind if kind == "fit"}


def test_device_cuda_needs_a_worker_that_has_one(folder: Path) -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as place:
        from distributed import Client

        with Client(place) as client:
            cluster = Cluster(client, folders={})
            with pytest.raises(SerabError, match="resource GPU"):
                run_grid(["SAV"], ["logmel-stats"], settings(folder, device="cuda"), workplace=cluster)


def test_a_result_whose_worker_dies_is_waited_for_again() -> None:
    """Between a future's being done and its result's coming here, the worker that holds it may die."""

    class Moved:
        status, key = "pending", "one"

        def add_done_callback(self, callback) -> None:
            self.status = "finished"
            callback(self)

        def result(self, timeout: float) -> str:
            if self.status == "finished":
                self.status = "error"
                raise TimeoutError
            raise AssertionError("the error is read instead")

        def exception(self) -> Exception:
            return ValueError("too much")

    cluster, done, future = object.__new__(Cluster), queue.SimpleQueue(), Moved()
    cluster._seen = time.monotonic()
    cluster._require_workers = lambda: None
    done.put(future)
    assert cluster._next(done) is future
    value, error = cluster._take(future)
    assert value is None
    assert "ValueError: too much" in str(error)


def test_a_scheduler_that_gives_up_a_result_is_lost() -> None:
    cluster, done = object.__new__(Cluster), queue.SimpleQueue()
    done.put(SimpleNamespace(status="cancelled", key="one"))
    with pytest.raises(SerabError, match="scheduler is lost"):
        cluster._next(done)


def test_a_wrong_address_is_one_line_within_seconds(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    for wrong, words in ((address, "dask scheduler"), ("127.0.0.1:1", "tcp://HOST:PORT"), ("local:0", "local:N")):
        arguments = ["run", "--tasks", "SAV", "--models", "logmel-stats", "--data", str(folder / "data")]
        result = CliRunner().invoke(app, [*arguments, "--out", str(folder / "out"), "--dask", wrong])
        assert result.exit_code == 1
        assert "Traceback" not in result.output
        assert words in result.output
        assert sum("error:" in line for line in result.output.splitlines()) == 1
    assert time.monotonic() - started < 30


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SerabError, match=r"serab-companion\[dask\]"), open_cluster("local:1", folders={}):
        pass


def test_a_worker_says_what_it_lacks(tmp_path: Path) -> None:
    fine = Expectation((("--data", str(tmp_path)),))
    assert fine.find_problem() is None
    assert "file system" in Expectation((("--data", str(tmp_path / "nowhere")),)).find_problem()
    assert "has numpy" in Expectation((), versions=(("numpy", "0.1"),)).find_problem()
    assert "another state of serab_lib" in Expectation((), code="other").find_problem()
    library = Path(serab_lib.__file__).parent
    files = {path.relative_to(library).as_posix(): path.read_text() for path in library.rglob("*.py")}
    assert {"core.py", "extractors/byol.py", "evaluation/svm.py"} <= set(files)
    assert Expectation(()).code == digest(files[name] for name in sorted(files))


def test_a_worker_that_does_not_see_the_data_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as place,
        Client(place) as client,
    ):
        monkeypatch.setattr(Expectation, "find_problem", lambda self: f"does not see {self.folders[0][1]}")
        with pytest.raises(SerabError, match="does not see") as caught:
            Cluster(client, folders={"--data": folder / "data"})
    assert str(caught.value).startswith("worker ")


@pytest.mark.parametrize("code", TASKS)
def test_every_task_can_be_sent(code: str) -> None:
    from distributed.protocol import deserialize, serialize

    assert deserialize(*serialize(TASKS[code], serializers=["pickle"])).code == code


PROFILE = """
wait_s = 600
[cpu]
n_jobs = 3
cores = 16
n_processes = 16
memory = "64GB"
walltime = "02:00:00"
queue = "short"
account = "speech"
directives = ["--constraint=avx2"]
prologue = ["module load python"]
[gpu]
cores = 4
memory = "32GB"
queue = "gpus"
"""


def test_a_slurm_profile_becomes_job_scripts(tmp_path: Path) -> None:
    jobqueue = pytest.importorskip("dask_jobqueue")
    (tmp_path / "profile.toml").write_text(PROFILE)
    profile = read_profile(tmp_path / "profile.toml")
    assert (profile.wait_s, profile.cpu.n_jobs, profile.gpu.n_jobs) == (600, 3, 1)
    scripts = {}
    for kind, jobs in (("cpu", profile.cpu), ("gpu", profile.gpu)):
        options = jobs.options(gpu=kind == "gpu")
        with jobqueue.SLURMCluster(**options, scheduler_options={"dashboard_address": None}) as cluster:
            scripts[kind] = cluster.job_script()
    for line in ("-p short", "-A speech", "--cpus-per-task=16", "-t 02:00:00", "--constraint=avx2"):
        assert f"#SBATCH {line}" in scripts["cpu"]
    assert "module load python" in scripts["cpu"]
    assert "--nworkers 16" in scripts["cpu"]
    assert "GPU=1" not in scripts["cpu"]
    assert "#SBATCH --gres=gpu:1" in scripts["gpu"]
    assert "--resources GPU=1" in scripts["gpu"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[cpu", "no profile that can be read"),
        ("[cpu]\ncore = 8", "cores"),
        ("[gpus]\ncores = 8", "gpu"),
        ("[cpu]\ncores = 0", "1 or more"),
        ("[cpu]\ncores = true", "1 or more"),
        ("[cpu]\nmemory = 64", "text"),
        ('[cpu]\nqueue = "a\\nb"', "text"),
        ('[cpu]\nprologue = ["a\\nb"]', "list of lines"),
        ("cpu = 3", "a table"),
        ("wait_s = -1", "expected seconds"),
    ],
)
def test_a_profile_with_a_mistake_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "profile.toml").write_text(text)
    with pytest.raises((SerabError, UnknownNameError), match=words) as caught:
        read_profile(tmp_path / "profile.toml")
    assert "\n" not in str(caught.value)


def test_without_a_profile_there_are_defaults() -> None:
    assert read_profile(None) == Profile(cpu=Jobs(n_jobs=4, n_processes=8), gpu=None)


@pytest.mark.slow
def test_slurm_end_to_end_with_a_stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sbatch` and `scancel` that run the jobs here: one with a GPU by its own word, one without."""
    programs = folder / "bin"
    programs.mkdir()
    # Slurm keeps a copy of the script, and so does the stand-in: the one it is given is deleted.
    submit = 'cp "$1" "$0.$$"; setsid bash "$0.$$" >"$0.$$.out" 2>&1 &\necho "Submitted batch job $!"'
    scripts = {"sbatch": submit, "scancel": 'kill -- -"$1"'}
    for name, text in scripts.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    job = 'cores = 1\nn_jobs = 1\nn_processes = 1\nmemory = "4GB"\ninterface = "lo"\n'
    (folder / "profile.toml").write_text(f"wait_s = 90\n[cpu]\n{job}[gpu]\n{job}")
    run(folder, out="here")
    with open_cluster(f"slurm:{folder / 'profile.toml'}", folders={"--data": folder / "data"}) as cluster:
        cluster.client.wait_for_workers(2, timeout=90)
        cluster._look()
        assert sorted(resources.get("GPU", 0) for resources in cluster._workers.values()) == [0, 1]
        summary = run_grid(["SAV"], ["logmel-stats"], settings(folder), workplace=cluster)
    assert not summary.failures
    assert read_numbers(folder).equals(read_numbers(folder, "here"))
    assert len(list(programs.glob("*.out"))) == 2
