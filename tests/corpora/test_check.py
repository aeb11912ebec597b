"""The check of a corpus: each thing that can be wrong is named, with what it means, and nothing raises."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serab_lib.core import SerabError
from serab_lib.corpora.check import Problem, check_corpus, describe_copies
from serab_lib.corpora.corpus import MARKER, list_utterances
from serab_lib.corpora.task import TASKS, Task

RATE_HZ = 16_000
# A corpus without a list of names, so that a handful of files is all of it.
OWN = dataclasses.replace(TASKS["SAV"], code="OWN", name="own", in_paper=False)


def make_noise(seed: int, *, seconds: float = 0.3, rate_hz: int = RATE_HZ) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.1, 0.1, int(seconds * rate_hz))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four sound utterances of a corpus without a list."""
    folder = tmp_path / "own"
    folder.mkdir()
    for seed, stem in enumerate(("AA_a01", "AA_n01", "BB_a01", "BB_n01")):
        soundfile.write(folder / f"{stem}.wav", make_noise(seed), RATE_HZ)
    return folder


def check(root: Path, task: Task = OWN) -> list[tuple[str, str]]:
    problems = check_corpus(task, root.parent).problems
    for problem in problems:
        assert isinstance(problem, Problem)
        assert problem.consequence and "\n" not in problem.file + problem.consequence
    return [(problem.kind, problem.file) for problem in problems]


def test_sound_corpus(root: Path) -> None:
    assert check(root) == []


def write_text(path: Path) -> None:
    path.write_text("This is no audio.\n" * 50)


def write_lfs_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def write_truncated_flac(path: Path) -> None:
    soundfile.write(path, make_noise(9, seconds=2), RATE_HZ)
    path.write_bytes(path.read_bytes()[:30_000])


def write_truncated_wav(path: Path) -> None:
    soundfile.write(path, make_noise(9, seconds=2), RATE_HZ)
    path.write_bytes(path.read_bytes()[:30_000])


def write_truncated_mp3(path: Path) -> None:
    soundfile.write(path, make_noise(9, seconds=2), RATE_HZ)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_not_finite(path: Path) -> None:
    soundfile.write(path, np.append(make_noise(9), math.nan), RATE_HZ, subtype="FLOAT")


def write_broken_link(path: Path) -> None:
    path.symlink_to("/dev/null/nothing")


def write_no_bytes(path: Path) -> None:
    path.write_bytes(b"")


def write_no_samples(path: Path) -> None:
    soundfile.write(path, np.zeros(0), RATE_HZ)


def write_silence(path: Path) -> None:
    soundfile.write(path, make_noise(9) * 5e-4, RATE_HZ)


def write_low_rate(path: Path) -> None:
    soundfile.write(path, make_noise(9), 8_000)


@pytest.mark.parametrize(
    ("name", "write", "kind"),
    [
        ("CC_a01.wav", write_text, "undecodable"),
        ("CC_a01.mp3", write_text, "undecodable"),
        ("CC_a01.wav", write_lfs_pointer, "undecodable"),
        ("CC_a01.flac", write_truncated_flac, "undecodable"),
        ("CC_a01.mp3", write_truncated_mp3, "undecodable"),
        ("CC_a01.wav", write_not_finite, "undecodable"),
        ("CC_a01.wav", write_broken_link, "undecodable"),
        ("CC_a01.wav", write_truncated_wav, "cut off"),
        ("CC_a01.wav", write_no_bytes, "empty"),
        ("CC_a01.wav", write_no_samples, "empty"),
        ("CC_a01.wav", write_silence, "silent"),
        ("CC_a01.wav", write_low_rate, "sample rate"),
    ],
)
def test_bad_file_is_named(root: Path, name: str, write: Callable[[Path], None], kind: str) -> None:
    write(root / name)
    assert check(root) == [(kind, name)]


def test_what_a_bad_file_means(root: Path) -> None:
    write_lfs_pointer(root / "CC_a01.wav")
    write_silence(root / "CC_a02.wav")
    write_truncated_flac(root / "CC_a03.flac")
    pointer, silent, cut = check_corpus(OWN, root.parent).problems
    assert "git lfs pull" in pointer.consequence and "incomplete" in pointer.consequence
    assert "-80 dBFS" in silent.consequence
    assert "flac" in cut.consequence and "Error" not in cut.consequence
    assert pointer.affects_result and silent.affects_result and cut.affects_result


def test_stereo_and_quiet_files_are_fine(root: Path) -> None:
    soundfile.write(root / "CC_a01.wav", np.column_stack([make_noise(9), make_noise(9)]), 44_100)
    soundfile.write(root / "CC_a02.wav", make_noise(10) * 2e-3, 48_000)
    assert check(root) == []


def test_header_of_a_piped_encoder_is_fine(root: Path) -> None:
    soundfile.write(root / "CC_a01.wav", make_noise(9), RATE_HZ)
    content = bytearray((root / "CC_a01.wav").read_bytes())
    content[40:44] = content[4:8] = b"\xff\xff\xff\xff"
    (root / "CC_a01.wav").write_bytes(content)
    assert check(root) == []


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("AA_a02", "one recording counts as several"),
        ("AA_n02", "labelled anger and neutral: all but one of the labels are wrong"),
        ("CC_a01", "under speakers AA and CC: it may be in train and test at once"),
    ],
)
def test_duplicated_content(root: Path, name: str, meaning: str) -> None:
    (root / f"{name}.wav").write_bytes((root / "AA_a01.wav").read_bytes())
    (problem,) = check_corpus(OWN, root.parent).problems
    assert (problem.kind, problem.file) == ("duplicated", f"AA_a01.wav = {name}.wav")
    assert meaning in problem.consequence and problem.affects_result


