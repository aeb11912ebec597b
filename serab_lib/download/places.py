"""Where a download is put together: a hidden folder beside its place, one process at a time, with room enough."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

from serab_lib.core import SerabError, printable

STAGING = ".fetch"
_SPARE = 200_000_000


@contextlib.contextmanager
def staged(root: Path, name: str) -> Iterator[Path]:
    """Yield a folder of one's own to download and unpack into, on the disk of the place itself.

    Parameters
    ----------
    root : Path
        Folder of the corpora or of the checkpoints.
    name : str
        What is fetched.

    Yields
    ------
    Path
        A folder that is kept, with what it holds, until `clear` removes it: the next attempt goes on from there.
        An empty one is not kept.

    Raises
    ------
    SerabError
        If another process fetches the same, or the folder cannot be written to.
    """
    folder = root / STAGING / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(root / STAGING / f"{name}.lock", timeout=0):
            try:
                yield folder
            finally:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    clear(folder)
    except filelock.Timeout as error:
        raise SerabError(f"{name} is being fetched into {printable(root)} by another process: wait for it") from error
    except OSError as error:
        raise SerabError(
            f"{printable(error.filename or folder)} cannot be written ({error.strerror or error}): free some space, "
            "or choose another folder with --to; what came in is kept"
        ) from error


def clear(folder: Path) -> None:
    """Remove a folder that `staged` gave, and the one that holds them when it is empty of others."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        others = [entry for entry in os.listdir(folder.parent) if not entry.endswith(".lock")]
        if not others:
            shutil.rmtree(folder.parent, ignore_errors=True)


def require_space(folder: Path, n_bytes: int, what: str) -> None:
    """Refuse to begin what the disk has no room for.

    Raises
    ------
    SerabError
        With what is needed and what is free.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes + _SPARE:
        raise SerabError(
            f"{what} needs {write_size(n_bytes + _SPARE)} in {printable(folder)}, where {write_size(free)} are free: "
            "free some space or choose another folder with --to"
        )


def write_size(n_bytes: int | None) -> str:
    """Write a number of bytes for people.

    Examples
    --------
    >>> write_size(208_468_073), write_size(1_664_512_929), write_size(900), write_size(None)
    ('208 MB', '1.7 GB', '1 kB', 'unknown size')
    """
    if n_bytes is None:
        return "unknown size"
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.1f} GB"
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes >= 1e6 else f"{max(1, round(n_bytes / 1e3))} kB"
