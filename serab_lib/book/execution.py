"""Run notebooks through papermill, several at a time, and tell which cell is being run."""

from __future__ import annotations

import multiprocessing
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serab_lib.core import SerabError

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Job:
    """One notebook to run.

    Attributes
    ----------
    source, target : Path
        The notebook, and where it goes with its outputs. It runs in the target's folder.
    parameters : mapping
    """

    source: Path
    target: Path
    parameters: Mapping[str, Any]


def inspect_parameters(notebook: Path) -> dict[str, str]:
    """List a notebook's parameters and their default values, as papermill finds them."""
    import papermill

    try:
        return {name: each["default"] for name, each in papermill.inspect_notebook(str(notebook)).items()}
    except ValueError as error:
        raise SerabError(
            f"{notebook.name} names no kernel: copy the head of another notebook's .py, then `make notebooks`"
        ) from error


def choose_parameters(notebooks: Sequence[Path], profile: str, chosen: Mapping[str, Any]) -> dict[Path, dict[str, Any]]:
    """Give each notebook the parameters that it has.

    Parameters
    ----------
    notebooks : sequence of Path
    profile : str
        A parameter of every notebook.
    chosen : mapping
        Values for this build; a name counts for every notebook that has it.

    Returns
    -------
    dict

    Raises
    ------
    SerabError
        If a notebook has no parameter `profile`, or if no notebook has one of the chosen ones.
    """
    known = {notebook: inspect_parameters(notebook) for notebook in notebooks}
    for notebook, names in known.items():
        if "profile" not in names:
            raise SerabError(f"{notebook.name} has no parameter `profile`: declare it in the cell tagged parameters")
    everything = sorted({name for names in known.values() for name in names} - {"profile"})
    for name in chosen:
        if name not in everything:
            raise SerabError(f"no notebook has the parameter {name!r}: choose among {', '.join(everything)}")
    return {
        notebook: {"profile": profile, **{name: value for name, value in chosen.items() if name in names}}
        for notebook, names in known.items()
    }


def run_notebooks(jobs: Sequence[Job], *, n_jobs: int = 1, progress: Progress | None = None) -> None:
    """Run notebooks through papermill.

    Parameters
    ----------
    jobs : sequence of Job
    n_jobs : int
        How many at a time.
    progress : callable, optional
        Told the notebook and cell, how many of its cells are done, and how many it has.

    Raises
    ------
    SerabError
        If a cell fails: notebook, cell and error. The notebook with its outputs so far stays at its target.
    """
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(n_jobs, mp_context=context) as pool:
        events = manager.Queue()
        waiting = [pool.submit(_run, job, events) for job in jobs]
        try:
            while waiting:
                _report(events, progress)
                finished = [each for each in waiting if each.done()]
                for each in finished:
                    each.result()
                waiting = [each for each in waiting if each not in finished]
        except BaseException:
            _cancel(waiting)
            raise
        _report(events, progress)


def _cancel(waiting: Sequence[Future[None]]) -> None:
    for each in waiting:
        each.cancel()


def _report(events: Any, progress: Progress | None) -> None:
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        try:
            event = events.get(timeout=0.1)
        except queue.Empty:
            continue
        if progress:
            progress(*event)


def _run(job: Job, events: Any) -> None:
    """Run one notebook in this process."""
    import os

    import papermill
    from papermill.engines import NBClientEngine, papermill_engines
    from papermill.exceptions import PapermillExecutionError

    class TellingEngine(NBClientEngine):
        """papermill's own engine, which tells when a cell begins."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
            begin, n_cells = nb_man.cell_start, len(nb_man.nb.cells)

            def cell_start(cell: Any, cell_index: int | None = None, **rest: Any) -> None:
                events.put((job.source.stem, (cell_index or 0) + 1, n_cells))
                begin(cell, cell_index=cell_index, **rest)

            nb_man.cell_start = cell_start
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("telling", TellingEngine)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    os.chdir(job.target.parent)
    # Kernels greet on the standard error of whoever starts them.
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        papermill.execute_notebook(
            str(job.source),
            str(job.target),
            parameters=dict(job.parameters),
            engine_name="telling",
            kernel_name="python3",
            progress_bar=False,
            log_output=False,
        )
    except PapermillExecutionError as error:
        first_line = error.source.strip().splitlines()[0] if error.source.strip() else ""
        raise SerabError(
            f"{job.source.name}, cell {error.cell_index + 1} (`{first_line}`): {error.ename}: "
            f"{' '.join(str(error.evalue).split())}; the notebook with its outputs is {job.target}"
        ) from None
