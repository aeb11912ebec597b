"""The records of what can be fetched: a source, and its files."""

from __future__ import annotations

from dataclasses import dataclass

CORPUS, CHECKPOINT = "corpus", "checkpoint"
OPEN, RESTRICTED, BY_HAND = "open", "restricted", "by hand"


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
