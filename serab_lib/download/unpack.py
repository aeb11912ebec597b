"""Archives unpacked as if an enemy had packed them: nothing leaves the folder, links, or grows without bound."""

from __future__ import annotations

import functools
import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from serab_lib.core import SerabError, printable
from serab_lib.corpora.corpus import AUDIO_SUFFIXES

# What a corpus is made of; programs, videos and motion capture stay in the archive.
CORPUS_SUFFIXES = (*AUDIO_SUFFIXES, ".txt", ".csv", ".tsv", ".json", ".md", ".pdf", ".html", ".doc", ".rtf", "")
LITTER = ("__MACOSX", "._*", ".DS_Store", "Thumbs.db", "desktop.ini")

# Bytes that may come out of an archive, for each of its own and at least: speech packs two to one.
RATIO, LEAST = 100, 64 << 20

_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, RuntimeError)

# Name, unpacked size in bytes, and what unpacks it below a folder.
Member = tuple[str, int, Callable[[Path], object]]


class ArchiveError(SerabError):
    """An archive that is damaged, or that must not be unpacked."""


def unpack(
    archive: Path,
    folder: Path,
    *,
    suffixes: tuple[str, ...] | None = CORPUS_SUFFIXES,
    ignored_folders: tuple[str, ...] = (),
    tell: Callable[[int], object] = lambda n_bytes: None,
) -> None:
    """Unpack a .zip or .tar archive, compressed or not.

    Parameters
    ----------
    suffixes : tuple of str, optional
        Of the files to unpack, in lower case; None for all.
    ignored_folders : tuple of str
        `fnmatch` patterns, beside what macOS and Windows add.
    tell : callable, optional
        Told the bytes written so far.

    Raises
    ------
    ArchiveError
        If it is no archive, damaged or encrypted; if a name leads out of the folder or a member of a tar is a link, a
        device or sparse; if it unpacks to more than 100 bytes for each of its own.
    """
    n_written, limit = 0, max(LEAST, RATIO * archive.stat().st_size)
    try:
        for name, size, extract in _list_members(archive):
            path = PurePosixPath(name.replace("\\", "/"))
            if ".." in path.parts or path.is_absolute() or ":" in name[:2]:
                raise _refuse(archive, f"{printable(name)[:80]} leads out of the folder")
            if any(fnmatchcase(part, each) for part in path.parts for each in (*LITTER, *ignored_folders)):
                continue
            if suffixes is not None and path.suffix.lower() not in suffixes:
                continue
            n_written += size
            if n_written > limit:
                raise _refuse(archive, f"it unpacks to more than {limit:,} bytes")
            extract(folder)
            tell(n_written)
    except _DAMAGE as error:
        raise _refuse(archive, f"damaged, or packed in an unusual way: {' '.join(printable(error).split())}") from error


def _list_members(archive: Path) -> Iterator[Member]:
    """Yield an archive's files."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                if info.flag_bits & 1:
                    raise _refuse(archive, "it is encrypted")
                if not info.is_dir():
                    yield info.filename, info.file_size, functools.partial(file.extract, info)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as file:
            for member in file:
                if member.issparse() or not (member.isreg() or member.isdir()):
                    raise _refuse(archive, f"{printable(member.name)[:80]} is a link, a device or sparse")
                if member.isreg():
                    extract = functools.partial(file.extract, member, set_attrs=False, filter="data")
                    yield member.name, member.size, extract
    else:
        raise _refuse(archive, "no .zip or .tar archive, or cut off")


def _refuse(archive: Path, reason: str) -> ArchiveError:
    return ArchiveError(
        f"{printable(archive)} is not unpacked ({reason}): fetch it again, or unpack it with another program and pack "
        "it as an ordinary .zip"
    )
