"""The paper's whole grid under both protocols: planned as rows that print as they are, then carried out."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serab_lib.benchmark.grid import Settings, run_grid
from serab_lib.benchmark.results import CELL_KEY, Results
from serab_lib.core import SerabError
from serab_lib.corpora.corpus import find_data, list_utterances
from serab_lib.corpora.task import PAPER_TASKS, get_task
from serab_lib.download.fetch import ASK, CONSENT, FETCHABLE, THERE, UNCLEAR, Offer, Options, fetch, survey
from serab_lib.download.sources import BY_HAND, CHECKPOINT, Source, write_size
from serab_lib.extractors.registry import EXTRACTORS, Entry, find_device
from serab_lib.extractors.weights import weights_folder

Row = dict[str, Any]

_NOTHING_NEEDED = "nothing needed"
_SITE_BYTES = 50_000_000


def make_plan(
    settings: Settings, *, may_fetch: bool = True, accept_licence: bool = False, with_book: bool = True
) -> dict[str, Any]:
    """Look at what there is and plan the grid: rows, numbers of cells, what is left out; nothing is written."""
    offers = {offer.source.name: offer for offer in survey(settings.data, settings.weights, verify=True)}
    corpora = [_plan_offer(offers[get_task(code).name], may_fetch, accept_licence) for code in PAPER_TASKS]
    extractors = [
        _plan_extractor(entry, offers.get(entry.name), may_fetch, accept_licence)
        for entry in EXTRACTORS.values()
        if entry.paper_row
    ]
    plan = {"corpora": corpora, "extractors": extractors}
    tasks, models = _choose(plan)
    cells = Results(settings.out).read_cells()
    present = cells[cells["task"].isin(tasks) & cells["model"].isin(models)]
    n_feasible = len(tasks) * len(models) * len(settings.protocols)
    stages = _plan_stages([offers[name].source for name in _list_downloads(plan)], tasks, models, n_feasible)
    return plan | {
        "cells": len(corpora) * len(extractors) * len(settings.protocols),
        "feasible_cells": n_feasible,
        "present_cells": len(present[CELL_KEY].drop_duplicates()),
        "stages": stages if with_book else stages[:-1],
        "left_out": [
            f"{row['title']}: {row['state']}" + (f" ({row['note']})" if row["note"] else "")
            for row in (*corpora, *extractors)
            if row["computed"] == "no"
        ],
    }


def _plan_stages(sources: list[Source], tasks: list[str], models: list[str], n_cells: int) -> list[Row]:
    """Rows of the job's parts, each with the disk that it takes."""
    n_bytes = sum(source.download_size or 0 for source in sources)
    downloads = f"{len(sources)} downloads, {write_size(n_bytes) if n_bytes else 'nothing'}"
    # Archives go once they are unpacked; the largest moment is taken as the sum of both.
    n_fetched = n_bytes + sum(source.unpacked_size or 0 for source in sources)
    n_utterances = sum(len(list_utterances(code)) for code in tasks)
    n_embedded = 4 * n_utterances * sum(EXTRACTORS[name].embedding_size for name in models)
    stages = [
        ("fetch", downloads, n_fetched),
        ("embeddings", f"{len(models)} extractors on {len(tasks)} corpora", n_embedded),
        ("classifiers", f"{n_cells} cells of five classifiers", 0),
        ("book", "the site", _SITE_BYTES),
    ]
    return [
        {"stage": name, "what": what, "disk": write_size(size) if size else "–", "bytes": size}
        for name, what, size in stages
    ]


def _plan_offer(offer: Offer, may_fetch: bool, accept_licence: bool) -> Row:
    """Row of a corpus or checkpoint: what stands with it, whether its cells are computed, and what to do if not."""
    source, state, note = offer.source, offer.state, offer.note
    # What of a checkpoint lies there damaged is replaced by a fetch.
    can_come = state == FETCHABLE or (state == UNCLEAR and source.kind == CHECKPOINT)
    if state in (ASK, BY_HAND):
        note = f"{source.advice}, then `serab fetch {source.name} --archive FILE`"
    elif state == CONSENT and not accept_licence:
        note = f"read {source.licence_url}, then add --accept-licence"
    elif state in (CONSENT, FETCHABLE):
        can_come, note = True, note if may_fetch else f"`serab fetch {source.name}`"
    is_computed = state == THERE or (can_come and may_fetch)
    return _make_row(source, state, is_computed, note, 0 if state == THERE else source.download_size or 0)


