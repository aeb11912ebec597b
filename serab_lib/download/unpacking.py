"""Archives unpacked as if an enemy had packed them: nothing leaves the folder, links, or grows without bound."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from serab_lib.core import SerabError, printable
from serab_lib.corpora.corpus import AUDIO_SUFFIXES

# What a corpus is made of; programs, videos and motion capture stay in the archive.
CORPUS_SUFFIXES = (*AUDIO_SUFFIXES, ".txt", ".csv", ".tsv", ".json", ".md", ".pdf", ".html", ".doc", ".rtf", "")

_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_CHUNK = 1 << 20
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, RuntimeError, ValueError, KeyError)


class ArchiveError(SerabError):
    """An archive that is damaged, or that must not be unpacked."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may hold.

    Attributes
    ----------
    n_members : int
    largest, total : int
        Bytes of one file, and of all that is unpacked.
    ratio : int
        Bytes unpacked for each byte of the archive; speech packs two to one.
    ratio_from : int
        Bytes up to which the ratio does not matter.
    """

    n_members: int = 200_000
    largest: int = 4 << 30
    total: int = 60 << 30
    ratio: int = 100
    ratio_from: int = 64 << 20

    def allowed(self, packed: int) -> int:
        """Bytes that may come out of an archive of some size."""
        return min(self.total, max(self.ratio_from, packed * self.ratio))


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes] | None]


def unpack(
    archive: Path,
    folder: Path,
    *,
    suffixes: tuple[str, ...] | None = CORPUS_SUFFIXES,
    ignored_folders: tuple[str, ...] = (),
    limits: Limits | None = None,
    tell: Callable[[int], object] | None = None,
) -> int:
    """Unpack a .zip or .tar archive, compressed or not.

    Parameters
    ----------
    archive, folder : Path
        The folder may hold what another archive of the same corpus held.
    suffixes : tuple of str, optional
        Of the files to unpack, in lower case; None for all.
    ignored_folders : tuple of str
        Names of folders (`fnmatch` patterns) to pass over.
    limits : Limits, optional
    tell : callable, optional
        Told the bytes written so far.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    ArchiveError
        If it is no archive, damaged, encrypted or packed by an unusual method; if a name leads out of the folder, is
        there twice or cannot be printed; if a member is a link or a device; if it holds more than `limits`.
    SerabError
        If the disk is full.

    Notes
    -----
    Names that are not marked as UTF-8 are read as code page 437, of which every byte is a letter: an accent may
    come out wrong, a file name of a corpus does not. What macOS adds is left out.
    """
    limits = limits or Limits()
    try:
        return _unpack(archive, folder, suffixes, ignored_folders, limits, tell)
    except SerabError:
        raise
    except OSError as error:
        raise SerabError(
            f"{printable(archive)} cannot be unpacked into {printable(folder)} ({error.strerror or error}): "
            "free some space or choose another folder"
        ) from error
    except NotImplementedError as error:
        # What zipfile raises at a method that it does not know, such as the Deflate64 of large archives from Windows.
        raise ArchiveError(
            f"{printable(archive)} is packed in a way that is not supported here ({_write_reason(error)}): unpack it "
            "with another program and pack it as an ordinary .zip, or fetch it again if it should be one"
        ) from error
    except _DAMAGE as error:
        reason = _write_reason(error)
        raise ArchiveError(f"{printable(archive)} is damaged or cut off ({reason}): fetch it again") from error


def _write_reason(error: Exception) -> str:
    return " ".join(printable(error).split())


def read_parts(name: str, archive: str | Path = "archive") -> tuple[str, ...]:
    r"""Split the name of an archive's member, and refuse one that would lead out of the folder.

    Raises
    ------
    ArchiveError

    Examples
    --------
    >>> read_parts("AudioData\\DC/./a01.wav")
    ('AudioData', 'DC', 'a01.wav')
    """
    # Some programs for Windows pack with backslashes.
    path = name.replace("\\", "/")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    reason = ""
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        reason = "an absolute path"
    elif ".." in parts:
        reason = "a path that leads out of the folder"
    elif any(ord(char) < 32 or ord(char) == 127 for char in name):
        reason = "a name with control characters"
    elif any(len(os.fsencode(part)) > 255 for part in parts):
        reason = "a name that is too long"
    if reason:
        raise _hostile(archive, name, reason)
    return parts


def _unpack(
    archive: Path,
    folder: Path,
    suffixes: tuple[str, ...] | None,
    ignored_folders: tuple[str, ...],
    limits: Limits,
    tell: Callable[[int], object] | None,
) -> int:
    allowed, n_written = limits.allowed(archive.stat().st_size), 0
    for n_members, member in enumerate(_list_members(archive, allowed), start=1):
        if n_members > limits.n_members:
            raise _hostile(archive, member.name, f"more than {limits.n_members:,} members")
        parts = read_parts(member.name, archive)
        if member.is_folder or not parts or not _is_wanted(parts, suffixes, ignored_folders):
            continue
        if member.size > limits.largest or n_written + member.size > allowed:
            raise _hostile(archive, member.name, f"it unpacks to more than {min(limits.largest, allowed):,} bytes")
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = member.open()
        if stream is None:
            raise ArchiveError(f"{printable(archive)} is damaged or cut off: fetch it again")
        with stream, _create(target, archive, member.name) as output:
            # Neither kind of archive gives more bytes than a member's head states.
            shutil.copyfileobj(stream, output, _CHUNK)
        n_written += member.size
        if tell is not None:
            tell(n_written)
    return n_written


def _list_members(archive: Path, allowed: int) -> Iterator[_Member]:
    """Yield an archive's members, files and folders only."""
    if zipfile.is_zipfile(archive):
        yield from _list_zip(archive, allowed)
    elif tarfile.is_tarfile(archive):
        yield from _list_tar(archive)
    else:
        with archive.open("rb") as stream:
            head = stream.read(8)
        kind = "a 7-Zip or RAR archive: unpack it and pack it as .zip" if head[:2] in (b"7z", b"Ra") else ""
        raise ArchiveError(f"{printable(archive)} is {kind or 'no .zip or .tar archive, or cut off: fetch it again'}")


