"""Recordings known by content: what was released, what was done to a copy, and who decides between two of one name."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from serab_lib.benchmark.grid import Settings, run_grid
from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError
from serab_lib.corpora import corpus as lists
from serab_lib.corpora.check import check_corpus, summarise
from serab_lib.corpora.corpus import find_corpus, hash_samples, read_content
from serab_lib.corpora.task import TASKS

RATE_HZ = 48_000
STEMS = [f"{speaker}_{emotion}01" for speaker in ("DC", "JE", "JK", "KL") for emotion in ("a", "n", "sa")]


def write_voice(path: Path, seed: int, *, seconds: float = 1.5, rate: int = RATE_HZ, **options) -> np.ndarray:
    """A buzz with noise, loud from its first sample to its last."""
    time = np.arange(int(seconds * rate)) / rate
    signal = 0.2 * np.sign(np.sin(2 * np.pi * (100 + 10 * seed) * time))
    signal += np.random.default_rng(seed).uniform(-0.05, 0.05, len(time))
    soundfile.write(path, signal, rate, **options)
    return signal


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SAVEE of twelve utterances, with a list of what they hold."""
    root = tmp_path / "savee"
    root.mkdir()
    rows = []
    for seed, stem in enumerate(STEMS):
        path = root / f"{stem}.wav"
        signal = write_voice(path, seed)
        pcm = hashlib.md5(soundfile.read(path, dtype="int16")[0].tobytes()).hexdigest()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append((path.name, stem[:2], "any", str(len(signal) / RATE_HZ), str(RATE_HZ), sha256, pcm))
    columns = ["file", "speaker", "emotion", "duration_s", "sample_rate", "sha256", "pcm_md5"]
    table = pd.DataFrame(rows, columns=columns)
    lists.read_content.cache_clear()
    tables = {"savee.csv": table[columns[:5]], "savee_content.csv": table[["file", "sha256", "pcm_md5"]]}
    monkeypatch.setattr(lists, "read_manifest", tables.get)
    yield root
    lists.read_content.cache_clear()


def resample(path: Path, *, seconds: float = 1.5) -> None:
    write_voice(path, 0, seconds=seconds, rate=16_000)


