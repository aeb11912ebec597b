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
from serab_lib.download.unpacking import ArchiveError, Limits, read_parts, unpack

WAV = make_wav("x")


def snapshot(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


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
    if kind == "zip":
        return write_zip(path, members)
    return write_tar(path, members, mode="w:gz" if kind == "tar.gz" else "w")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    "name",
    [
        "../escaped.wav",
        "a/../../escaped.wav",
        "{tmp_path}/escaped.wav",
        "\\escaped.wav",
        "..\\escaped.wav",
        "C:\\escaped.wav",
        "c:/escaped.wav",
        "a/b\n.wav",
        "a\x1b[2Jb.wav",
        "a" * 252 + ".wav",
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, room: Path, kind: str, name: str) -> None:
    archive = pack(tmp_path, {"good.wav": WAV, name.replace("{tmp_path}", str(tmp_path)): WAV}, kind)
    with pytest.raises(ArchiveError, match="is not unpacked") as caught:
        unpack(archive, room)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    assert snapshot(tmp_path) <= {archive.name, "data", "data/room", "data/room/good.wav", "data/secret.wav"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, room: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.wav")
        info.type, info.linkname = kind, "../secret.wav"
        archive.addfile(info)
        through = tarfile.TarInfo("a.wav/b.wav")
        through.size = len(WAV)
        archive.addfile(through, io.BytesIO(WAV))
    with pytest.raises(ArchiveError, match="a link or a device"):
        unpack(tmp_path / "a.tar", room)
    assert snapshot(room) == set()


def test_links_in_a_zip_are_refused(tmp_path: Path, room: Path) -> None:
    info = zipfile.ZipInfo("a.wav")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "../secret.wav")
    with pytest.raises(ArchiveError, match="a link or a device"):
        unpack(tmp_path / "a.zip", room)
    assert snapshot(room) == set()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_are_refused(tmp_path: Path, room: Path, kind: str) -> None:
    zeros = {f"{number}.wav": bytes(10 << 20) for number in range(8)}
    if kind == "zip":
        archive = write_zip(tmp_path / "a.zip", zeros, method=zipfile.ZIP_DEFLATED)
    else:
        archive = write_tar(tmp_path / "a.tar.gz", zeros)
    with pytest.raises(ArchiveError, match="unpacks to"):
        unpack(archive, room)
    n_written = sum(path.stat().st_size for path in room.rglob("*"))
    assert n_written == 0 if kind == "zip" else n_written <= 64 << 20


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("limits", [Limits(largest=100), Limits(total=2_000), Limits(n_members=5)])
def test_each_limit_holds(tmp_path: Path, room: Path, kind: str, limits: Limits) -> None:
    archive = pack(tmp_path, {f"{i}.wav": make_wav(str(i), duration_s=0.01) for i in range(20)}, kind)
    with pytest.raises(ArchiveError, match=r"unpacks to|more than 5 members"):
        unpack(archive, room, limits=limits)


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path: Path, room: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.wav": bytes(100_000)}, method=zipfile.ZIP_DEFLATED)
    lie = path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(lie)
    with pytest.raises(ArchiveError):
        unpack(path, room)
    assert sum(each.stat().st_size for each in room.rglob("*")) <= 10


def test_one_name_twice_is_refused(tmp_path: Path, room: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"a/b.wav": WAV, "a/./b.wav": WAV}, mode="w")
    with pytest.raises(ArchiveError, match="there twice"):
        unpack(archive, room)


def test_an_encrypted_zip_says_so(tmp_path: Path, room: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.wav": WAV})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="encrypted"):
        unpack(path, room)


def test_an_unusual_method_is_not_called_damage(tmp_path: Path, room: Path) -> None:
    """Windows packs large folders with Deflate64 (method 9): to fetch such an archive again would not help."""
    path = write_zip(tmp_path / "a.zip", {"a.wav": WAV})
    content = bytearray(path.read_bytes())
    for head, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        content[content.index(head) + offset] = 9
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a\.zip is packed .*compression.*: unpack it with another program"):
        unpack(path, room)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"7z\xbc\xaf'\x1c", b"Rar!\x1a\x07", b"PK\3\4 cut off", b"\x1f\x8b cut"]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, room: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError) as caught:
        unpack(tmp_path / "a.zip", room)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
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
    assert snapshot(tmp_path / "data").isdisjoint({"..", "f"})
    assert {path.name for path in tmp_path.iterdir()} == {archive.name, "data"}


def test_only_what_a_corpus_is_made_of_is_unpacked(tmp_path: Path, room: Path) -> None:
    names = ["a.wav", "b.WAV", "r.txt", "README", "x.exe", "x.avi", "MOCAP_hand/c.wav", "__MACOSX/a.wav", "._a.wav"]
    archive = write_zip(tmp_path / "a.zip", {name: make_wav(name) for name in names})
    unpack(archive, room, ignored_folders=("MOCAP*",))
    assert files(room) == {"a.wav", "b.WAV", "r.txt", "README"}


def test_no_file_becomes_a_program(tmp_path: Path, room: Path) -> None:
    info = zipfile.ZipInfo("run.txt")
    info.external_attr = 0o104777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "x")
    unpack(tmp_path / "a.zip", room)
    assert not os.access(room / "run.txt", os.X_OK)


def test_names_that_are_not_utf8(tmp_path: Path, room: Path) -> None:
    names = [f"Col{accent}re/1.wav".encode(codec) for codec, accent in (("cp850", "è"), ("latin-1", "è"))]
    unpack(write_zip(tmp_path / "a.zip", {name: make_wav(repr(name)) for name in names}), room)
    assert "Colère/1.wav" in files(room) and len(files(room)) == 2
    for name in files(room):
        name.encode()


def test_parts_of_harmless_names() -> None:
    assert read_parts("a//b/./c d (1).wav") == ("a", "b", "c d (1).wav")
    assert read_parts("f..o/b..wav") == ("f..o", "b..wav")
