"""The corpora's archives as they are delivered: real names and folders, noise in place of speech."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from serab_lib.corpora.corpus import read_manifest

# Content by name; a name of bytes goes into a .zip as it is, not marked as UTF-8.
Members = dict[str | bytes, bytes]


def make_wav(seed: str, *, rate_hz: int = 16_000, n_channels: int = 1, duration_s: float = 0.003) -> bytes:
    """Noise that depends on the seed, as 16-bit PCM."""
    n_frames = round(rate_hz * duration_s)
    samples = hashlib.shake_256(seed.encode()).digest(2 * n_channels * n_frames)
    width = 2 * n_channels
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, n_channels,
                       rate_hz, rate_hz * width, width, 16)  # fmt: skip
    return head + struct.pack("<4sI", b"data", len(samples)) + samples


def write_zip(path: Path, members: Members, *, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name) if isinstance(name, str) else _RawName(name.hex())
            info.compress_type = method
            archive.writestr(info, content)
    return path


class _RawName(zipfile.ZipInfo):
    """A member whose name is written byte for byte (from its hexadecimal form), without the mark of UTF-8."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return bytes.fromhex(self.filename), self.flag_bits & ~0x800


def write_tar(path: Path, members: Members, *, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode, compresslevel=1) if mode == "w:gz" else tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(str(name))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def litter(folders: Iterable[str]) -> Members:
    """What macOS adds to an archive."""
    made: Members = {}
    for folder in folders:
        made[f"__MACOSX/{folder}/._x.wav"] = b"\0\5\26\7Mac OS X"
        made[f"{folder}/.DS_Store"] = b"Bud1"
        made[f"{folder}/._a.wav"] = b"\0\5\26\7Mac OS X"
    return made


def build(name: str, folder: Path) -> list[Path]:
    """Write a corpus's archives as they come from its official source."""
    return list(BUILDERS[name](folder))


