import hashlib
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from making import one_line

from serab_lib.benchmark.grid import Settings, run_grid
from serab_lib.benchmark.results import Results
from serab_lib.corpora import corpus as lists
from serab_lib.corpora.check import check_corpus, summarise
from serab_lib.corpora.corpus import find_corpus, hash_samples, read_content

RATE_HZ = 48_000
STEMS = [f"{speaker}_{emotion}01" for speaker in ("DC", "JE", "JK", "KL") for emotion in ("a", "n", "sa")]


def write_voice(path: Path, seed: int = 0, *, seconds: float = 1.5, rate: int = RATE_HZ) -> None:
    """A buzz with noise, loud from its first sample to its last."""
    time = np.arange(int(seconds * rate)) / rate
    buzz = 0.2 * np.sign(np.sin(2 * np.pi * (100 + 10 * seed) * time))
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, buzz + np.random.default_rng(seed).uniform(-0.05, 0.05, len(time)), rate)


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SAVEE of twelve utterances, with a list of what they hold."""
    root, rows = tmp_path / "savee", []
    for seed, stem in enumerate(STEMS):
        path = root / f"{stem}.wav"
        write_voice(path, seed)
        pcm = hashlib.md5(soundfile.read(path, dtype="int16")[0].tobytes()).hexdigest()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append((path.name, stem[:2], "any", "1.5", str(RATE_HZ), sha256, pcm))
    columns = ["file", "speaker", "emotion", "duration_s", "sample_rate", "sha256", "pcm_md5"]
    table = pd.DataFrame(rows, columns=columns)
    lists.read_content.cache_clear()
    tables = {"savee.csv": table[columns[:5]], "savee_content.csv": table[["file", "sha256", "pcm_md5"]]}
    monkeypatch.setattr(lists, "read_manifest", tables.get)
    yield root
    lists.read_content.cache_clear()


def rewrite(path: Path, suffix: str = "", *, n_frames: int | None = None, n_silent: int = 0, **options: str) -> Path:
    """Write a recording anew: as another format, cut or padded."""
    signal, rate = soundfile.read(path)
    path.unlink()
    path = path.with_suffix(suffix or path.suffix)
    soundfile.write(path, np.pad(signal[:n_frames], n_silent), rate, **options)
    return path


@pytest.mark.parametrize(
    ("alter", "kind", "said"),
    [
        (partial(write_voice, rate=16_000), "resampled", "at 16 kHz, released at 48 kHz"),
        (partial(rewrite, n_frames=RATE_HZ // 2), "cut", "lasts 0.50 s, released with 1.50 s"),
        (partial(rewrite, n_silent=RATE_HZ // 4), "padded", "lasts 2.00 s, released with 1.50 s, silent at its ends"),
        (lambda path: rewrite(rewrite(path, ".mp3"), ".wav", n_frames=72_000), "re-encoded", "other samples"),
        (partial(rewrite, suffix=".mp3"), "lossy", "stored as Mpeg Layer Iii"),
        (lambda path: shutil.copy(path.with_name("JE_n01.wav"), path), "other content", "was released as JE_n01"),
        (partial(write_voice, seed=77, seconds=2.0), "other content", "what is more is not silence"),
        (partial(write_voice, rate=16_000, seconds=0.7), "resampled and cut", "at 16 kHz"),
    ],
)
def test_what_was_done_to_a_copy_is_named(released, alter, kind, said):
    alter(released / "DC_a01.wav")
    report = check_corpus("SAV", released.parent)
    assert (report.n_originals, report.n_utterances) == (len(STEMS) - 1, len(STEMS))
    (problem,) = [each for each in report.problems if each.kind != "duplicated"]
    assert problem.kind == kind and said in problem.consequence and problem.affects_result


@pytest.mark.parametrize(("suffix", "container"), [(".flac", "FLAC"), (".wav", "WAVEX")])
def test_an_original_is_known_in_any_lossless_container(released, suffix, container):
    rewrite(released / "DC_a01.wav", suffix, format=container)
    report = check_corpus("SAV", released.parent)
    assert report.problems == () and report.n_originals == len(STEMS)


def test_one_line_a_kind(released):
    for path in released.glob("J*"):
        write_voice(path, rate=16_000)
    rewrite(released / "DC_a01.wav", ".mp3")
    lines = summarise(each for each in check_corpus("SAV", released.parent).problems if each.kind != "duplicated")
    assert [line.partition(":")[0] for line in lines] == ["lossy", "resampled"]
    assert lines[1].startswith("resampled: 6 files, such as JE_a01.wav: at 16 kHz")


def test_a_run_counts_originals_in_cells_and_provenance(released, tmp_path):
    settings = Settings(data=released.parent, out=tmp_path / "out", cache=tmp_path / "cache", search=False, n_jobs=1)
    run_grid(["SAV"], ["logmel-stats"], settings)
    assert set(Results(tmp_path / "out").read_cells()["n_originals"]) == {12}
    write_voice(released / "DC_a01.wav", rate=16_000)
    summary = run_grid(["SAV"], ["logmel-stats"], settings)
    assert any("11 of 12 recordings are as they were released" in warning for warning in summary.warnings)
    assert set(Results(tmp_path / "out").read_cells()["n_originals"]) == {11}
    (origin,) = Results(tmp_path / "out").read_provenance().values()
    assert origin["n_originals"] == 11 and "sample_rates_hz" not in origin


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_of_two_contents_of_one_name_the_list_decides(released, suffix):
    """The other one comes first in the alphabet, and in the order of formats."""
    write_voice(released / "aaa" / "DC_a01.wav", 99)
    rewrite(released / "DC_a01.wav", suffix)
    found = find_corpus("SAV", released.parent)
    assert str(released / f"DC_a01{suffix}") in set(found.utterances["path"])
    (other,) = found.left_out
    assert other.file == "aaa/DC_a01.wav" and "beside the one released under its name" in other.reason


def test_where_the_list_cannot_decide_nothing_is_preferred(released, tmp_path):
    write_voice(released / "aaa" / "DC_a01.wav", 99)
    write_voice(released / "DC_a01.wav", 98)
    with one_line(r"^(?!.*move).*different recordings of one name.*DC_a01\.wav, aaa/DC_a01\.wav"):
        find_corpus("SAV", released.parent)
    problems = check_corpus("SAV", released.parent).problems
    assert {(each.kind, each.file) for each in problems} == {("in doubt", f"{at}DC_a01.wav") for at in ("", "aaa/")}
    summary = run_grid(["SAV"], ["logmel-stats"], Settings(data=released.parent, out=tmp_path / "out", search=False))
    assert not summary.computed and "different recordings of one name" in summary.failures[0]


def test_of_emodb_2_laryngograms_and_new_names_are_left_out(tmp_path):
    root = tmp_path / "emodb"
    root.mkdir()
    for seed, file in enumerate(("wav/03a01Fa.wav", "laryngo/03a01Fa.wav", "wav/03a01Fz.wav", "wav/03a01Fzz.wav")):
        write_voice(root / file, seed, seconds=0.05, rate=16_000)
    found = find_corpus("EMB", tmp_path)
    assert list(found.utterances["path"]) == [str(root / "wav/03a01Fa.wav")]
    kinds = {each.file: each.kind for each in found.left_out}
    assert kinds == {"wav/03a01Fz.wav": "unexpected", "wav/03a01Fzz.wav": "other"}
    assert check_corpus("EMB", tmp_path).n_originals == 0, "noise is not what was released"
    shutil.rmtree(root / "wav")
    with one_line(r"no \.wav .* that the task could use"):
        find_corpus("EMB", tmp_path)


@pytest.mark.parametrize("name", ["aesdd", "cremad", "emodb", "emovo", "ravdess"])
def test_the_content_lists_name_what_the_lists_of_files_name(name):
    content = read_content(name)
    assert set(content) == {Path(file).stem for file in lists.read_manifest(f"{name}.csv")["file"]}
    has_samples = name not in ("aesdd", "cremad")
    assert {(len(sha256), len(samples)) for sha256, samples in content.values()} == {(64, 32 if has_samples else 0)}


def test_samples_are_hashed_alike_in_wav_and_flac(tmp_path):
    noise = np.random.default_rng(0).integers(-3000, 3000, (4_000, 2)).astype(np.int16)
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, noise, 48_000)
    expected = hashlib.md5(noise.astype("<i2").tobytes()).hexdigest()
    assert hash_samples(tmp_path / "a.wav") == hash_samples(tmp_path / "a.flac") == expected
    soundfile.write(tmp_path / "b.wav", noise / 32768, 48_000, subtype="FLOAT")
    (tmp_path / "c.wav").write_text("no audio")
    assert hash_samples(tmp_path / "b.wav") == hash_samples(tmp_path / "c.wav") == ""
