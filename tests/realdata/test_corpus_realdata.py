"""Corpora, splits and the check on real recordings below the folder that SERAB_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import soundfile

from serab_lib.corpora.check import check_corpus, summarise
from serab_lib.corpora.corpus import find_corpus, read_content
from serab_lib.corpora.splits import PARTS, PROTOCOLS, split, split_warnings
from serab_lib.corpora.task import TASKS

pytestmark = pytest.mark.realdata


def test_ravdess_is_complete(real_data: Path) -> None:
    corpus = find_corpus("RAV", real_data)
    assert corpus.complete and not corpus.synthetic
    assert len(corpus.utterances) == corpus.n_expected == 1440
    assert corpus.unexpected == ()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ravdess_splits(protocol: str, real_data: Path) -> None:
    parts = split(find_corpus("RAV", real_data).utterances, TASKS["RAV"], protocol)
    sizes = parts["part"].value_counts()
    assert [sizes[part] for part in PARTS] == [840, 300, 300]
    assert split_warnings(parts) == []


@pytest.mark.parametrize("code", ["AES", "EMB", "EMV", "RAV"])
def test_corpora_at_hand_are_as_released(code: str, real_data: Path) -> None:
    if not (real_data / TASKS[code].name).is_dir():
        pytest.skip(f"SERAB_DATA has no {TASKS[code].name}")
    report = check_corpus(code, real_data)
    assert report.n_originals == report.n_utterances == find_corpus(code, real_data).n_expected
    assert not any(problem.affects_result for problem in report.problems)
    if code == "RAV":
        (twins,) = report.problems
        assert "03-01-03-01-02-01-07" in twins.file and "03-01-03-01-02-02-07" in twins.file


def test_real_recordings_that_were_altered_are_named(real_data: Path, tmp_path: Path) -> None:
    """Six copies of one speaker's recordings, each altered in a way of its own."""
    (tmp_path / "emodb").mkdir()
    stems = ["03a01Fa", "03a01Nc", "03a01Wa", "03a02Fc", "03a02Nc", "03a02Ta", "03a02Wb"]
    assert set(stems) <= set(read_content("emodb"))
    audio = {stem: soundfile.read(next((real_data / "emodb").rglob(f"{stem}.*"))) for stem in stems}

    def write(stem: str, signal, rate: int, suffix: str = ".wav") -> None:
        soundfile.write(tmp_path / "emodb" / f"{stem}{suffix}", signal, rate)

    original, halved, cut, lossy, doubled, padded, swapped = stems
    write(original, *audio[original])
    write(halved, audio[halved][0][::2], 8_000)
    write(cut, audio[cut][0][:16_000], 16_000)
    write(lossy, *audio[lossy], ".mp3")
    write(doubled, audio[doubled][0] * 0.5, 16_000)
    write(padded, [*audio[padded][0], *[0.0] * 32_000], 16_000)
    write(swapped, *audio[original])
    report = check_corpus("EMB", tmp_path)
    kinds = {os.path.splitext(each.file)[0]: each.kind for each in report.problems if each.kind in KINDS}
    expected = ("resampled", "cut", "lossy", "re-encoded", "padded", "other content")
    assert kinds == dict(zip((halved, cut, lossy, doubled, padded, swapped), expected, strict=True))
    assert report.n_originals == 1
    assert len([line for line in summarise(report.problems) if line.startswith("missing")]) <= 2


KINDS = {"resampled", "cut", "lossy", "re-encoded", "padded", "other content"}


def test_a_copy_of_another_rate_is_no_original(real_data: Path) -> None:
    """The widely copied RAVDESS at 16 kHz, where it lies beside the originals."""
    copies = real_data.parent / "data"
    if not (copies / "ravdess").is_dir():
        pytest.skip("there is no folder data/ravdess beside SERAB_DATA")
    report = check_corpus("RAV", copies)
    assert (report.n_originals, report.n_utterances) == (0, 1440)
    assert sum(each.kind == "resampled" for each in report.problems) == 1440
