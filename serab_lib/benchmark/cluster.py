"""Many machines: the work of a grid as tasks of a dask.distributed cluster.

Extraction is one task for each pair of task and extractor, each classifier is one more. The embeddings stay on
the workers; the program that started the run divides the work and is the only one that writes results. Data,
weights and caches lie on a file system that all machines share, under the same paths.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import queue
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serab_lib.benchmark import cluster_tasks
from serab_lib.benchmark.grid import Divide, Fit, Order, Workplace
from serab_lib.core import SerabError

if TYPE_CHECKING:
    from distributed import Client, Future

    from serab_lib.benchmark.embeddings import Progress
    from serab_lib.evaluation.classifiers import ClassifierResult

logger = logging.getLogger(__name__)

# The scheduler's own default: a task is given up when as many workers and one more died with it.
N_RETRIES = 3
# Seconds for the first worker to be there, and between looks at who is.
WAIT_S, _LOOK_S = 60.0, 2.0
# Seconds for a result to come here, before a look at whether anyone is there to send it.
_FETCH_S = 10.0
_SCHEDULER_LOST = "the scheduler is lost: finished cells are kept; the same command goes on from there"


class Cluster(Workplace):
    """A dask.distributed cluster.

    Parameters
    ----------
    client : distributed.Client
    folders : mapping from str to Path
        Option to folder, for all folders that the workers must see.
    wait_s : float
        Seconds to wait for a worker where there is none.

    Raises
    ------
    SerabError
        If there are no workers, or one is not fit for the work.
    """

    def __init__(self, client: Client, *, folders: Mapping[str, Path], wait_s: float = WAIT_S) -> None:
        self.client, self.wait_s = client, wait_s
        there = tuple((option, str(folder.absolute())) for option, folder in folders.items() if folder.is_dir())
        self.expectation = cluster_tasks.Expectation(there)
        self.n_lost = 0
        self._workers: dict[str, dict[str, float]] = {}
        self._seen = time.monotonic()
        self._wait_for_workers()
        self._require_fit_workers()

    def work(
        self, orders: Iterable[Order], divide: Divide, progress: Progress
    ) -> Iterator[tuple[Order | Fit, list[ClassifierResult] | SerabError]]:
        """Send out all orders, then the fits of each as it is there; see `Workplace.work`."""
        done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        told = _Progress(progress)
        waiting: dict[str, tuple[Future, _Sent]] = {}

        def send(sent: _Sent, *futures: Future) -> None:
            for future in futures:
                waiting[future.key] = future, sent
                future.add_done_callback(done.put)

        try:
            for order in orders:
                made = self._submit_extraction(order)
                # Only what is said about the embeddings comes here, not the embeddings.
                send(_Sent(order, made), self._submit(cluster_tasks.leave_out_matrix, made))
                told.add(order, "embeddings", 1)
            while waiting:
                future = self._next(done)
                _, sent = waiting.pop(future.key, (None, None))
                if sent is None:  # of a fit that has failed already
                    continue
                value, error = self._take(future)
                told.finish(sent.order, "embeddings" if sent.matrix else "classifiers")
                if error:
                    for key in [key for key, (_, other) in waiting.items() if other is sent]:
                        waiting.pop(key)
                        told.finish(sent.order, "classifiers")
                    yield sent.what, error
                elif sent.matrix:
                    for fit in divide(sent.what, value):
                        told.add(fit.order, "classifiers", 5)
                        send(_Sent(fit), *self._submit_fit(fit, sent.matrix))
                else:
                    sent.results.append(value)
                    if len(sent.results) == 5:
                        yield sent.what, _in_order(sent.results, sent.order.corpus.task.classes)
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self.client.cancel([future for future, _ in waiting.values()], force=True)

    def _submit(self, function: Any, *arguments: Any, **options: Any) -> Future:
        return self.client.submit(function, *arguments, pure=False, **self._place_for_cpu(), **options)

    def _submit_extraction(self, order: Order) -> Future:
        gpu = any("GPU" in resources for resources in self._workers.values())
        if order.device.startswith("cuda") and not gpu:
            raise SerabError(
                "no worker has the resource GPU: start those that have one with `dask worker --resources GPU=1 "
                "ADDRESS`, or choose --device cpu"
            )
        options = {"resources": {"GPU": 1}} if gpu else {}
        return self.client.submit(
            cluster_tasks.extract, _with_absolute_checkpoint(order), self.expectation, pure=False, **options
        )

    def _submit_fit(self, fit: Fit, matrix: Future) -> list[Future]:
        from serab_lib.evaluation.protocol import SLOWEST_FIRST

        parts, classes = fit.parts[["emotion", "group", "part"]], fit.order.corpus.task.classes
        arrays = self._submit(cluster_tasks.pose, matrix, fit.rows, parts, classes, self.expectation, priority=10)
        return [
            self._submit(cluster_tasks.fit, arrays, name, fit.order.search, self.expectation, priority=10)
            for name in SLOWEST_FIRST
        ]

    def _place_for_cpu(self) -> dict[str, Any]:
        """Prefer workers without a GPU, where there are both kinds."""
        cpu = [address for address, resources in self._workers.items() if "GPU" not in resources]
        return {"workers": cpu, "allow_other_workers": True} if 0 < len(cpu) < len(self._workers) else {}

    def _next(self, done: queue.SimpleQueue[Future]) -> Future:
        while True:
            with contextlib.suppress(queue.Empty):
                future = done.get(timeout=_LOOK_S)
                if future.status == "cancelled":
                    raise SerabError(_SCHEDULER_LOST)
                if future.status not in ("finished", "error"):
                    # The worker that held the result died since: it is made again.
                    future.add_done_callback(done.put)
                    continue
                if time.monotonic() - self._seen > _LOOK_S:
                    self._look()
                return future
            self._require_workers()

    def _take(self, future: Future) -> tuple[Any, SerabError | None]:
        """What a future holds, or why it holds nothing; made again where the worker that held it dies meanwhile."""
        while True:
            if future.status == "error":
                return None, self._explain(future.exception())
            try:
                return future.result(timeout=_FETCH_S), None
            except TimeoutError:
                self._require_workers()
            except CancelledError as error:
                raise SerabError(_SCHEDULER_LOST) from error
            except Exception as error:  # whatever the work raised
                return None, self._explain(error)

    def _require_workers(self) -> None:
        self._look()
        if time.monotonic() - self._seen > self.wait_s:
            raise SerabError(
                f"no worker has been there for {self.wait_s:.0f} s: finished cells are kept; start workers, and "
                "the same command goes on"
            )

    def _look(self) -> None:
        """See who is there; say who is not any more."""
        try:
            there = self.client.run_on_scheduler(cluster_tasks.list_workers)
        except Exception as error:  # whatever the connection's library raises
            raise SerabError(_SCHEDULER_LOST) from error
        for address in sorted(set(self._workers) - set(there)):
            self.n_lost += 1
            logger.warning("worker %s is lost: what it had begun is run again elsewhere", address)
        self._workers = there
        if there:
            self._seen = time.monotonic()

    def _wait_for_workers(self) -> None:
        try:
            self.client.wait_for_workers(1, timeout=self.wait_s)
        except TimeoutError as error:
            raise SerabError(
                f"the scheduler has had no worker for {self.wait_s:.0f} s: start some with `dask worker ADDRESS`"
            ) from error
        self._look()

    def _require_fit_workers(self) -> None:
        answers = self.client.run(cluster_tasks.find_problem, self.expectation, on_error="return")
        for address, problem in answers.items():
            if isinstance(problem, BaseException):
                problem = f"cannot do the work ({type(problem).__name__}: {' '.join(str(problem).split())[:200]})"
            if problem:
                raise SerabError(f"worker {address} {problem}")

    def _explain(self, error: BaseException) -> SerabError:
        if isinstance(error, SerabError):
            return error
        if type(error).__name__ == "KilledWorker":
            n_workers = getattr(error, "allowed_failures", N_RETRIES) + 1
            return SerabError(
                f"{n_workers} workers died with it (killed, or out of memory): the same command tries it again; "
                "workers with more memory may help"
            )
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return SerabError(f"a worker failed ({reason}): the same command tries it again")


@dataclass(eq=False)
class _Sent:
    """An order, with the embeddings that will be there, or a fit, with what is there of it."""

    what: Order | Fit
    matrix: Future | None = None
    results: list[ClassifierResult] = field(default_factory=list)

    @property
    def order(self) -> Order:
        return self.what if isinstance(self.what, Order) else self.what.order


class _Progress:
    """Counts for each task; totals grow as work is found."""

    def __init__(self, tell: Progress) -> None:
        self.tell = tell
        self.counts: dict[str, list[int]] = {}

    def add(self, order: Order, kind: str, n_more: int) -> None:
        self.counts.setdefault(f"{order.corpus.task.code}: {kind}", [0, 0])[1] += n_more

    def finish(self, order: Order, kind: str) -> None:
        what = f"{order.corpus.task.code}: {kind}"
        self.counts[what][0] += 1
        self.tell(what, *self.counts[what])


def _in_order(results: list[ClassifierResult], classes: tuple[str, ...]) -> list[ClassifierResult]:
    from serab_lib.evaluation.protocol import CLASSIFIERS, name_predictions

    return sorted(name_predictions(results, classes), key=lambda result: CLASSIFIERS.index(result.classifier))


def _with_absolute_checkpoint(order: Order) -> Order:
    """The order as a worker in another folder needs it."""
    checkpoint = order.entry.options.get("checkpoint")
    if not checkpoint or not os.path.exists(str(checkpoint)):
        return order
    options = {**order.entry.options, "checkpoint": os.path.abspath(str(checkpoint))}
    return dataclasses.replace(order, entry=dataclasses.replace(order.entry, options=options))
