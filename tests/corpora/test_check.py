import dataclasses
import math
import shutil
import tomllib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serab_lib.corpora.check import Problem, check_corpus, describe_copies
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.task import TASKS

RATE_HZ = 16_000
# A corpus without a list of names, so that a handful of files is all of it.
OWN = dataclasses.replace(TASKS["SAV"], code="OWN", name="own", in_paper=False)
(TWICE,) = tomllib.loads(Path(__file__).with_name("check.toml").read_text()).values()


def make_noise(seed: int, *, seconds: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.1, 0.1, int(seconds * RATE_HZ))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    for seed, stem in enumerate(("AA_a01", "AA_n01", "BB_a01", "BB_n01")):
        write_audio(folder / f"{stem}.wav", make_noise(seed))
    return folder


def check(root: Path) -> tuple[Problem, ...]:
    problems = check_corpus(OWN, root.parent).problems
    assert all(each.consequence and "\n" not in each.file + each.consequence for each in problems)
    return problems


def write_text(path: Path, text: str = "This is no audio.\n" * 50) -> None:
    path.write_text(text)


def write_audio(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, **options: str) -> None:
    soundfile.write(path, samples, rate_hz, **options)


def write_half(path: Path) -> None:
    write_audio(path, make_noise(9, seconds=2))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


NOT_FINITE = np.append(make_noise(9), math.nan)


@pytest.mark.parametrize(
    ("name", "write", "kind", "said"),
    [
        ("CC_a01.wav", write_text, "undecodable", "incomplete"),
        ("CC_a01.flac", write_half, "undecodable", "flac"),
        ("CC_a01.mp3", write_half, "undecodable", "samples decode"),
        ("CC_a01.wav", partial(write_audio, samples=NOT_FINITE, subtype="FLOAT"), "undecodable", "not finite"),
        ("CC_a01.wav", lambda path: path.symlink_to("/dev/null/nothing"), "undecodable", "incomplete"),
        ("CC_a01.wav", write_half, "cut off", "bytes that its header promises"),
        ("CC_a01.wav", partial(write_text, text=""), "empty", "no sample"),
        ("CC_a01.wav", partial(write_audio, samples=np.zeros(0)), "empty", "no sample"),
        ("CC_a01.wav", partial(write_audio, samples=make_noise(9) * 5e-4), "silent", "-80 dBFS"),
        ("CC_a01.wav", partial(write_audio, samples=make_noise(9), rate_hz=8_000), "sample rate", "above 4000 Hz"),
    ],
)
def test_bad_file_is_named(root, name, write, kind, said):
    write(root / name)
    (problem,) = check(root)
    assert (problem.kind, problem.file, problem.affects_result) == (kind, name, True)
    assert said in problem.consequence and "Error" not in problem.consequence


def test_sound_quiet_and_stereo_files_and_those_of_a_piped_encoder_are_fine(root):
    write_audio(root / "CC_a01.wav", np.column_stack([make_noise(9), make_noise(9)]), 44_100)
    write_audio(root / "CC_a02.wav", make_noise(10) * 2e-3, 48_000)
    write_audio(root / "CC_a03.wav", make_noise(11))
    content = bytearray((root / "CC_a03.wav").read_bytes())
    content[40:44] = content[4:8] = b"\xff\xff\xff\xff"
    (root / "CC_a03.wav").write_bytes(content)
    seen = []
    report = check_corpus(OWN, root.parent, n_workers=2, progress=lambda done, total: seen.append((done, total)))
    assert report.problems == () and seen == [(n, 7) for n in range(1, 8)]


@pytest.mark.parametrize(("name", "meaning", "oddities"), TWICE)
def test_duplicated_content_leaves_results_alone_only_where_the_record_knows_it(root, name, meaning, oddities):
    shutil.copy(root / "AA_a01.wav", root / f"{name}.wav")
    (problem,) = check_corpus(dataclasses.replace(OWN, oddities=oddities), root.parent).problems
    assert (problem.kind, problem.file) == ("duplicated", f"AA_a01.wav = {name}.wav")
    assert meaning in problem.consequence and problem.affects_result == (name not in oddities)


def test_extra_files(root):
    (root / "sub").mkdir()
    for seed, file in ((9, "what.wav"), (0, "AA_a01.ogg"), (9, "sub/AA_n01.wav")):
        write_audio(root / file, make_noise(seed))
    problems = {problem.file: problem for problem in check(root)}
    assert {file: (problem.kind, problem.affects_result) for file, problem in problems.items()} == {
        "what.wav": ("extra", True),
        "AA_a01.ogg": ("extra", False),
        "AA_n01.wav": ("in doubt", True),
        "sub/AA_n01.wav": ("in doubt", True),
    }
    assert "a run stops" in problems["what.wav"].consequence


def test_a_list_tells_missing_and_strange_files_wrong_durations_and_copies(tmp_path):
    """Two of SAVEE's utterances with the durations that the list has for them, one too short, one too many."""
    (tmp_path / "savee").mkdir()
    for seed, (stem, seconds) in enumerate({"DC_a01": 3.6478, "DC_a02": 3.4381, "JE_a01": 1, "DC_a99": 1}.items()):
        write_audio(tmp_path / "savee" / f"{stem}.wav", make_noise(seed, seconds=seconds))
    problems = check_corpus("SAV", tmp_path).problems
    missing = {problem.file: problem.consequence for problem in problems if problem.kind == "missing"}
    assert len(missing) == 477 and "incomplete" in missing["DC_a03"]
    assert "nor any other of speaker KL; the split itself comes out differently" in missing["KL_a01"]
    extra, wrong, resampled = (problem for problem in problems if problem.kind != "missing")
    assert (extra.kind, extra.file, extra.affects_result) == ("extra", "DC_a99.wav", False)
    assert (wrong.kind, wrong.file) == ("duration", "JE_a01.wav")
    assert "lasts 1.00 s" in wrong.consequence and "cut off" in wrong.consequence
    assert (resampled.kind, resampled.file, resampled.affects_result) == ("resampled", "savee/", False)
    assert resampled.consequence.startswith("3 of 3 recordings at 16 kHz, released at 44.1 kHz: copies")


def test_resampled_copies_are_named_with_both_rates_and_released_recordings_are_none():
    for task in TASKS.values():
        rates = list_utterances(task)["sample_rate"].dropna().astype(int).astype(str).value_counts().to_dict()
        assert describe_copies(task, rates) is None
    said = describe_copies(TASKS["RAV"], {"48000": 1000, "16000": 439, "22050": 1})
    assert said.startswith("440 of 1,440 recordings at 16 kHz or 22.05 kHz, released at 48 kHz")
    assert "released at 44.1 kHz or 22.05 kHz:" in describe_copies(TASKS["SHE"], {"16000": 2})
    assert describe_copies(TASKS["IEM"], {"8000": 3}) is None, "its rate is not known"
