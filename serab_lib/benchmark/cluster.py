"""Many machines: the jobs of a grid on a dask.distributed cluster, which is connected to or started here.

Each extraction, each group of candidates and each classifier is a task of the cluster, so that Dask runs again what a
lost worker had begun, and embeddings stay where they were made. Only finished cells come here. Data, weights and caches
lie on a file system that all machines share, under the same paths.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import tomllib
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import serab_lib
from serab_lib.benchmark.grid import Compute, Job, Outcome, Split, extract, finish, prepare
from serab_lib.benchmark.results import list_versions
from serab_lib.core import Progress, SerabError, digest
from serab_lib.evaluation.classifiers import CLASSIFIERS, divide_search, fit_best, try_candidates

if TYPE_CHECKING:
    from distributed import Client, Future

    from serab_lib.benchmark.embeddings import Embeddings
    from serab_lib.evaluation.classifiers import Candidate, ClassifierResult, Parts

# Seconds without any worker after which a run ends; the same where they wait in a queue; between looks at what is done.
WAIT_S, QUEUE_S, _LOOK_S = 60.0, 3600.0, 2.0
# What this process runs: a worker that was started before a change goes on as it was.
_SOURCE = digest(file.read_text() for file in sorted(Path(serab_lib.__file__).parent.rglob("*.py")))
_LOST = "the scheduler is lost: finished cells are kept; the same command goes on from there"


@contextlib.contextmanager
def open_cluster(address: str) -> Iterator[Compute]:
    """Connect to a cluster, or start one, and leave it or end it afterwards.

    Parameters
    ----------
    address : str
        ``tcp://host:port`` (or ``tls://``) of a running scheduler, which must be one that you trust: what it
        sends is run. ``local:N`` starts N worker processes here. ``slurm:FILE.toml`` starts workers as jobs of Slurm:
        the file holds arguments of `dask_jobqueue.SLURMCluster`, and `jobs`, how many. ``slurm`` has them from Dask's
        own configuration.

    Yields
    ------
    callable
        As `run_grid` takes it.

    Raises
    ------
    SerabError
        If there is no such cluster.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise SerabError("dask.distributed is not installed: pip install 'serab-companion[dask]'") from error
    # Lost connections are told in one line here.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        place = _start(address)
        if not isinstance(place, str):
            stack.enter_context(place)
        try:
            client = stack.enter_context(Client(place, timeout=5))
        except (OSError, ValueError) as error:
            raise SerabError(
                f"no Dask scheduler answers at {address}: start one with `dask scheduler`, and workers with "
                "`dask worker ADDRESS`"
            ) from error
        yield functools.partial(compute_there, client, wait_s=QUEUE_S if address.startswith("slurm") else WAIT_S)


def _start(address: str) -> Any:
    """Start what an address asks for; the address itself where there is nothing to start."""
    from distributed import LocalCluster

    kind, _, rest = address.partition(":")
    if kind == "slurm":
        return _start_slurm(rest)
    if kind == "local" and rest.isdecimal() and int(rest) > 0:
        # Without a limit of memory, as with --jobs.
        options = {"dashboard_address": None, "memory_limit": 0, "silence_logs": logging.CRITICAL}
        return LocalCluster(n_workers=int(rest), threads_per_worker=1, **options)
    if not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d+", address):
        raise SerabError(f"--dask {address}: expected tcp://HOST:PORT, local:N, slurm or slurm:FILE.toml")
    return address


def _start_slurm(file: str) -> Any:
    from dask_jobqueue import SLURMCluster

    try:
        options = tomllib.loads(Path(file).read_text()) if file else {}
        n_jobs = options.pop("jobs", 1)
        cluster = SLURMCluster(**{"scheduler_options": {"dashboard_address": None}, **options})
        cluster.scale(jobs=n_jobs)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SerabError(
            f"Slurm's jobs cannot be started from {file or 'the configuration of Dask'} ({reason}): write arguments of "
            "dask_jobqueue.SLURMCluster, and `jobs`"
        ) from error
    return cluster