def _list_zip(archive: Path, allowed: int) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        declared = sum(member.file_size for member in members)
        if declared > allowed:
            raise _hostile(archive, "", f"it unpacks to {declared:,} bytes, more than the {allowed:,} allowed")
        for member in members:
            mode = stat.S_IFMT(member.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _hostile(archive, member.filename, "a link or a device")
            if member.flag_bits & 1:
                raise ArchiveError(f"{printable(archive)} is encrypted: unpack it and pack it as .zip without password")
            yield _Member(member.filename, member.file_size, member.is_dir(), lambda member=member: file.open(member))


def _list_tar(archive: Path) -> Iterator[_Member]:
    # Read from front to back once: a large compressed archive is slow to skip about in.
    with tarfile.open(archive, "r|*") as file:
        for member in file:
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise _hostile(archive, member.name, "a link or a device")
            yield _Member(member.name, member.size, member.isdir(), lambda member=member: file.extractfile(member))


def _is_wanted(parts: tuple[str, ...], suffixes: tuple[str, ...] | None, ignored_folders: tuple[str, ...]) -> bool:
    if any(part in _LITTER or part.startswith("._") for part in parts):
        return False
    if any(fnmatchcase(part, pattern) for part in parts[:-1] for pattern in ignored_folders):
        return False
    return suffixes is None or os.path.splitext(parts[-1])[1].lower() in suffixes


def _create(target: Path, archive: Path, name: str) -> IO[bytes]:
    try:
        return target.open("xb")
    except FileExistsError as error:
        raise _hostile(archive, name, "a name that is there twice") from error


def _hostile(archive: str | Path, name: str, reason: str) -> ArchiveError:
    where = f" ({printable(name)[:80]})" if name else ""
    return ArchiveError(
        f"{printable(archive)} is not unpacked: {reason}{where}; fetch it again, or unpack it by hand if you trust it"
    )
