"""Content hashes of files, remembered by size and time of change so that nothing is read twice."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serab_lib.errors import SerabError
from serab_lib.storage import replaced

logger = logging.getLogger(__name__)

# What this process has hashed already, for folders of caches that cannot be written.
_hashed: dict[str, str] = {}


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(paths: Sequence[str | Path], *, cache: Path, hasher: Callable[[str], str] = hash_file) -> list[str]:
    """Hash files by content.

    Parameters
    ----------
    paths : sequence of str or Path
    cache : Path
        Folder of caches; hashes are remembered in `fingerprints/` there, by path, size and time of change,
        where it can be written.
    hasher : callable
        What hashes one file.

    Returns
    -------
    list of str
        One per file, hexadecimal.

    Raises
    ------
    SerabError
        If a file cannot be read.
    """
    paths = [os.path.abspath(path) for path in paths]
    if not paths:
        return []
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    memory_path = cache / "fingerprints" / f"{digest([folder])[:16]}.json"
    memory = _read_memory(memory_path)
    try:
        keys = [_key(path, hasher) for path in paths]
        unknown = [i for i, key in enumerate(keys) if key not in memory and key not in _hashed]
        with ThreadPoolExecutor() as pool:
            hashes = pool.map(hasher, [paths[i] for i in unknown])
            _hashed.update({keys[i]: value for i, value in zip(unknown, hashes, strict=True)})
    except OSError as error:
        raise SerabError(f"{error.filename} cannot be read ({error.strerror}): check its permissions") from error
    if fresh := {key: _hashed[key] for key in keys if key not in memory}:
        memory |= fresh
        try:
            with replaced(memory_path) as temporary:
                temporary.write_text(json.dumps(memory))
        except SerabError as error:
            logger.debug("hashes are not remembered: %s", error)
    return [memory[key] for key in keys]


def digest(texts: Iterable[str]) -> str:
    """SHA-256 of some texts in their order, hexadecimal."""
    result = hashlib.sha256()
    for text in texts:
        result.update(f"{len(text)}:{text}".encode(errors="surrogateescape"))
    return result.hexdigest()


def _key(path: str, hasher: Callable[[str], str]) -> str:
    status = os.stat(path)
    what = "" if hasher is hash_file else f"|{hasher.__name__}"
    return f"{path}|{status.st_size}|{status.st_mtime_ns}{what}"


def _read_memory(path: Path) -> dict[str, str]:
    try:
        memory = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError):
        logger.warning("%s is damaged and is made anew", path)
        return {}
    if not isinstance(memory, dict):
        return {}
    return {key: value for key, value in memory.items() if isinstance(value, str) and len(value) in (0, 32, 64)}
