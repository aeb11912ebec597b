"""Files are written whole, hashes are remembered, an unknown name has near ones."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from serab_lib.core import SerabError, hash_files, replaced, require_writable


@pytest.fixture(autouse=True)
def _new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process has hashed: only the memory on disk counts."""


def test_hashes_are_those_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    assert hash_files([tmp_path / "a"], cache=tmp_path / "c") == [hashlib.sha256(b"one").hexdigest()]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    (before,) = hash_files([file], cache=tmp_path / "c")
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    (after,) = hash_files([file], cache=tmp_path / "c")
    assert before != after


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    expected = hash_files([file], cache=tmp_path / "c")
    status = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert hash_files([file], cache=tmp_path / "c") == expected


def test_a_damaged_memory_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"one")
    expected = hash_files([file], cache=tmp_path / "c")
    (memory,) = (tmp_path / "c" / "fingerprints").iterdir()
    memory.write_text("{broken")
    assert hash_files([file], cache=tmp_path / "c") == expected


def test_a_failed_write_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(SerabError, match="No space left"), replaced(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(KeyboardInterrupt), replaced(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SerabError, match="choose another folder with --out"):
        require_writable(tmp_path / "out" / "below", "--out")


def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with replaced(tmp_path / "file") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode
