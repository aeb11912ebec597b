"""Files written whole or not at all, and the folder of caches."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from serab_lib.errors import SerabError


def cache_folder(cache: str | Path | None = None) -> Path:
    """Folder of caches: the argument, SERAB_CACHE, or the user's cache folder."""
    chosen = cache or os.environ.get("SERAB_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("serab")) / "cache"


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Write a file beside its place and move it there only when it is whole.

    Parameters
    ----------
    path : Path
        Where the file shall be; its folder is made if need be.

    Yields
    ------
    Path
        A temporary file in the same folder, to be written.

    Raises
    ------
    SerabError
        If the folder cannot be made or written, or the disk is full. What was at `path` stays.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Made with the permissions of any new file, which those of `tempfile` are not.
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        temporary.touch()
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise SerabError(
            f"{path} cannot be written ({error.strerror or error}): free some space or choose another folder; "
            "what was finished before is kept"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, *, older_than_s: float = 86_400.0) -> None:
    """Delete the temporary files of `replaced` that a killed run left in a folder.

    Parameters
    ----------
    folder : Path
    older_than_s : float
        Seconds since the last change; younger files may belong to a run that is still writing.
    """
    newest = time.time() - older_than_s
    for file in folder.glob(".*"):
        suffix = file.suffix.removeprefix(".")
        if len(suffix) == 32 and set(suffix) <= set("0123456789abcdef"):
            with contextlib.suppress(OSError):
                if file.stat().st_mtime <= newest:
                    file.unlink()


def require_writable(folder: Path, option: str) -> None:
    """Refuse a folder that results could not be written to, before any work is done.

    Raises
    ------
    SerabError
        Naming the option that chose the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SerabError(
            f"{folder} cannot be written to ({error.strerror or error}): choose another folder with {option}"
        ) from error
