"""The whole job, planned: what of the paper's grid is there, what can be had, and the disk that it takes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serab_lib.benchmark.results import CELL_KEY, Results
from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.splits import PROTOCOLS
from serab_lib.corpora.task import PAPER_TASKS, get_task
from serab_lib.download.fetch import ASK, CONSENT, FETCHABLE, THERE, UNCLEAR, Offer, survey
from serab_lib.download.sources import BY_HAND, write_size
from serab_lib.extractors.registry import EXTRACTORS, Entry


@dataclass(frozen=True, kw_only=True)
class Item:
    """A corpus or an extractor in the plan.

    Attributes
    ----------
    name, title : str
    state : str
        `there`, `can be fetched`, `nothing needed`, or why it is left out.
    is_feasible : bool
        Whether its cells will be computed.
    n_bytes : int
        To download.
    note : str
        What to do about it where it is left out.
    """

    name: str
    title: str
    state: str
    is_feasible: bool
    n_bytes: int = 0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the job: what it does, and the disk that it takes."""

    name: str
    what: str
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done.

    Attributes
    ----------
    corpora, extractors : tuple of Item
        Of the paper's grid.
    stages : tuple of Stage
    n_cells, n_feasible, n_present : int
        In the grid under both protocols; of them those that can be computed; and of those again the ones that
        have a result already.
    offers : tuple of Offer
        What will be fetched.
    """

    corpora: tuple[Item, ...]
    extractors: tuple[Item, ...]
    stages: tuple[Stage, ...]
    n_cells: int
    n_feasible: int
    n_present: int
    offers: tuple[Offer, ...] = ()

    @property
    def tasks(self) -> list[str]:
        """Codes of the tasks to compute."""
        return [get_task(item.name).code for item in self.corpora if item.is_feasible]

    @property
    def models(self) -> list[str]:
        """Names of the extractors to run."""
        return [item.name for item in self.extractors if item.is_feasible]

    @property
    def left_out(self) -> list[str]:
        """What is left out and why, a line each."""
        items = [item for item in (*self.corpora, *self.extractors) if not item.is_feasible]
        return [f"{item.title}: {item.state}{f' ({item.note})' if item.note else ''}" for item in items]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where and how the job is done.

    Attributes
    ----------
    data, weights, cache : str, Path or None
        Folders; None for the defaults.
    out : str or Path
        Folder of results.
    root : str or Path
        The project's folder, of which the book is built.
    device : str
    n_jobs : int or None
    may_fetch, accept_licence, with_book : bool
    """

    data: str | Path | None = None
    weights: str | Path | None = None
    cache: str | Path | None = None
    out: str | Path = "results"
    root: str | Path = "."
    device: str = "cpu"
    n_jobs: int | None = None
    may_fetch: bool = True
    accept_licence: bool = False
    with_book: bool = True


def make_plan(settings: Settings) -> Plan:
    """Look at what there is and plan the paper's grid under both protocols. Nothing is fetched or written."""
    offers = {offer.source.name: offer for offer in survey(settings.data, settings.weights, verify=True)}
    entries = [entry for entry in EXTRACTORS.values() if entry.paper_row]
    corpora = tuple(_plan_corpus(offers[get_task(code).name], settings) for code in PAPER_TASKS)
    extractors = tuple(_plan_extractor(entry, offers.get(entry.name), settings) for entry in entries)
    feasible = {item.name for item in (*corpora, *extractors) if item.is_feasible}
    to_fetch = tuple(offer for name, offer in offers.items() if name in feasible and offer.state != THERE)
    n_tasks, n_models = sum(item.is_feasible for item in corpora), sum(item.is_feasible for item in extractors)
    chosen = [entry for entry in entries if entry.name in feasible]
    codes = [code for code in PAPER_TASKS if get_task(code).name in feasible]
    return Plan(
        corpora=corpora,
        extractors=extractors,
        stages=tuple(_plan_stages(to_fetch, codes, chosen, settings)),
        n_cells=len(corpora) * len(extractors) * len(PROTOCOLS),
        n_feasible=n_tasks * n_models * len(PROTOCOLS),
        n_present=_count_present(codes, [entry.name for entry in chosen], settings),
        offers=to_fetch,
    )


def _count_present(codes: list[str], models: list[str], settings: Settings) -> int:
    cells = Results(settings.out).read_cells()
    chosen = cells[cells["task"].isin(codes) & cells["model"].isin(models)]
    return len(chosen[CELL_KEY].drop_duplicates())


def _plan_corpus(offer: Offer, settings: Settings) -> Item:
    is_feasible = offer.state == THERE or (offer.state == FETCHABLE and settings.may_fetch)
    note = offer.note
    if offer.state in (ASK, BY_HAND):
        note = f"{offer.source.advice}, then `serab fetch {offer.source.name} --archive FILE`"
    elif offer.state == FETCHABLE and not settings.may_fetch:
        note = f"`serab fetch {offer.source.name}`"
    return _make_item(offer, is_feasible, note)


def _plan_extractor(entry: Entry, offer: Offer | None, settings: Settings) -> Item:
    if entry.extra and importlib.util.find_spec(entry.extra) is None:
        note = f"pip install 'serab-companion[{entry.extra}]'"
        return Item(name=entry.name, title=entry.title, state=f"needs {entry.extra}", is_feasible=False, note=note)
    if offer is None:
        return Item(name=entry.name, title=entry.title, state="nothing needed", is_feasible=True)
    if offer.state == CONSENT and not settings.accept_licence:
        return _make_item(offer, False, f"read {offer.source.licence_url}, then add --accept-licence")
    # What lies there damaged is replaced by a fetch.
    can_come = offer.state in (FETCHABLE, CONSENT, UNCLEAR)
    is_feasible = offer.state == THERE or (can_come and settings.may_fetch)
    note = offer.note if is_feasible or offer.state == UNCLEAR else f"`serab fetch {entry.name}`"
    return _make_item(offer, is_feasible, note)


def _make_item(offer: Offer, is_feasible: bool, note: str) -> Item:
    n_bytes = 0 if offer.state == THERE else offer.source.download_size or 0
    return Item(
        name=offer.source.name,
        title=offer.source.title,
        state=offer.state,
        is_feasible=is_feasible,
        n_bytes=n_bytes,
        note=note,
    )


def _plan_stages(
    offers: tuple[Offer, ...], codes: list[str], entries: list[Entry], settings: Settings
) -> Iterator[Stage]:
    download = sum(offer.source.download_size or 0 for offer in offers)
    unpacked = sum(offer.source.unpacked_size or 0 for offer in offers)
    what = f"{len(offers)} downloads, {write_size(download) if download else 'nothing'}"
    # Archives go once they are unpacked; the largest moment is taken as the sum of both.
    yield Stage(name="fetch", what=what, n_bytes=download + unpacked)
    n_utterances = sum(len(list_utterances(code)) for code in codes)
    yield Stage(
        name="embeddings",
        what=f"{len(entries)} extractors on {len(codes)} corpora",
        n_bytes=4 * n_utterances * sum(entry.embedding_size for entry in entries),
    )
    n_cells = len(entries) * len(codes) * len(PROTOCOLS)
    yield Stage(name="classifiers", what=f"{n_cells} cells of five classifiers", n_bytes=0)
    if settings.with_book:
        yield Stage(name="book", what="the site", n_bytes=50_000_000)