def _recordings(name: str, **changes: int) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Each recording of a manifest (as `read_manifest` gives it in the test), at its real rate."""
    for row in read_manifest(f"{name}.csv").itertuples():
        path = PurePosixPath(row.file)
        options = {"rate_hz": int(row.sample_rate or 44_100)} | changes
        yield path, make_wav(path.stem, **options)


def _aesdd(folder: Path) -> Iterator[Path]:
    top = "Acted Emotional Speech Dynamic Database"
    members: Members = {f"{top}/{path}": wav for path, wav in _recordings("aesdd")}
    # Broken as released: the head only.
    members[f"{top}/sadness/s05 (3).wav"] = make_wav("x")[:36]
    yield write_zip(folder / f"{top}.zip", members | litter([top, f"{top}/anger"]))


def _cafe(folder: Path, encoding: str = "cp850") -> Iterator[Path]:
    names = {"Col": "Colère", "D": "Dégoût"}
    members: Members = {b"CaFE_48k/Readme.txt": b"Canadian French"}
    for path, wav in _recordings("cafe"):
        top, emotion, *rest = path.parts
        emotion = next((real for start, real in names.items() if emotion.startswith(start)), emotion)
        members["/".join((top, emotion, *rest)).encode(encoding)] = wav
    yield write_zip(folder / "CaFE_48k.zip", members)


def _cremad(folder: Path) -> Iterator[Path]:
    top = "crema-d-mirror-main"
    members: Members = {f"{top}/{path}": wav for path, wav in _recordings("cremad")}
    for name in list(members)[:20]:
        members[str(name).replace("AudioWAV", "AudioMP3").replace(".wav", ".mp3")] = b"ID3"
    members[f"{top}/VideoFlash/1001_DFA_ANG_XX.flv"] = b"FLV"
    members[f"{top}/processedResults/summaryTable.csv"] = b"FileName\n"
    yield write_zip(folder / "crema-d-mirror-main.zip", members)


def _emodb(folder: Path) -> Iterator[Path]:
    members: Members = {str(path): wav for path, wav in _recordings("emodb")}
    for path in list(members):
        stem = PurePosixPath(str(path)).stem
        members |= {f"lablaut/{stem}.lablaut": b"signal", f"labsilb/{stem}.labsilb": b"signal"}
    yield write_zip(folder / "download.zip", members | {"erklaerung.txt": b"", "silb/readme": b""})


def _emovo(folder: Path) -> Iterator[Path]:
    recordings = dict(_recordings("emovo", n_channels=2))
    first = next(iter(recordings))
    recordings[first] = make_wav(first.stem, rate_hz=48_000)
    members: Members = {f"EMOVO/{path}": wav for path, wav in recordings.items()}
    members |= {"EMOVO/documents/EMOVO.doc": b"doc", "EMOVO/test.exe": b"MZ"}
    yield write_zip(folder / "emovo.zip", members | litter(["EMOVO", "EMOVO/f1"]))


def _iemocap(folder: Path) -> Iterator[Path]:
    top = "IEMOCAP_full_release"
    codes = {"anger": ("ang",), "happiness": ("hap", "exc"), "sadness": ("sad",), "neutral": ("neu",)}
    members: Members = {f"{top}/README.txt": b"IEMOCAP"}
    turns: dict[tuple[str, str], list[tuple[str, str]]] = {}
    number: dict[tuple[str, str], int] = {}
    for row in read_manifest("iem4_counts.csv").itertuples():
        session, letter = row.dialogue_prefix[:2], row.speaker[-1]
        for each in range(int(row.utterances)):
            n = number[row.dialogue_prefix, letter] = number.get((row.dialogue_prefix, letter), -1) + 1
            kind = "impro" if n < 500 else "script"
            dialogue = f"Ses{row.dialogue_prefix}_{kind}{1 + n // 100 % 5:02d}" + ("_1" if kind == "script" else "")
            label = codes[row.emotion][each % len(codes[row.emotion])]
            turns.setdefault((session, dialogue), []).append((f"{dialogue}_{letter}{n % 100:03d}", label))
    for (session, dialogue), named in turns.items():
        base = f"{top}/Session{int(session)}"
        letter = named[0][0][-4]
        named += [(f"{dialogue}_{letter}9{i}0", label) for i, label in enumerate(("fru", "xxx", "sur"))]
        text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        for stem, label in named:
            members[f"{base}/sentences/wav/{dialogue}/{stem}.wav"] = make_wav(stem)
            text += f"[1.0000 - 2.0000]\t{stem}\t{label}\t[2.5000, 2.5000, 2.5000]\nC-E1:\tNeutral;\t()\n"
        members[f"{base}/sentences/wav/{dialogue}/{dialogue}_{letter}XX0.wav"] = make_wav(dialogue)
        members[f"{base}/dialog/EmoEvaluation/{dialogue}.txt"] = text.encode()
        members[f"{base}/dialog/EmoEvaluation/Categorical/{dialogue}_e1_cat.txt"] = b"x :Neutral; ()\n"
        members[f"{base}/dialog/wav/{dialogue}.wav"] = make_wav(f"{dialogue} whole", n_channels=2)
        members[f"{base}/dialog/avi/DivX/{dialogue}.avi"] = b"RIFFxxxxAVI "
        members[f"{base}/sentences/MOCAP_hand/{dialogue}/{named[0][0]}.txt"] = b"0 0"
        members[f"{base}/sentences/ForcedAlignment/{dialogue}/{named[0][0]}.wdseg"] = b"x"
    yield write_tar(folder / "IEMOCAP_full_release.tar.gz", members | litter([top]))


def _ravdess(folder: Path) -> Iterator[Path]:
    members = {f"{path.parent.name}/{path.name}": wav for path, wav in _recordings("ravdess")}
    stereo = ["01/03-01-02-01-01-02-01", "01/03-01-08-01-02-02-01", "05/03-01-02-01-02-02-05"]
    for name in (f"Actor_{each}.wav" for each in stereo):
        members[name] = make_wav(name, rate_hz=48_000, n_channels=2)
    yield write_zip(folder / "Audio_Speech_Actors_01-24.zip", members)


def _savee(folder: Path) -> Iterator[Path]:
    members: Members = {f"AudioData/{path.stem.replace('_', '/')}.wav": wav for path, wav in _recordings("savee")} | {
        "AudioData/Info.txt": b"SAVEE"
    }
    yield write_zip(folder / "AudioData.zip", members | litter(["AudioData", "AudioData/DC"]))


def _savee_flat(folder: Path) -> Iterator[Path]:
    yield write_zip(folder / "archive.zip", {f"ALL/{path.name}": wav for path, wav in _recordings("savee")})


def _shemo(folder: Path) -> Iterator[Path]:
    for sex in ("female", "male"):
        members: Members = {str(path): wav for path, wav in _recordings("shemo") if path.parts[0] == sex}
        yield write_zip(folder / f"{sex}.zip", members | {"README.md": b"ShEMO"} | litter([sex]))


def _subesco(folder: Path) -> Iterator[Path]:
    members: Members = {f"SUBESCO/{path.name}": wav for path, wav in _recordings("subesco")}
    yield write_zip(folder / "SUBESCO.zip", members)


BUILDERS = {
    "aesdd": _aesdd,
    "cafe": _cafe,
    "cafe, Latin-1": lambda folder: _cafe(folder, "latin-1"),
    "cremad": _cremad,
    "emodb": _emodb,
    "emovo": _emovo,
    "iemocap": _iemocap,
    "ravdess": _ravdess,
    "savee": _savee,
    "savee, flat": _savee_flat,
    "shemo": _shemo,
    "subesco": _subesco,
}