def test_duplicate_that_the_record_knows_leaves_results_alone(root: Path) -> None:
    (root / "AA_a02.wav").write_bytes((root / "AA_a01.wav").read_bytes())
    task = dataclasses.replace(OWN, oddities={"AA_a02": "byte-identical to AA_a01"})
    (problem,) = check_corpus(task, root.parent).problems
    assert problem.kind == "duplicated" and not problem.affects_result
    (root / "AA_a03.wav").write_bytes((root / "AA_a01.wav").read_bytes())
    (problem,) = check_corpus(task, root.parent).problems
    assert problem.affects_result, "a third copy is not what was released"


def test_extra_files(root: Path) -> None:
    soundfile.write(root / "what.wav", make_noise(9), RATE_HZ)
    soundfile.write(root / "AA_a01.ogg", make_noise(0), RATE_HZ)
    (root / "sub").mkdir()
    soundfile.write(root / "sub" / "AA_n01.wav", make_noise(9), RATE_HZ)
    problems = {problem.file: problem for problem in check_corpus(OWN, root.parent).problems}
    assert {file: problem.kind for file, problem in problems.items()} == {
        "what.wav": "extra",
        "AA_a01.ogg": "extra",
        "AA_n01.wav": "in doubt",
        "sub/AA_n01.wav": "in doubt",
    }
    assert not problems["AA_a01.ogg"].affects_result
    assert "a run stops" in problems["what.wav"].consequence
    assert "a run stops" in problems["sub/AA_n01.wav"].consequence


@pytest.fixture
def savee(tmp_path: Path) -> Path:
    """Two of SAVEE's utterances, with the durations that the list has for them, and one too short."""
    folder = tmp_path / "savee"
    folder.mkdir()
    for seed, (stem, seconds) in enumerate({"DC_a01": 3.6478, "DC_a02": 3.4381, "JE_a01": 1.0}.items()):
        soundfile.write(folder / f"{stem}.wav", make_noise(seed, seconds=seconds), RATE_HZ)
    return folder


def test_missing_and_wrong_duration(savee: Path) -> None:
    problems = check_corpus("SAV", savee.parent).problems
    (wrong,) = (problem for problem in problems if problem.kind == "duration")
    assert wrong.file == "JE_a01.wav" and "lasts 1.00 s" in wrong.consequence and "cut off" in wrong.consequence
    missing = {problem.file: problem.consequence for problem in problems if problem.kind == "missing"}
    assert len(missing) == 477 and len(problems) == 479
    resampled = problems[-1]
    assert (resampled.kind, resampled.file, resampled.affects_result) == ("resampled", "savee/", False)
    assert resampled.consequence.startswith("3 of 3 recordings at 16 kHz, released at 44.1 kHz: copies")
    assert "incomplete" in missing["DC_a03"]
    assert "nor any other of speaker KL; the split itself comes out differently" in missing["KL_a01"]


def test_unexpected_name(savee: Path) -> None:
    soundfile.write(savee / "DC_a99.wav", make_noise(9), RATE_HZ)
    (extra,) = (problem for problem in check_corpus("SAV", savee.parent).problems if problem.kind == "extra")
    assert extra.file == "DC_a99.wav" and "not used" in extra.consequence and not extra.affects_result


def test_synthetic_corpus_is_checked_against_its_marker(root: Path) -> None:
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in root.iterdir()}
    (root / MARKER).write_text(json.dumps({"generator": 1, "seed": 0, "files": digests}))
    assert check(root) == []
    soundfile.write(root / "AA_a01.wav", make_noise(9), RATE_HZ)
    (root / "BB_n01.wav").unlink()
    assert check(root) == [("missing", "BB_n01"), ("changed", "AA_a01.wav")]


def test_progress_counts_every_file(root: Path) -> None:
    seen = []
    check_corpus(OWN, root.parent, n_workers=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_interrupt_ends_the_check(root: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_corpus(OWN, root.parent, progress=interrupt)


def test_no_corpus_at_all(tmp_path: Path) -> None:
    with pytest.raises(SerabError, match="no folder"):
        check_corpus("SAV", tmp_path)


@pytest.mark.parametrize("code", TASKS)
def test_recordings_as_released_are_no_copies(code: str) -> None:
    rates = list_utterances(code)["sample_rate"].dropna().astype(int).astype(str).value_counts().to_dict()
    assert describe_copies(TASKS[code], rates) is None


def test_copies_are_named_with_both_rates() -> None:
    said = describe_copies(TASKS["RAV"], {"48000": 1000, "16000": 439, "22050": 1})
    assert said.startswith("440 of 1,440 recordings at 16 kHz or 22.05 kHz, released at 48 kHz")
    assert "released at 44.1 kHz or 22.05 kHz:" in describe_copies(TASKS["SHE"], {"16000": 2})
    assert describe_copies(TASKS["RAV"], {}) is None


def test_nothing_is_said_where_the_released_rate_is_not_known() -> None:
    assert describe_copies(TASKS["IEM"], {"8000": 3}) is None
