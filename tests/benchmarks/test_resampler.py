"""Copies of a corpus by several resamplers; the program that measures on them is run by test_programs.py."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from making import write_savee

from serab_lib.audio import decode
from serab_lib.corpora.corpus import find_corpus

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = ["kaiser-best-2021", "kaiser-best-2022", "torchaudio", "soxr-hq"]


@pytest.fixture(autouse=True)
def in_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_a_copy_keeps_what_16_bits_cannot_hold(tmp_path: Path) -> None:
    write_savee(tmp_path, rate=48_000)
    corpus = find_corpus("SAV", tmp_path)
    importlib.import_module("resampler").write_copy(corpus, tmp_path / "copy", lambda samples, rate: 30 * samples[::3])
    copy = find_corpus("SAV", tmp_path / "copy")
    assert list(copy.utterances["stem"]) == list(corpus.utterances["stem"])
    waveform, rate = decode(copy.utterances["path"].iloc[-1])
    assert rate == 16_000 and float(waveform.max()) > 1


@pytest.mark.parametrize("name", NAMES)
def test_a_tone_stays_what_it_is(name: str) -> None:
    pytest.importorskip("resampy"), pytest.importorskip("soxr")
    change_rate = importlib.import_module("resampler").load_resamplers()[name]
    made = change_rate(np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32), 48_000)
    wanted = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert made.dtype == np.float32 and abs(len(made) - 16_000) <= 1
    np.testing.assert_allclose(made[1_000:15_000], wanted[1_000:15_000], atol=0.01)