def cut(path: Path) -> None:
    signal, rate = soundfile.read(path)
    soundfile.write(path, signal[: rate // 2], rate)


def pad(path: Path) -> None:
    signal, rate = soundfile.read(path)
    soundfile.write(path, np.pad(signal, (rate // 4, rate // 4)), rate)


def store_as_mp3(path: Path) -> None:
    signal, rate = soundfile.read(path)
    path.unlink()
    soundfile.write(path.with_suffix(".mp3"), signal, rate)


def pass_through_mp3(path: Path) -> None:
    n_frames = soundfile.info(path).frames
    store_as_mp3(path)
    decoded, rate = soundfile.read(path.with_suffix(".mp3"))
    path.with_suffix(".mp3").unlink()
    soundfile.write(path, decoded[:n_frames], rate)


def take_another(path: Path) -> None:
    shutil.copy(path.with_name("JE_n01.wav"), path)


def break_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50_000])


@pytest.mark.parametrize(
    ("alter", "kind", "said"),
    [
        (resample, "resampled", "at 16 kHz, released at 48 kHz"),
        (cut, "cut", "lasts 0.50 s, released with 1.50 s"),
        (pad, "padded", "lasts 2.00 s, released with 1.50 s, silent at its ends"),
        (pass_through_mp3, "re-encoded", "other samples"),
        (store_as_mp3, "lossy", "stored as Mpeg Layer Iii"),
        (take_another, "other content", "holds what was released as JE_n01"),
        (partial(write_voice, seed=77, seconds=2.0), "other content", "what is more is not silence"),
        (partial(resample, seconds=0.7), "resampled and cut", "at 16 kHz"),
        (break_off, "cut off", "that its header promises"),
    ],
)
def test_what_was_done_to_a_copy_is_named(released: Path, alter: Callable[[Path], None], kind: str, said: str) -> None:
    alter(released / "DC_a01.wav")
    report = check_corpus("SAV", released.parent)
    assert (report.n_originals, report.n_utterances) == (len(STEMS) - 1, len(STEMS))
    (problem,) = [each for each in report.problems if each.kind != "duplicated"]
    assert problem.kind == kind and said in problem.consequence and problem.affects_result


@pytest.mark.parametrize(("suffix", "container"), [(".flac", "FLAC"), (".wav", "WAVEX")])
def test_an_original_is_known_in_any_lossless_container(released: Path, suffix: str, container: str) -> None:
    path = released / "DC_a01.wav"
    signal, rate = soundfile.read(path, dtype="int16")
    path.unlink()
    soundfile.write(path.with_suffix(suffix), signal, rate, format=container)
    report = check_corpus("SAV", released.parent)
    assert report.problems == () and report.n_originals == len(STEMS)


def test_one_line_a_kind(released: Path) -> None:
    for path in released.glob("J*"):
        resample(path)
    store_as_mp3(released / "DC_a01.wav")
    lines = summarise(each for each in check_corpus("SAV", released.parent).problems if each.kind != "duplicated")
    assert [line.partition(":")[0] for line in lines] == ["lossy", "resampled"]
    assert lines[1].startswith("resampled: 6 files, such as JE_a01.wav: at 16 kHz")


def test_a_run_counts_originals_in_cells_and_provenance(released: Path, tmp_path: Path) -> None:
    settings = Settings(data=released.parent, out=tmp_path / "out", cache=tmp_path / "cache", search=False, n_jobs=1)
    run_grid(["SAV"], ["logmel-stats"], settings)
    cells = Results(tmp_path / "out").read_cells()
    assert set(cells["n_originals"]) == {len(STEMS)}
    resample(released / "DC_a01.wav")
    summary = run_grid(["SAV"], ["logmel-stats"], settings)
    assert any(f"{len(STEMS) - 1} of {len(STEMS)} recordings are as they were released" in w for w in summary.warnings)
    assert set(Results(tmp_path / "out").read_cells()["n_originals"]) == {len(STEMS) - 1}
    (origin,) = Results(tmp_path / "out").read_provenance().values()
    assert origin["n_originals"] == len(STEMS) - 1 and "sample_rates_hz" not in origin


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_of_two_contents_of_one_name_the_list_decides(released: Path, suffix: str) -> None:
    """The other one comes first in the alphabet, and in the order of formats."""
    (released / "aaa").mkdir()
    write_voice(released / "aaa" / "DC_a01.wav", 99)
    if suffix == ".flac":
        signal, rate = soundfile.read(released / "DC_a01.wav", dtype="int16")
        (released / "DC_a01.wav").unlink()
        soundfile.write(released / "DC_a01.flac", signal, rate)
    found = find_corpus("SAV", released.parent)
    path = found.utterances.set_index("stem").loc["DC_a01", "path"]
    assert os.path.relpath(path, released) == f"DC_a01{suffix}"
    (other,) = found.left_out
    assert other.file == "aaa/DC_a01.wav" and "beside the one released under its name" in other.reason


def test_where_the_list_cannot_decide_nothing_is_preferred(released: Path, tmp_path: Path) -> None:
    (released / "aaa").mkdir()
    write_voice(released / "aaa" / "DC_a01.wav", 99)
    write_voice(released / "DC_a01.wav", 98)
    with pytest.raises(SerabError, match=r"different recordings of one name.*DC_a01\.wav, aaa/DC_a01\.wav") as caught:
        find_corpus("SAV", released.parent)
    assert "move" not in str(caught.value) and "\n" not in str(caught.value)
    problems = check_corpus("SAV", released.parent).problems
    assert {(each.kind, each.file) for each in problems} == {("in doubt", f"{at}DC_a01.wav") for at in ("", "aaa/")}
    summary = run_grid(["SAV"], ["logmel-stats"], Settings(data=released.parent, out=tmp_path / "out", search=False))
    assert not summary.computed and "different recordings of one name" in summary.failures[0]


def test_of_emodb_2_laryngograms_and_new_names_are_left_out(tmp_path: Path) -> None:
    """A few of its recordings, their laryngograms under the same names, and names that are new."""
    root = tmp_path / "emodb"
    for seed, file in enumerate(("wav/03a01Fa.wav", "laryngo/03a01Fa.wav", "wav/03a01Fz.wav", "wav/03a01Fzz.wav")):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / file, np.random.default_rng(seed).uniform(-0.1, 0.1, 800), 16_000)
    found = find_corpus("EMB", tmp_path)
    assert [os.path.relpath(path, root) for path in found.utterances["path"]] == ["wav/03a01Fa.wav"]
    assert {each.file: each.kind for each in found.left_out} == {
        "wav/03a01Fz.wav": "unexpected",
        "wav/03a01Fzz.wav": "other",
    }
    assert check_corpus("EMB", tmp_path).n_originals == 0, "noise is not what was released"
    shutil.rmtree(root / "wav")
    with pytest.raises(SerabError, match=r"no \.wav .* that the task could use"):
        find_corpus("EMB", tmp_path)


@pytest.mark.parametrize("name", ["aesdd", "cremad", "emodb", "emovo", "ravdess"])
def test_the_content_lists_name_what_the_lists_of_files_name(name: str) -> None:
    content, task = read_content(name), next(task for task in TASKS.values() if task.name == name)
    stems = {os.path.splitext(os.path.basename(file))[0] for file in lists.read_manifest(f"{name}.csv")["file"]}
    assert set(content) == stems
    has_samples = name not in ("aesdd", "cremad")
    assert {(len(sha256), len(samples)) for sha256, samples in content.values()} == {(64, 32 if has_samples else 0)}
    assert all(task.parse(stem) for stem in stems)


def test_samples_are_hashed_alike_in_wav_and_flac(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-3000, 3000, (4_000, 2)).astype(np.int16)
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, noise, 48_000)
    expected = hashlib.md5(noise.astype("<i2").tobytes()).hexdigest()
    assert hash_samples(tmp_path / "a.wav") == hash_samples(tmp_path / "a.flac") == expected
    soundfile.write(tmp_path / "b.wav", noise / 32768, 48_000, subtype="FLOAT")
    (tmp_path / "c.wav").write_text("no audio")
    assert hash_samples(tmp_path / "b.wav") == hash_samples(tmp_path / "c.wav") == ""