def compute_there(
    client: Client, jobs: Iterable[Job], progress: Progress, *, wait_s: float
) -> Iterator[tuple[Job, Outcome]]:
    """Send all jobs to a cluster and yield their cells as they come.

    Raises
    ------
    SerabError
        If the scheduler is lost, or there has been no worker for some seconds.
    """
    waiting: dict[Future, Job] = {}
    counts: dict[str, list[int]] = {}
    expected = describe_code()

    def submit(what: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Future:
        count = counts.setdefault(what, [0, 0])
        key = f"{function.__name__}-{uuid.uuid4().hex}"
        future = client.submit(do_there, expected, function, *arguments, key=key, **options)
        future.add_done_callback(lambda _: count.__setitem__(0, count[0] + 1))
        count[1] += 1
        return future

    _require_workers(client, wait_s)
    for address, there in client.run(describe_code).items():
        _require_same_code(expected, there, address)
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    on_gpu = {"resources": {"GPU": 1}} if any("GPU" in worker["resources"] for worker in workers) else {}
    try:
        for job in jobs:
            code = job.corpus.task.code
            made = submit(f"{code}: embeddings", extract_there, job, **on_gpu)
            # What is begun is finished first.
            fit = functools.partial(submit, f"{code}: classifiers", priority=10)
            waiting |= {_submit_split(fit, job, part, made): job for part in job.splits.values()}
        while waiting:
            for future in _find_done(client, waiting, wait_s):
                yield waiting.pop(future), _take(future)
            for what, (n_done, n_total) in counts.items():
                progress(what, n_done, n_total)
    finally:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            client.cancel(list(waiting), force=True)


def _submit_split(submit: Callable[..., Future], job: Job, part: Split, made: Future) -> Future:
    """Send what makes the cells of one split; each candidate of a forest on its own, which takes the longest."""
    fitted = []
    for fold in part.folds:
        arrays, results = submit(prepare, job, fold, made), []
        for name in CLASSIFIERS:
            groups = divide_search(name, search=job.settings.search)
            if name == "RF":
                groups = [[candidate] for group in groups for candidate in group]
            tried = [submit(try_candidates, name, group, arrays) for group in groups]
            results.append(submit(fit_best_there, name, tried, arrays))
        fitted.append(results)
    return submit(finish, job, part, made, fitted)


def _find_done(client: Client, futures: Iterable[Future], wait_s: float) -> list[Future]:
    """Wait a little; return which futures are done, if any."""
    from distributed import wait

    try:
        return list(wait(list(futures), timeout=_LOOK_S, return_when="FIRST_COMPLETED").done)
    except TimeoutError:
        _require_workers(client, wait_s)
        return []
    except CancelledError as error:
        raise SerabError(_LOST) from error


def _require_workers(client: Client, wait_s: float) -> None:
    """Wait until there is a worker."""
    try:
        client.wait_for_workers(1, timeout=wait_s)
    except TimeoutError as error:
        raise SerabError(
            f"no worker has been there for {wait_s:.0f} s: finished cells are kept; start some with `dask worker "
            "ADDRESS`, and the same command goes on"
        ) from error
    except Exception as error:  # whatever the connection's library raises
        raise SerabError(_LOST) from error


def describe_code() -> dict[str, str]:
    """Map all that could give other numbers on another machine to its version, the library's source to a digest."""
    # A build for a GPU and one for CPUs alone ("2.13.0+cpu") are one version.
    versions = {name: version.split("+")[0] for name, version in list_versions().items() if name != "python"}
    return versions | {"serab_lib": _SOURCE}


def _require_same_code(expected: dict[str, str], there: dict[str, str], address: str) -> None:
    """Refuse a worker whose packages or whose source of the library are not those here."""
    if others := {name for name, _ in expected.items() ^ there.items()}:
        raise SerabError(
            f"worker {address} has another version of {', '.join(sorted(others))}: install the same serab_lib and "
            "constraints.txt on all machines, and start the workers again"
        )


def _take(future: Future) -> Outcome:
    """The cells of a future, or why it holds none."""
    try:
        return future.result(timeout=WAIT_S)
    except SerabError as error:
        return error
    except CancelledError as error:
        raise SerabError(_LOST) from error
    except Exception as error:  # whatever the work raised, or that too many workers died of it
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return SerabError(f"a worker failed ({reason}): the same command tries it again")


def do_there(expected: dict[str, str], function: Callable[..., Any], *arguments: Any) -> Any:
    """On a worker, which may have joined since the run began: do a task, if what it runs is what the client runs."""
    from distributed import get_worker

    _require_same_code(expected, describe_code(), get_worker().address)
    return function(*arguments)


def extract_there(job: Job) -> Embeddings:
    """On a worker: make the embeddings of a job, with the threads that the worker has."""
    from distributed import get_worker

    return extract(job, n_jobs=get_worker().state.nthreads)


def fit_best_there(name: str, tried: list[list[Candidate]], arrays: Parts) -> ClassifierResult:
    """On a worker: fit the best of all candidates, which were tried in groups."""
    return fit_best(name, [candidate for group in tried for candidate in group], arrays)
