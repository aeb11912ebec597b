"""The whole job, done: fetch what is missing, run the paper's grid under both protocols, build the book."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serab_lib.cli.planning import Plan, Settings, make_plan
from serab_lib.core import SerabError
from serab_lib.corpora.corpus import find_data
from serab_lib.corpora.splits import PROTOCOLS
from serab_lib.corpora.task import get_task
from serab_lib.download.fetch import Options, fetch
from serab_lib.extractors.weights import weights_folder

if TYPE_CHECKING:
    from serab_lib.benchmark.embeddings import Progress
    from serab_lib.benchmark.grid import Summary

__all__ = ["Outcome", "Plan", "Settings", "build_new_book", "make_plan", "reproduce"]


@dataclass
class Outcome:
    """What was done: names fetched, the grid's summary, the book's page, and what failed on the way."""

    fetched: list[str] = field(default_factory=list)
    summary: Summary | None = None
    book: Path | None = None
    failures: list[str] = field(default_factory=list)


def reproduce(
    plan: Plan,
    settings: Settings,
    *,
    announce: Callable[[Any], object] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Do what the plan says.

    Parameters
    ----------
    plan : Plan
    settings : Settings
        Those that the plan was made with.
    announce : callable, optional
        Told the source of each download before it begins.
    progress : callable, optional
        Told what is being done, how much of it is done, and how much there is.

    Returns
    -------
    Outcome
        What fails is named in it, and the rest is done all the same.

    Raises
    ------
    SerabError
        If the device is not there, before anything is done.
    """
    _require_device(settings.device)
    outcome = Outcome()
    tell = progress or (lambda what, n_done, n_total: None)
    options = Options(
        data=settings.data,
        weights=settings.weights,
        accept_licence=settings.accept_licence,
        announce=announce or (lambda source: None),
        progress=tell,
    )
    missed = set()
    for offer in plan.offers:
        try:
            fetch(offer.source, options)
            outcome.fetched.append(offer.source.name)
        except SerabError as error:
            outcome.failures.append(str(error))
            missed.add(offer.source.name)
    tasks = [code for code in plan.tasks if get_task(code).name not in missed]
    models = [name for name in plan.models if name not in missed]
    if not tasks or not models:
        outcome.failures.append(f"no cell can be computed: {len(tasks)} corpora and {len(models)} extractors at hand")
        return outcome
    outcome.summary = _run_grid(tasks, models, settings, tell)
    outcome.failures += outcome.summary.failures
    if settings.with_book:
        try:
            outcome.book = build_new_book(settings, progress=tell)
        except SerabError as error:
            outcome.failures.append(f"the book was not built: {error}")
    return outcome


def _require_device(device: str) -> None:
    if device == "cpu":
        return
    import torch

    if not device.startswith("cuda") or not torch.cuda.is_available():
        raise SerabError(f"there is no device {device!r} on this machine: choose --device cpu")


def _run_grid(tasks: list[str], models: list[str], settings: Settings, progress: Progress) -> Summary:
    from serab_lib.benchmark import grid

    options = {"n_jobs": settings.n_jobs} if settings.n_jobs else {}
    grid_settings = grid.Settings(
        out=settings.out,
        data=settings.data,
        weights=settings.weights,
        cache=settings.cache,
        protocols=PROTOCOLS,
        device=settings.device,
        **options,
    )
    return grid.run_grid(tasks, models, grid_settings, progress=progress)


def build_new_book(settings: Settings, *, progress: Progress | None = None) -> Path:
    """Build the book from the new results; return its first page."""
    from serab_lib.book.build import build_book

    folders = {
        "SERAB_RESULTS": Path(settings.out).resolve(),
        "SERAB_DATA": find_data(settings.data),
        "SERAB_WEIGHTS": weights_folder(settings.weights).resolve(),
    }
    environment = {name: str(folder) for name, folder in folders.items()}
    return build_book("paper", root=settings.root, environment=environment, n_jobs=settings.n_jobs, progress=progress)
