"""What can be fetched: a record for each corpus and checkpoint, found by name or by the name of a group."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass

from serab_lib.checkpoints import CHECKPOINTS, Checkpoint, released_name
from serab_lib.errors import SerabError, unknown_name

CORPUS, CHECKPOINT = "corpus", "checkpoint"
OPEN, RESTRICTED, BY_HAND = "open", "restricted", "by hand"
GROUPS = ("all", "corpora", "checkpoints")


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file to download.

    Attributes
    ----------
    name : str
        Under which it is kept: a file name, or a path below the source's folder.
    urls : tuple of str
        The official address first, then its mirrors.
    size : int or None
        Bytes, where they are published.
    checksum : str or None
        `sha256:`, `md5:` or `git-blob:` with the hexadecimal digest, where one is published.
    listed_at : str or None
        Address of a Zenodo record that states checksum and size, read at download time if it can be reached.
    """

    name: str
    urls: tuple[str, ...]
    size: int | None = None
    checksum: str | None = None
    listed_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a corpus or a checkpoint comes from.

    Attributes
    ----------
    name, title, kind : str
        `kind` is `corpus` or `checkpoint`.
    page : str
        Official page.
    licence, licence_url, citation : str
    files : tuple of RemoteFile
        Empty where nothing can be fetched automatically.
    access : str
        `open`; `restricted`, to be asked for; `by hand`, open but out of reach of a plain download.
    advice : str
        How to obtain it by hand, in a clause that ends with what is then at hand.
    packed : bool
        True where the files are archives to unpack, False where they are the content itself.
    needs_consent : bool
        True where the licence must be accepted before the download.
    download_size, unpacked_size : int or None
        Bytes; rough where the exact number is not published.
    ignored_folders : tuple of str
        Folders (`fnmatch` patterns) of the archive that are not unpacked.
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
    from serab_lib.download.corpora import CORPORA
    from serab_lib.extractors.registry import EXTRACTORS
    from serab_lib.tasks import TASKS

    folded = name.strip().casefold()
    codes = {task.code.casefold(): task.name for task in TASKS.values()}
    corpus = codes.get(folded, folded)
    if corpus in CORPORA:
        return CORPORA[corpus]
    model = released_name(folded)
    if model in CHECKPOINTS:
        return checkpoint_source(model)
    if model in EXTRACTORS:
        raise SerabError(f"{model} needs no weights: it is ready for `serab run --models {model}`")
    known = [*GROUPS, *CORPORA, *(code.upper() for code in codes), *CHECKPOINTS]
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
    from serab_lib.download.corpora import CORPORA

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
    return [checkpoint_source(name) for name in CHECKPOINTS]


def checkpoint_source(name: str) -> Source:
    """Describe where an extractor's checkpoint comes from: the first of its alternatives that can be read here."""
    from serab_lib.extractors.registry import EXTRACTORS

    checkpoint = choose_checkpoint(name)
    entry = EXTRACTORS.get(name)
    n_parameters = entry.n_parameters if entry else None
    return Source(
        name=name,
        title=entry.title if entry else name,
        kind=CHECKPOINT,
        page=checkpoint.url,
        licence=checkpoint.licence,
        licence_url=checkpoint.licence_url,
        files=(_remote_checkpoint(checkpoint),),
        advice=f"download it from {checkpoint.url}",
        packed=checkpoint.is_folder,
        needs_consent=checkpoint.needs_consent,
        # Four bytes a parameter, where nobody states the size.
        download_size=checkpoint.n_bytes or (4 * n_parameters if n_parameters else None),
        unpacked_size=0,
    )


def choose_checkpoint(name: str) -> Checkpoint:
    """Choose among an extractor's alternatives; an .h5 file only where h5py can read it."""
    has_h5py = importlib.util.find_spec("h5py") is not None
    alternatives = CHECKPOINTS[name]
    readable = [each for each in alternatives if has_h5py or not each.file.endswith(".h5")]
    return (readable or list(alternatives))[0]


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
