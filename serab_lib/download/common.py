"""What fetching a corpus and fetching a checkpoint share: how it is asked for, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from serab_lib.core import SerabError, printable
from serab_lib.corpora.check import Problem
from serab_lib.corpora.corpus import find_data
from serab_lib.download.places import write_size
from serab_lib.download.retrieval import retrieve
from serab_lib.download.sources import CHECKPOINT, RemoteFile, Source
from serab_lib.download.transfer import Policy, TransferError
from serab_lib.extractors.weights import weights_folder

# Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], object]

MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came of a fetch.

    Attributes
    ----------
    name : str
    path : Path
        The corpus's folder or the checkpoint.
    state : str
        `fetched`, or `present` where nothing had to be done.
    verified : str
        By what the content was verified.
    problems : tuple of Problem
        What `serab check` finds in the corpus.
    notes : tuple of str
        What was done that the user may not expect, a line each.
    """

    name: str
    path: Path
    state: str
    verified: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to fetch.

    Attributes
    ----------
    data, weights : str, Path or None
        Folders; None for the defaults.
    archives : sequence of Path
        The corpus as it was delivered, in place of a download.
    accept_licence : bool
        Whether the user accepts a licence that must be accepted first.
    n_workers : int
        Downloads at once, where a corpus comes file by file.
    policy : Policy
    announce : callable
        Told what is about to be downloaded.
    progress : callable
    """

    data: str | Path | None = None
    weights: str | Path | None = None
    archives: Sequence[Path] = ()
    accept_licence: bool = False
    n_workers: int = 8
    policy: Policy = field(default_factory=Policy)
    announce: Callable[[Source], object] = lambda source: None
    progress: Progress = lambda what, n_done, n_total: None


def retrieve_archive(source: Source, file: RemoteFile, folder: Path, options: Options) -> Path:
    """Get the file of a source, with its progress; what fails becomes one line with what to do by hand."""

    def tell(n_done: int, n_total: int | None) -> None:
        total = n_total or source.download_size or n_done
        options.progress(f"{file.name}: MB", n_done // MB, max(total, n_done) // MB)

    try:
        return retrieve(file, folder, policy=options.policy, tell=tell)
    except TransferError as error:
        raise describe_failure(source, error, options) from error


def describe_failure(source: Source, error: TransferError, options: Options) -> SerabError:
    """Turn the failure of all addresses into a line that also says what to do by hand."""
    return SerabError(f"{source.title} could not be downloaded ({error}): {write_advice(source, options)}")


def write_advice(source: Source, options: Options) -> str:
    """Say in a clause what to do by hand, and where that leads."""
    if source.kind == CHECKPOINT:
        place = weights_folder(options.weights)
        if source.packed:
            return f"{source.advice} and unpack it into {printable(place / source.name)}/"
        return f"{source.advice} and put {source.files[0].name} into {printable(place)}"
    n_archives = max(1, len(source.files) if source.packed else 1)
    shown = " --archive FILE" * n_archives
    place = printable(find_data(options.data) / source.name)
    return f"{source.advice}, then run `serab fetch {source.name}{shown}`, which checks it and unpacks it into {place}"


def describe_source(source: Source) -> dict[str, str]:
    """Say of a source what the user should know before a download."""
    facts = {
        "source": source.files[0].urls[0] if source.files and source.files[0].urls else source.page,
        "page": "" if source.kind == CHECKPOINT else source.page,
        "size": write_size(source.download_size) + ("" if all(file.size for file in source.files) else ", roughly"),
        "licence": f"{source.licence} {source.licence_url}".strip(),
        "citation": source.citation,
        "verified": "by published checksums" if source.is_verified else "by its list of files",
    }
    if source.kind == CHECKPOINT and not source.is_verified:
        facts["verified"] = "by what it holds: no checksum is published"
    return {name: value for name, value in facts.items() if value}
