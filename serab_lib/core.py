"""What everything stands on: errors that end in a remedy, files written whole, folders of caches, content hashes."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import errno
import functools
import hashlib
import json
import logging
import os
import re
import tempfile
import time
import tomllib
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import platformdirs

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


class SerabError(Exception):
    """The work failed for a reason the user can see and mend; the message is one line."""


class UnknownNameError(SerabError):
    """A task, an extractor or an option that does not exist."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, listing: str) -> UnknownNameError:
    """An error that names the nearest known names, and the command that lists them all."""
    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(folded[match] for match in near)}? " if near else ""
    return UnknownNameError(f"there is no {kind} {name!r}: {hint}`{listing}` lists them all")


def printable(text: str | Path) -> str:
    """Write a path so that it prints on one line, even where a name in it is not valid UTF-8."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text))


def read_toml(path: Path, kind: Any) -> Any:
    """Read a TOML file as a record; a key that is missing, unknown or of the wrong kind is named in one line.

    The kind is a dataclass, whose fields are the file's keys, or a mapping such as ``dict[str, Model]``. Fields may be
    str, bool, int, float, tuples, mappings by str, dataclasses, one of these or None, and Any, which is left as it is.
    """
    try:
        return _convert(tomllib.loads(path.read_text(encoding="utf-8")), kind, "")
    except (OSError, ValueError, SerabError) as error:
        reason = str(getattr(error, "strerror", None) or error).replace("\n", " ")
        raise SerabError(f"{printable(path)} cannot be used: {reason}") from error


def _convert(value: Any, kind: Any, key: str) -> Any:
    """Make a TOML value, found under a key, what a record's field is declared to be."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return _convert(value, parts[0], key)
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _make_record(value, kind, key)
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {name: _convert(part, parts[1], f"{key}.{name}") for name, part in value.items()}
    if origin is tuple and isinstance(value, list):
        kinds = parts[:1] * len(value) if parts[-1] is ... else parts
        if len(kinds) == len(value):
            return tuple(_convert(part, kind, key) for part, kind in zip(value, kinds, strict=True))
    if origin is typing.Literal and value in parts:
        return value
    if kind is Any or type(value) is kind or (kind is float and type(value) is int):
        return value
    names = {str: "text", bool: "true or false", int: "a whole number", float: "a number", tuple: "a list"}
    expected = " or ".join(filter(None, parts)) if origin is typing.Literal else names.get(origin or kind, "a table")
    if origin is tuple and ... not in parts:
        expected += f" of {len(parts)}"
    raise SerabError(f"key {key.lstrip('.')} is {value!r}, expected {expected}")


_read_hints = functools.cache(typing.get_type_hints)


def _make_record(table: dict[str, Any], kind: Any, key: str) -> Any:
    """Make a dataclass of a TOML table."""
    kinds = _read_hints(kind)
    place = f" in {key.lstrip('.')}" if key else ""
    if unknown := sorted(set(table) - set(kinds)):
        raise SerabError(f"unknown key {', '.join(unknown)}{place}; known are {', '.join(sorted(kinds))}")
    needed = [each.name for each in dataclasses.fields(kind) if each.default is each.default_factory]
    if missing := [name for name in needed if name not in table]:
        raise SerabError(f"key {', '.join(missing)} is missing{place}")
    return kind(**{name: _convert(value, kinds[name], f"{key}.{name}") for name, value in table.items()})


def find_folder(name: str, chosen: str | Path | None = None) -> Path:
    """Folder of `data`, `weights` or `cache`: the one given, else SERAB_DATA and so on, else one of the user's."""
    chosen = chosen or os.environ.get(f"SERAB_{name.upper()}")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("serab")) / name


def cache_folder(cache: str | Path | None = None) -> Path:
    """Folder of caches: the argument, SERAB_CACHE, or the user's cache folder."""
    return find_folder("cache", cache)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Write a file beside its place and move it there only when it is whole; what was there stays otherwise."""
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
    """Delete the temporary files of `replaced` that a killed run left; younger ones may still be written."""
    newest = time.time() - older_than_s
    for file in folder.glob(".*"):
        if re.fullmatch(r"\..+\.[0-9a-f]{32}", file.name):
            with contextlib.suppress(OSError):
                if file.stat().st_mtime <= newest:
                    file.unlink()


def require_writable(folder: Path, option: str) -> None:
    """Refuse a folder that results could not be written to, before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SerabError(
            f"{folder} cannot be written to ({error.strerror or error}): choose another folder with {option}"
        ) from error


logger = logging.getLogger(__name__)


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Name the file that the system does not let be read: a drive that dropped out is no bad recording."""
    try:
        yield
    except OSError as error:
        advice = {errno.EACCES: "check its permissions", errno.ENOENT: "see that it is there"}.get(
            error.errno, "the disk or network drive failed: once it is back, the same command goes on"
        )
        raise SerabError(f"{printable(path)} cannot be read ({error.strerror or error}): {advice}") from error


# What a file with the name of a recording may hold in place of one, by its first bytes, and what to do.
_NO_AUDIO = {
    b"version https://git-lfs": "a Git LFS pointer in place of the audio: run `git lfs pull`, or, where its quota is "
    "used up, take a mirror (of CREMA-D, gitlab.com/cs-cooper-lab/crema-d-mirror)",
    rb"\s*<(!doctype|html|\?xml)": "a web page in place of the audio: the download failed, fetch it again",
    b"\x1f\x8b|PK\x03\x04": "an archive (gzip or zip): unpack it",
    b".{4}ftyp|\xff[\xf0\xf1\xf8\xf9]": "AAC, whatever its name says: convert it to .wav or .flac",
    b"$": "an empty file: fetch it again",
}


def explain_no_audio(path: str | Path) -> str | None:
    """Say what a file that does not decode is instead; None where that is not known. SerabError if it is unreadable."""
    with reading(path), open(path, "rb") as file:
        head = file.read(64)
        while file.read(1 << 20):  # the drive may fail further on, which decoders take for the file's end
            pass
    return next((what for bytes_, what in _NO_AUDIO.items() if re.match(bytes_, head, re.I | re.S)), None)


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with reading(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(paths: Sequence[str | Path], *, cache: Path, hasher: Callable[[str], str] = hash_file) -> list[str]:
    """SHA-256 of files by content, remembered in a folder of caches by path, size and time of change."""
    paths = [os.path.abspath(path) for path in paths]
    if not paths:
        return []
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    memory_path = cache / "fingerprints" / f"{digest([folder])[:16]}.json"
    memory = _read_memory(memory_path)
    keys = [_key(path, hasher) for path in paths]
    unknown = {key: path for key, path in zip(keys, paths, strict=True) if key not in memory}
    with ThreadPoolExecutor() as pool:
        memory |= zip(unknown, pool.map(hasher, unknown.values()), strict=True)
    if unknown:
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
    with reading(path):
        status = os.stat(path)
    what = "" if hasher is hash_file else f"|{hasher.__name__}"
    return f"{path}|{status.st_size}|{status.st_mtime_ns}{what}"


def _read_memory(path: Path) -> dict[str, str]:
    try:
        return {key: value for key, value in json.loads(path.read_text()).items() if len(value) in (0, 32, 40, 64)}
    except (OSError, AttributeError, TypeError, ValueError):  # not there, or damaged: made anew
        return {}
