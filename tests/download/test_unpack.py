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
both_kinds = pytest.mark.parametrize("kind", ["zip", "tar.gz"])


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """The folder to unpack into, in another one in which anything new is an escape."""
    (tmp_path / "data" / "room").mkdir(parents=True)
    (tmp_path / "data" / "secret.wav").write_bytes(b"mine")
    return tmp_path / "data" / "room"


def pack(tmp_path: Path, members: Members, kind: str = "zip") -> Path:
    path = tmp_path / f"archive.{kind}"
    return write_zip(path, members, method=zipfile.ZIP_DEFLATED) if kind == "zip" else write_tar(path, members)


def refuse(archive: Path, room: Path, match: str) -> int:
    """Expect an error; return how many bytes have come out of the archive."""
    with pytest.raises(ArchiveError, match=match):
        unpack(archive, room)
    return sum(path.stat().st_size for path in room.rglob("*"))


@both_kinds
@pytest.mark.parametrize("name", ["../x.wav", "a/../../x.wav", "{tmp_path}/x.wav", "\\x.wav", "..\\x.wav", "C:\\x.wav"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, room, kind, name):
    archive = pack(tmp_path, {"good.wav": WAV, name.replace("{tmp_path}", str(tmp_path)): WAV}, kind)
    refuse(archive, room, r"is not unpacked .*leads out of the folder")
    assert files(tmp_path) == {archive.name, "data/room/good.wav", "data/secret.wav"}


# Three blocks that promise a file of 50 MB, most of which is a hole.
SPARSE = {"major": "0", "minor": "1", "name": "a.wav", "size": "50000000", "map": f"0,{len(WAV)}"}


@pytest.mark.parametrize("kind", ["SYMTYPE", "LNKTYPE", "CHRTYPE", "FIFOTYPE", "REGTYPE"])
def test_links_devices_and_sparse_files_in_a_tar_are_refused(tmp_path, room, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.wav")
        if kind == "REGTYPE":
            info.size, info.pax_headers = len(WAV), {f"GNU.sparse.{name}": value for name, value in SPARSE.items()}
        else:
            info.type, info.linkname = getattr(tarfile, kind), "../secret.wav"
        archive.addfile(info, io.BytesIO(WAV))
    refuse(tmp_path / "a.tar", room, "sparse" if kind == "REGTYPE" else "a link, a device")
    assert os.listdir(room) == []


def test_no_link_and_no_program_comes_out_of_a_zip(tmp_path, room):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, mode in (("a.wav", stat.S_IFLNK | 0o777), ("run.txt", 0o104777)):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "../secret.wav")
    unpack(tmp_path / "a.zip", room)
    assert not (room / "a.wav").is_symlink() and (room / "a.wav").read_text() == "../secret.wav"
    assert not os.access(room / "run.txt", os.X_OK)


@both_kinds
def test_bombs_are_refused(tmp_path, room, kind, monkeypatch):
    monkeypatch.setattr(transfer, "LEAST", 1 << 20)
    zeros = {f"{number}.wav": bytes(1 << 19) for number in range(8)}
    archive = pack(tmp_path, zeros, kind)
    limit = max(1 << 20, 100 * archive.stat().st_size)
    assert refuse(archive, room, f"unpacks to more than {limit:,} bytes") <= limit
    unpack(write_tar(tmp_path / "honest.tar", zeros, mode="w"), room)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # It lies about its sizes.
        ([(b"PK\3\4", 22, 10), (b"PK\1\2", 24, 10)], "damaged"),
        ([(b"PK\1\2", 8, 1)], "encrypted"),
        # Windows packs large folders with Deflate64 (method 9): to fetch such an archive again would not help.
        ([(b"PK\3\4", 8, 9), (b"PK\1\2", 10, 9)], "unusual way: .*compression.*: .*unpack it with another program"),
    ],
)
def test_damage_and_what_other_programs_can_unpack_are_told_apart(tmp_path, room, changes, message):
    path = pack(tmp_path, {"a.wav": bytes(100)})
    content = bytearray(path.read_bytes())
    for head, offset, value in changes:
        content[content.index(head) + offset] = value
    path.write_bytes(content)
    assert refuse(path, room, message) <= 10


@pytest.mark.parametrize("content", [b"", b"Rar!\x1a\x07", b"PK\3\4 cut off", b"\x1f\x8b cut"])
def test_what_is_no_archive_is_refused(tmp_path, room, content):
    (tmp_path / "a.zip").write_bytes(content)
    refuse(tmp_path / "a.zip", room, r"no \.zip or \.tar archive|damaged")


@both_kinds
def test_damage_anywhere_ends_in_one_line(tmp_path, kind):
    generator = random.Random(0)
    archive = pack(tmp_path, {f"f/{i}.wav": make_wav(str(i)) for i in range(8)}, kind)
    whole = archive.read_bytes()
    for number in range(40):
        content = bytearray(whole)
        for _ in range(generator.choice((1, 3, 30))):
            content[generator.randrange(len(content))] = generator.randrange(256)
        archive.write_bytes(content[: generator.choice((len(content), generator.randrange(len(content))))])
        try:
            unpack(archive, tmp_path / "data" / str(number))
        except SerabError as error:
            assert "\n" not in str(error)
        except OSError:
            pass  # a name that this file system does not take; `fetch` says so in a line
    assert set(os.listdir(tmp_path)) == {archive.name, "data"}


def test_what_a_corpus_needs_comes_out_whatever_its_name_is_written_in(tmp_path, room):
    names = ["a.wav", "b.WAV", "r.txt", "README", "x.exe", "x.avi", "MOCAP_hand/c.wav", "__MACOSX/a.wav", "._a.wav"]
    unpack(pack(tmp_path, {name: make_wav(name) for name in names}), room, ignored_folders=("MOCAP*",))
    assert files(room) == {"a.wav", "b.WAV", "r.txt", "README"}
    names = ["Colère/1.wav".encode(codec) for codec in ("cp850", "latin-1")]
    unpack(write_zip(tmp_path / "a.zip", {name: make_wav(repr(name)) for name in names}), room)
    assert "Colère/1.wav" in files(room) and len(files(room)) == 4 + 2
