import errno
import hashlib
import os

import pytest

from serab_lib.core import SerabError, hash_files, replaced, require_writable


def test_a_file_is_hashed_anew_only_where_it_or_the_memory_has_changed(tmp_path):
    one, two = b"one", b"two"
    # By its time and size the second is the same as the first.
    for content, time_ns, hashed in ((one, 1, one), (two, 1, one), (two, 2, two), (one, 2, one)):
        if (content, time_ns) == (one, 2):
            (memory,) = (tmp_path / "cache" / "fingerprints").iterdir()
            memory.write_text("{broken")
        (tmp_path / "a").write_bytes(content)
        os.utime(tmp_path / "a", ns=(time_ns, time_ns))
        assert hash_files([tmp_path / "a"], cache=tmp_path / "cache") == [hashlib.sha256(hashed).hexdigest()]


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_keeps_what_was_there(tmp_path, problem):
    path = tmp_path / "file"
    path.write_text("old")
    error = SerabError if isinstance(problem, OSError) else KeyboardInterrupt
    with pytest.raises(error, match=r"No space left|^$"), replaced(path) as temporary:
        temporary.write_text("half")
        raise problem
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_have_the_usual_permissions_and_one_in_the_way_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SerabError, match="choose another folder with --out"):
        require_writable(tmp_path / "out" / "below", "--out")
    (tmp_path / "usual").touch()
    with replaced(tmp_path / "file") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode
