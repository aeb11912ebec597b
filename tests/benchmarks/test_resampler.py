"""Copies of a corpus by several resamplers, and the program that measures on them."""

from __future__ import annotations

import functools
import importlib
import runpy
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from making import write_savee

from serab_lib.audio import decode
from serab_lib.audit.measurements import read_measurement
from serab_lib.benchmark import grid
from serab_lib.benchmark.results import Results
from serab_lib.corpora.corpus import find_corpus
from serab_lib.corpora.splits import PROTOCOLS

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


def test_a_run_measures_every_copy_and_goes_on_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_savee(tmp_path / "data", n_takes=1, rate=48_000)
    folders = [f"--{key}={tmp_path / key}" for key in ("data", "results", "work")]
    monkeypatch.setattr(sys, "argv", ["resampler", "--tasks=SAV", "--models=logmel-stats", *folders])
    # Without a search, and in this process, for speed.
    monkeypatch.setattr(grid, "Settings", functools.partial(grid.Settings, search=False, n_jobs=1))
    counts: Counter[str] = Counter()

    def thin_out(package: str, samples: np.ndarray, rate: int, target: int, **_: str) -> np.ndarray:
        counts[package] += 1
        if counts["soxr"] == 1:
            raise KeyboardInterrupt
        return samples[:: rate // target]

    for package in ("resampy", "soxr"):
        module = SimpleNamespace(resample=functools.partial(thin_out, package))
        monkeypatch.setitem(sys.modules, package, module)
    with pytest.raises(SystemExit, match="130"):
        runpy.run_path(str(BENCHMARKS / "resampler.py"), run_name="__main__")
    runpy.run_path(str(BENCHMARKS / "resampler.py"), run_name="__main__")
    assert counts == {"resampy": 28, "soxr": 1 + 28}
    cells = read_measurement(Results(tmp_path / "results"), "resampler").groupby(["resampler", "protocol"], sort=False)
    assert [key for key, _ in cells] == [(name, protocol) for name in NAMES for protocol in sorted(PROTOCOLS)]
    assert (cells["selected"].sum() == 1).all() and (cells["classifier"].nunique() == 5).all()
    assert not list((tmp_path / "work").iterdir())
