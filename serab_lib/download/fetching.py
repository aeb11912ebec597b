"""`fetch`: a corpus or a checkpoint, by its name; and what can be fetched, by name or by the name of a group."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

from serab_lib.core import SerabError, unknown_name
from serab_lib.corpora.task import TASKS
from serab_lib.download.checkpoint import fetch_checkpoint
from serab_lib.download.common import Fetched, Options
from serab_lib.download.corpus import fetch_corpus
from serab_lib.download.sources import CHECKPOINT, CORPORA, OPEN, RemoteFile, Source
from serab_lib.extractors.registry import EXTRACTORS, Entry
from serab_lib.extractors.weights import Checkpoint

GROUPS = ("all", "corpora", "checkpoints")


def fetch(source: str | Source, options: Options | None = None) -> Fetched:
    """Fetch a corpus or a checkpoint, unless it is there.

    Parameters
    ----------
    source : str or Source
    options : Options, optional

    Returns
    -------
    Fetched

    Raises
    ------
    SerabError
        If it cannot be had, or is not what was published. Nothing is put in its place then; what came in is kept
        and gone on with by the next attempt.
    """
    source = get_source(source) if isinstance(source, str) else source
    options = options or Options()
    if source.kind == CHECKPOINT:
        return fetch_checkpoint(source, options)
    return fetch_corpus(source, options)


def get_source(name: str) -> Source:
    """Find the source of a corpus or a checkpoint.

    Parameters
    ----------
    name : str
        A task's code or name, or an extractor's name, in upper or lower case.

    Returns
    -------
    Source

    Raises
    ------
    UnknownNameError
        If nothing of that name can be fetched.
    SerabError
        If it is an extractor that needs no weights.
    """
    folded = name.strip().casefold()
    codes = {task.code.casefold(): task.name for task in TASKS.values()}
    corpus = codes.get(folded, folded)
    if corpus in CORPORA:
        return CORPORA[corpus]
    model = folded.partition("-layer-")[0]
    if model in EXTRACTORS and EXTRACTORS[model].checkpoints:
        return checkpoint_source(model)
    if model in EXTRACTORS:
        raise SerabError(f"{model} needs no weights: it is ready for `serab run --models {model}`")
    known = [*GROUPS, *CORPORA, *(code.upper() for code in codes), *(each.name for each in list_checkpoints())]
    raise unknown_name("corpus or checkpoint", name, known, listing="serab fetch")


def resolve_names(names: Iterable[str]) -> tuple[list[Source], list[Source]]:
    """Find the sources of some names.

    Parameters
    ----------
    names : iterable of str
        As in `get_source`, or a group: `corpora`, `checkpoints`, or `all`, which stands for the corpora.

    Returns
    -------
    tuple of two lists of Source
        Those to fetch, each once; and those that a group name covers and that cannot be had without the user.
    """
    wanted: dict[str, Source] = {}
    withheld: dict[str, Source] = {}
    for name in names:
        folded = name.strip().casefold()
        if folded not in GROUPS:
            source = get_source(name)
            wanted[source.name] = source
            continue
        members = list_checkpoints() if folded == "checkpoints" else list(CORPORA.values())
        for source in members:
            is_free = source.access == OPEN and not source.needs_consent
            (wanted if is_free else withheld)[source.name] = source
    return list(wanted.values()), [source for name, source in withheld.items() if name not in wanted]


def list_checkpoints() -> list[Source]:
    """List the sources of all checkpoints."""
    return [checkpoint_source(name) for name, entry in EXTRACTORS.items() if entry.checkpoints]


def checkpoint_source(name: str) -> Source:
    """Describe where an extractor's checkpoint comes from: the first of its alternatives that can be read here."""
    entry = EXTRACTORS[name]
    checkpoint = choose_checkpoint(entry)
    return Source(
        name=name,
        title=entry.title,
        kind=CHECKPOINT,
        page=checkpoint.url,
        licence=entry.licence,
        licence_url=entry.licence_url,
        files=(_remote_checkpoint(checkpoint),),
        advice=f"download it from {checkpoint.url}",
        packed=checkpoint.is_folder,
        needs_consent=entry.needs_consent,
        # Four bytes a parameter, where nobody states the size.
        download_size=checkpoint.n_bytes or (4 * entry.n_parameters if entry.n_parameters else None),
        unpacked_size=0,
    )


def choose_checkpoint(entry: Entry) -> Checkpoint:
    """Choose among an extractor's alternatives: the first that an installed package can read."""
    readable = (each for each in entry.checkpoints if not each.package or importlib.util.find_spec(each.package))
    return next(readable, entry.checkpoints[0])


def _remote_checkpoint(checkpoint: Checkpoint) -> RemoteFile:
    checksum = None
    if checkpoint.sha256:
        checksum = f"sha256:{checkpoint.sha256}"
    elif checkpoint.git_blob:
        checksum = f"git-blob:{checkpoint.git_blob}"
    # A folder's own address is a page; its archive is found at the mirrors.
    urls = checkpoint.mirrors if checkpoint.is_folder else (checkpoint.url, *checkpoint.mirrors)
    name = f"{checkpoint.file}.tar.gz" if checkpoint.is_folder else checkpoint.file
    return RemoteFile(name=name, urls=urls, size=checkpoint.n_bytes, checksum=checksum)
