"""Files are written whole, hashes are remembered, an unknown name has near ones."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from serab_lib.core import SerabError, hash_files, replaced, require_writable


def hash_anew(file: Path, content: bytes, stamp: int, cache: Path) -> str:
    """Hash what a file holds at a time."""
    file.write_bytes(content)
    os.utime(file, ns=(stamp, stamp))
    return hash_files([file], cache=cache)[0]


def test_a_file_is_hashed_anew_only_where_it_or_the_memory_has_changed(tmp_path: Path) -> None:
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"one", b"two"))
    file, cache = tmp_path / "a", tmp_path / "c"
    assert hash_anew(file, b"one", 1, cache) == one
    assert hash_anew(file, b"two", 1, cache) == one, "by its time and size it is the same"
    assert hash_anew(file, b"two", 2, cache) == two
    (memory,) = (cache / "fingerprints").iterdir()
    memory.write_text("{broken")
    assert hash_anew(file, b"one", 2, cache) == one


@pytest.mark.parametrize(
    ("problem", "error"),
    [(OSError(errno.ENOSPC, "No space left on device"), SerabError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_failed_write_keeps_what_was_there(tmp_path: Path, problem: BaseException, error: type) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error, match=r"No space left|^$"), replaced(path) as temporary:
        temporary.write_text("half")
        raise problem
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SerabError, match="choose another folder with --out"):
        require_writable(tmp_path / "out" / "below", "--out")


def test_written_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with replaced(tmp_path / "file") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode
