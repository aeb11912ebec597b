"""What can be fetched: the source of each corpus, made of what its task says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from serab_lib.corpora.manifests import read_manifest
from serab_lib.corpora.task import TASKS, Download, RemoteFile, Task

CORPUS, CHECKPOINT = "corpus", "checkpoint"
OPEN, RESTRICTED, BY_HAND = "open", "restricted", "by hand"


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
