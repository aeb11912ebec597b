"""The corpora's archives as they are delivered: real names and folders, noise in place of speech."""

import hashlib
import io
import struct
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from serab_lib.corpora.corpus import read_manifest

# Content by name; a name of bytes goes into a .zip as it is, not marked as UTF-8.
Members = dict[str | bytes, bytes]


def make_wav(seed: str, *, rate_hz: int = 16_000, n_channels: int = 1, duration_s: float = 0.003) -> bytes:
    width = 2 * n_channels
    samples = hashlib.shake_256(seed.encode()).digest(width * round(rate_hz * duration_s))
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
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(str(name))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def litter(*folders: str) -> Members:
    names = ("__MACOSX/{}/._x.wav", "{}/.DS_Store", "{}/._a.wav")
    return {name.format(folder): b"\0\5\26\7Mac OS X" for folder in folders for name in names}


def _recordings(name: str, n_channels: int = 1) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Each recording of a manifest (as `read_manifest` gives it in the test), at its real rate."""
    for row in read_manifest(f"{name}.csv").itertuples():
        path = PurePosixPath(row.file)
        yield path, make_wav(path.stem, rate_hz=int(row.sample_rate or 44_100), n_channels=n_channels)


# Each archive's name, where a recording lies in it, and what else does.
AESDD, CREMAD = "Acted Emotional Speech Dynamic Database", "crema-d-mirror-main"
LAYOUTS: dict[str, tuple[str, str, Members]] = {
    # One file is broken as released: the head only.
    "aesdd": (f"{AESDD}.zip", f"{AESDD}/{{path}}", {f"{AESDD}/sadness/s05 (3).wav": make_wav("x")[:36]}),
    "cremad": (
        f"{CREMAD}.zip",
        f"{CREMAD}/{{path}}",
        {f"{CREMAD}/AudioMP3/1001_DFA_ANG_XX.mp3": b"ID3", f"{CREMAD}/VideoFlash/1001_DFA_ANG_XX.flv": b"FLV"},
    ),
    "emodb": ("download.zip", "{path}", {"erklaerung.txt": b"", "lablaut/03a01Fa.lablaut": b"signal"}),
    "emovo": ("emovo.zip", "EMOVO/{path}", {"EMOVO/documents/EMOVO.doc": b"doc", "EMOVO/test.exe": b"MZ"}),
    "ravdess": ("Audio_Speech_Actors_01-24.zip", "{path.parent.name}/{path.name}", {}),
    "savee": ("AudioData.zip", "AudioData/{speaker}/{take}.wav", {}),
    "subesco": ("SUBESCO.zip", "SUBESCO/{path.name}", {}),
}


def _layout(name: str, folder: Path) -> Iterator[Path]:
    file, template, others = LAYOUTS[name]
    members: Members = {}
    for path, wav in _recordings(name, n_channels=2 if name == "emovo" else 1):
        speaker, _, take = path.stem.partition("_")
        place = template.format(path=path, speaker=speaker, take=take)
        members[place] = wav
    yield write_zip(folder / file, members | others | litter(place.rpartition("/")[0]))


def _cafe(folder: Path, encoding: str = "cp850") -> Iterator[Path]:
    names = {"Col": "Colère", "D": "Dégoût"}
    members: Members = {b"CaFE_48k/Readme.txt": b"Canadian French"}
    for path, wav in _recordings("cafe"):
        top, emotion, *rest = path.parts
        emotion = next((real for start, real in names.items() if emotion.startswith(start)), emotion)
        members["/".join((top, emotion, *rest)).encode(encoding)] = wav
    yield write_zip(folder / "CaFE_48k.zip", members)


def _iemocap(folder: Path) -> Iterator[Path]:
    top = "IEMOCAP_full_release"
    codes = {"anger": ("ang",), "happiness": ("hap", "exc"), "sadness": ("sad",), "neutral": ("neu",)}
    members: Members = {f"{top}/README.txt": b"IEMOCAP"}
    turns: dict[tuple[str, str], list[tuple[str, str]]] = {}
    numbers: Counter[tuple[str, str]] = Counter()
    for row in read_manifest("iem4_counts.csv").itertuples():
        session, letter = row.dialogue_prefix[:2], row.speaker[-1]
        for each in range(int(row.utterances)):
            n = numbers[row.dialogue_prefix, letter]
            numbers[row.dialogue_prefix, letter] += 1
            dialogue = f"Ses{row.dialogue_prefix}_impro{1 + n // 50:02d}"
            label = codes[row.emotion][each % len(codes[row.emotion])]
            turns.setdefault((session, dialogue), []).append((f"{dialogue}_{letter}{n % 50:03d}", label))
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
    yield write_tar(folder / "IEMOCAP_full_release.tar.gz", members | litter(top))


def _shemo(folder: Path) -> Iterator[Path]:
    for sex in ("female", "male"):
        members: Members = {str(path): wav for path, wav in _recordings("shemo") if path.parts[0] == sex}
        yield write_zip(folder / f"{sex}.zip", members | {"README.md": b"ShEMO"} | litter(sex))


BUILDERS = {name: partial(_layout, name) for name in LAYOUTS} | {
    "cafe": _cafe,
    "cafe, Latin-1": partial(_cafe, encoding="latin-1"),
    "iemocap": _iemocap,
    "shemo": _shemo,
}
