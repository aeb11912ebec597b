"""What can be fetched: the source of each corpus and checkpoint, made of what its task or its extractor says."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from serab_lib.core import SerabError, unknown_name
from serab_lib.corpora.corpus import read_manifest
from serab_lib.corpora.task import TASKS, Download, RemoteFile, Task
from serab_lib.extractors.registry import EXTRACTORS, Entry

CORPUS, CHECKPOINT = "corpus", "checkpoint"
OPEN, RESTRICTED, BY_HAND = "open", "restricted", "by hand"
GROUPS = ("all", "corpora", "checkpoints")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a corpus or a checkpoint comes from.

    `kind` is `corpus` or `checkpoint`; `access` is `open`, `restricted` (to be asked for) or `by hand` (open, but out
    of reach of a plain download). `files` are archives to unpack if `packed`, else the content itself. `advice` says
    how to obtain it by hand, in a clause that ends with what is then at hand. Sizes (bytes) are rough where the exact
    ones are not published.
    """

    name: str
    title: str
    kind: str
    page: str
    licence: str
    licence_url: str = ""
    citation: str = ""
    files: tuple[RemoteFile, ...] = ()
    access: str = OPEN
    advice: str = ""
    packed: bool = True
    needs_consent: bool = False
    download_size: int | None = None
    unpacked_size: int | None = None
    ignored_folders: tuple[str, ...] = ()

    @property
    def is_verified(self) -> bool:
        """Whether a checksum is published for every file."""
        return bool(self.files) and all(file.checksum for file in self.files)


def corpus_source(task: Task) -> Source | None:
    """Say where a task's corpus comes from; None where that is not known."""
    if (download := task.download) is None:
        return None
    files = download.files or tuple(_list_recordings(download))
    sizes = [file.size for file in files if file.size is not None]
    return Source(
        name=task.name,
        title=task.title,
        kind=CORPUS,
        page=task.source,
        licence=task.licence,
        citation=task.citation,
        files=files,
        access=RESTRICTED if task.access == RESTRICTED else OPEN if files else BY_HAND,
        advice=download.advice,
        packed=not download.file_list,
        download_size=sum(sizes) if files and len(sizes) == len(files) else download.size,
        unpacked_size=download.unpacked_size,
        ignored_folders=task.ignored_folders,
    )


def _list_recordings(download: Download) -> Iterator[RemoteFile]:
    """List the recordings of a corpus without an archive, each with its published hash."""
    table = read_manifest(download.file_list) if download.file_list else None
    for row in [] if table is None else table.itertuples():
        urls = tuple(f"{address}{row.file}" for address in download.addresses)
        yield RemoteFile(name=row.file, urls=urls, size=int(row.bytes), checksum=f"sha256:{row.sha256}")


CORPORA: dict[str, Source] = {source.name: source for source in map(corpus_source, TASKS.values()) if source}


def checkpoint_source(entry: Entry) -> Source:
    """Say where an extractor's checkpoint comes from: the first that an installed package can read."""
    readable = [each for each in entry.checkpoints if not each.package or importlib.util.find_spec(each.package)]
    checkpoint = (readable or entry.checkpoints)[0]
    checksum = f"sha256:{checkpoint.sha256}" if checkpoint.sha256 else None
    if checkpoint.git_blob and not checksum:
        checksum = f"git-blob:{checkpoint.git_blob}"
    # A folder's own address is a page; its archive is found at the mirrors.
    file = RemoteFile(
        name=f"{checkpoint.file}.tar.gz" if checkpoint.is_folder else checkpoint.file,
        urls=checkpoint.mirrors if checkpoint.is_folder else (checkpoint.url, *checkpoint.mirrors),
        size=checkpoint.n_bytes,
        checksum=checksum,
    )
    return Source(
        name=entry.name,
        title=entry.title,
        kind=CHECKPOINT,
        page=checkpoint.url,
        licence=entry.licence,
        licence_url=entry.licence_url,
        files=(file,),
        advice=f"download it from {checkpoint.url}",
        packed=checkpoint.is_folder,
        needs_consent=entry.needs_consent,
        # Four bytes a parameter, where nobody states the size.
        download_size=checkpoint.n_bytes or (4 * entry.n_parameters if entry.n_parameters else None),
        unpacked_size=0,
    )


def list_checkpoints() -> list[Source]:
    """List the sources of all checkpoints."""
    return [checkpoint_source(entry) for entry in EXTRACTORS.values() if entry.checkpoints]


def get_source(name: str) -> Source:
    """Find the source of a corpus, by its code or name, or of an extractor's checkpoint."""
    folded = name.strip().casefold()
    corpora = {text.casefold(): task.name for task in TASKS.values() for text in (task.code, task.name)}
    if source := CORPORA.get(corpora.get(folded, "")):
        return source
    if entry := EXTRACTORS.get(folded.partition("-layer-")[0]):
        if entry.checkpoints:
            return checkpoint_source(entry)
        raise SerabError(f"{entry.name} needs no weights: it is ready for `serab run --models {entry.name}`")
    known = [*GROUPS, *CORPORA, *TASKS, *(each.name for each in list_checkpoints())]
    raise unknown_name("corpus or checkpoint", name, known, listing="serab fetch")


def resolve_names(names: Iterable[str]) -> tuple[list[Source], list[Source]]:
    """Find what some names or groups stand for: what to fetch, and what a group cannot give without the user.

    The groups are `corpora`, `checkpoints`, and `all`, which stands for the corpora.
    """
    wanted: dict[str, Source] = {}
    withheld: dict[str, Source] = {}
    for name in names:
        folded = name.strip().casefold()
        members = [get_source(name)] if folded not in GROUPS else list(CORPORA.values())
        for source in list_checkpoints() if folded == "checkpoints" else members:
            is_free = folded not in GROUPS or (source.access == OPEN and not source.needs_consent)
            (wanted if is_free else withheld)[source.name] = source
    return list(wanted.values()), [source for name, source in withheld.items() if name not in wanted]


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


def write_size(n_bytes: int | None) -> str:
    """Write a number of bytes for people.

    >>> write_size(208_468_073), write_size(1_664_512_929), write_size(900), write_size(None)
    ('208 MB', '1.7 GB', '1 kB', 'unknown size')
    """
    if n_bytes is None:
        return "unknown size"
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.1f} GB"
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes >= 1e6 else f"{max(1, round(n_bytes / 1e3))} kB"