def _plan_extractor(entry: Entry, offer: Offer | None, may_fetch: bool, accept_licence: bool) -> Row:
    """Row of an extractor, which may need a package, a checkpoint, or nothing."""
    if entry.extra and importlib.util.find_spec(entry.extra) is None:
        return _make_row(entry, f"needs {entry.extra}", False, f"pip install 'serab-companion[{entry.extra}]'")
    return _plan_offer(offer, may_fetch, accept_licence) if offer else _make_row(entry, _NOTHING_NEEDED, True)


def _make_row(what: Any, state: str, is_computed: bool, note: str = "", n_bytes: int = 0) -> Row:
    """Row of the plan."""
    row = {"name": what.name, "title": what.title, "state": state, "computed": "yes" if is_computed else "no"}
    return row | {"download": write_size(n_bytes) if n_bytes else "", "bytes": n_bytes, "note": note}


def _list_downloads(plan: dict[str, Any]) -> list[str]:
    """Names of what has to be fetched."""
    rows = [row for row in (*plan["corpora"], *plan["extractors"]) if row["computed"] == "yes"]
    return [row["name"] for row in rows if row["state"] not in (THERE, _NOTHING_NEEDED)]


def _choose(plan: dict[str, Any], missed: frozenset[str] = frozenset()) -> tuple[list[str], list[str]]:
    """Codes of the tasks and names of the extractors to compute."""
    names = [
        [row["name"] for row in plan[kind] if row["computed"] == "yes" and row["name"] not in missed]
        for kind in ("corpora", "extractors")
    ]
    return [get_task(name).code for name in names[0]], names[1]


def carry_out(
    plan: dict[str, Any],
    settings: Settings,
    *,
    accept_licence: bool = False,
    root: Path | None = None,
    announce: Callable[[Any], object] = lambda source: None,
    progress: Callable[[str, int, int], object] = lambda what, n_done, n_total: None,
) -> dict[str, Any]:
    """Fetch, compute the grid and build the book of `root`, if any; what fails is named, the rest is done."""
    find_device(settings.device)
    done: dict[str, Any] = {"fetched": [], "computed": 0, "present": 0, "warnings": [], "failures": [], "book": None}
    folders = {"data": settings.data, "weights": settings.weights}
    options = Options(**folders, accept_licence=accept_licence, announce=announce, progress=progress)
    downloads = _list_downloads(plan)
    for name in downloads:
        try:
            fetch(name, options)
            done["fetched"].append(name)
        except SerabError as error:
            done["failures"].append(str(error))
    tasks, models = _choose(plan, frozenset(downloads) - set(done["fetched"]))
    if not tasks or not models:
        done["failures"].append(f"no cell can be computed: {len(tasks)} corpora and {len(models)} extractors at hand")
        return done
    summary = run_grid(tasks, models, settings, progress=progress)
    done |= {"computed": len(summary.computed), "present": len(summary.present), "warnings": summary.warnings}
    done["failures"] += summary.failures
    if root is not None:
        try:
            done["book"] = str(_build_book(settings, root, progress))
        except SerabError as error:
            done["failures"].append(f"the book was not built: {error}")
    return done


def _build_book(settings: Settings, root: Path, progress: Callable[[str, int, int], object]) -> Path:
    """Build the book from the new results."""
    from serab_lib.book.build import build_book

    environment = {
        "SERAB_RESULTS": str(Path(settings.out).resolve()),
        "SERAB_DATA": str(find_data(settings.data)),
        "SERAB_WEIGHTS": str(weights_folder(settings.weights).resolve()),
    }
    return build_book("paper", root=root, environment=environment, n_jobs=settings.n_jobs, progress=progress)
