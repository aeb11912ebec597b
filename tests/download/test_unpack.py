"""Archives of an enemy: nothing outside the folder is written, nothing grows without bound."""

from __future__ import annotations

import io
import os
import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from archives import Members, make_wav, write_tar, write_zip

from serab_lib.core import SerabError
from serab_lib.download import transfer
from serab_lib.download.transfer import ArchiveError, unpack

WAV = make_wav("x")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """The folder to unpack into, in another one in which anything new is an escape."""
    (tmp_path / "data" / "room").mkdir(parents=True)
    (tmp_path / "data" / "secret.wav").write_bytes(b"mine")
    return tmp_path / "data" / "room"


def pack(tmp_path: Path, members: Members, kind: str) -> Path:
    path = tmp_path / f"archive.{kind}"
    return write_zip(path, members, method=zipfile.ZIP_DEFLATED) if kind == "zip" else write_tar(path, members)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize(
    "name",
    ["../escaped.wav", "a/../../escaped.wav", "{tmp_path}/escaped.wav", "\\escaped.wav", "..\\x.wav", "C:\\x.wav"],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, room: Path, kind: str, name: str) -> None:
    archive = pack(tmp_path, {"good.wav": WAV, name.replace("{tmp_path}", str(tmp_path)): WAV}, kind)
    with pytest.raises(ArchiveError, match=r"is not unpacked .*leads out of the folder"):
        unpack(archive, room)
    assert files(tmp_path) == {archive.name, "data/room/good.wav", "data/secret.wav"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, room: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.wav")
        info.type, info.linkname = kind, "../secret.wav"
        archive.addfile(info)
    with pytest.raises(ArchiveError, match="a link, a device"):
        unpack(tmp_path / "a.tar", room)
    assert os.listdir(room) == []


def test_a_sparse_member_of_a_tar_is_refused(tmp_path: Path, room: Path) -> None:
    """Three blocks that promise a file of 50 MB, most of which is a hole."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.wav")
        info.size = len(WAV)
        info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "a.wav"}
        info.pax_headers |= {"GNU.sparse.size": str(50_000_000), "GNU.sparse.map": f"0,{len(WAV)}"}
        archive.addfile(info, io.BytesIO(WAV))
    with pytest.raises(ArchiveError, match="sparse"):
        unpack(tmp_path / "a.tar", room)
    assert os.listdir(room) == []


def test_no_link_and_no_program_comes_out_of_a_zip(tmp_path: Path, room: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, mode in (("a.wav", stat.S_IFLNK | 0o777), ("run.txt", 0o104777)):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "../secret.wav")
    unpack(tmp_path / "a.zip", room)
    assert not (room / "a.wav").is_symlink() and (room / "a.wav").read_text() == "../secret.wav"
    assert not os.access(room / "run.txt", os.X_OK)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_are_refused(tmp_path: Path, room: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LEAST", 1 << 20)
    zeros = {f"{number}.wav": bytes(1 << 19) for number in range(8)}
    archive = pack(tmp_path, zeros, kind)
    limit = max(1 << 20, 100 * archive.stat().st_size)
    with pytest.raises(ArchiveError, match=f"unpacks to more than {limit:,} bytes"):
        unpack(archive, room)
    assert sum(path.stat().st_size for path in room.rglob("*")) <= limit
    unpack(write_tar(tmp_path / "honest.tar", zeros, mode="w"), room)


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path: Path, room: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.wav": bytes(100_000)}, method=zipfile.ZIP_DEFLATED)
    lie = path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(lie)
    with pytest.raises(ArchiveError):
        unpack(path, room)
    assert sum(each.stat().st_size for each in room.rglob("*")) <= 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(b"PK\1\2", 8, 1)], "encrypted"),
        # Windows packs large folders with Deflate64 (method 9): to fetch such an archive again would not help.
        ([(b"PK\3\4", 8, 9), (b"PK\1\2", 10, 9)], "unusual way: .*compression.*: .*unpack it with another program"),
    ],
)
def test_what_other_programs_can_unpack_is_not_called_damage(
    tmp_path: Path, room: Path, changes: list[tuple[bytes, int, int]], message: str
) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.wav": WAV})
    content = bytearray(path.read_bytes())
    for head, offset, value in changes:
        content[content.index(head) + offset] = value
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=message):
        unpack(path, room)


@pytest.mark.parametrize("content", [b"", b"Rar!\x1a\x07", b"PK\3\4 cut off", b"\x1f\x8b cut"])
def test_what_is_no_archive_is_refused(tmp_path: Path, room: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"no \.zip or \.tar archive|damaged"):
        unpack(tmp_path / "a.zip", room)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_damage_anywhere_ends_in_one_line(tmp_path: Path, kind: str) -> None:
    """Bytes changed at random, and cut off: an error in one line or files with their names, nothing else."""
    generator = random.Random(0)
    archive = pack(tmp_path, {f"f/{i}.wav": make_wav(str(i)) for i in range(8)}, kind)
    whole = archive.read_bytes()
    for number in range(40):
        content = bytearray(whole)
        for _ in range(generator.choice((1, 3, 30))):
            content[generator.randrange(len(content))] = generator.randrange(256)
        archive.write_bytes(content[: generator.choice((len(content), generator.randrange(len(content))))])
        room = tmp_path / "data" / str(number)
        try:
            unpack(archive, room)
        except SerabError as error:
            assert "\n" not in str(error)
        except OSError:
            pass  # a name that this file system does not take; `fetch` says so in a line
    assert set(os.listdir(tmp_path)) == {archive.name, "data"}


def test_what_a_corpus_does_not_need_stays_in_the_archive(tmp_path: Path, room: Path) -> None:
    names = ["a.wav", "b.WAV", "r.txt", "README", "x.exe", "x.avi", "MOCAP_hand/c.wav", "__MACOSX/a.wav", "._a.wav"]
    archive = write_zip(tmp_path / "a.zip", {name: make_wav(name) for name in names})
    unpack(archive, room, ignored_folders=("MOCAP*",))
    assert files(room) == {"a.wav", "b.WAV", "r.txt", "README"}


def test_names_that_are_not_utf8(tmp_path: Path, room: Path) -> None:
    names = ["Colère/1.wav".encode(codec) for codec in ("cp850", "latin-1")]
    unpack(write_zip(tmp_path / "a.zip", {name: make_wav(repr(name)) for name in names}), room)
    assert "Colère/1.wav" in files(room) and len(files(room)) == 2
