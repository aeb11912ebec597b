from __future__ import annotations

import hashlib
import os
from pathlib import Path

from serab_lib.core import hash_files


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
