"""Copies of a corpus by several resamplers, and the program that measures on them."""

from __future__ import annotations

import functools
import importlib
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
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


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what is asked of resampy and soxr, which `make setup` does not install: here they thin out 48 kHz."""
    counts: Counter[str] = Counter()

    def resample(package: str, samples: np.ndarray, rate: int, target: int, **options: str) -> np.ndarray:
        counts[package] += 1
        return samples[:: rate // target]

    for package in ("resampy", "soxr"):
        monkeypatch.setitem(sys.modules, package, SimpleNamespace(resample=functools.partial(resample, package)))
    return counts


def run(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    options = {"tasks": "SAV", "models": "logmel-stats"} | {
        key: str(folder / key) for key in ("data", "results", "work")
    }
    monkeypatch.setenv("SERAB_CACHE", str(folder / "cache"))
    # Without a search, and in this process, for speed.
    monkeypatch.setattr(grid, "Settings", functools.partial(grid.Settings, search=False, n_jobs=1))
    monkeypatch.setattr(sys, "argv", ["resampler", *(f"--{key}={value}" for key, value in options.items())])
    runpy.run_path(str(BENCHMARKS / "resampler.py"), run_name="__main__")


def test_a_copy_keeps_what_16_bits_cannot_hold(tmp_path: Path) -> None:
    write_savee(tmp_path, rate=48_000)
    corpus = find_corpus("SAV", tmp_path)
    importlib.import_module("resampler").write_copy(
        corpus, tmp_path / "copy", lambda samples, rate: 30 * samples[:: rate // 16_000]
    )
    copy = find_corpus("SAV", tmp_path / "copy")
    assert list(copy.utterances["stem"]) == list(corpus.utterances["stem"])
    path = copy.utterances["path"].iloc[-1]
    assert soundfile.info(path).subtype == "FLOAT"
    waveform, rate = decode(path)
    assert rate == 16_000 and float(waveform.max()) > 1


@pytest.mark.parametrize("name", NAMES)
def test_a_tone_stays_what_it_is(name: str, calls: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if package := {"kaiser-best-2022": "resampy", "soxr-hq": "soxr"}.get(name):
        monkeypatch.delitem(sys.modules, package)
        pytest.importorskip(package)
    change_rate = importlib.import_module("resampler").load_resamplers()[name]
    made = change_rate(np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32), 48_000)
    wanted = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert made.dtype == np.float32 and abs(len(made) - 16_000) <= 1
    np.testing.assert_allclose(made[1_000:15_000], wanted[1_000:15_000], atol=0.01)


def test_a_run_measures_every_copy_and_goes_on_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_savee(tmp_path / "data", rate=48_000)
    working = sys.modules["soxr"].resample
    sys.modules["soxr"].resample = lambda *arguments, **options: signal.raise_signal(signal.SIGINT)
    with pytest.raises(SystemExit, match="130"):
        run(monkeypatch, tmp_path)
    assert "the same command goes on from there" in capsys.readouterr().err
    sys.modules["soxr"].resample = working
    run(monkeypatch, tmp_path)
    assert calls == {"resampy": 84, "soxr": 84}
    table = read_measurement(Results(tmp_path / "results"), "resampler")
    cells = table.groupby(["task", "model", "resampler", "protocol"], sort=False)
    wanted = [("SAV", "logmel-stats", name, protocol) for name in NAMES for protocol in sorted(PROTOCOLS)]
    assert [key for key, _ in cells] == wanted
    assert (cells["selected"].sum() == 1).all() and (cells["classifier"].nunique() == 5).all()
    assert not list((tmp_path / "work").iterdir())


def test_a_package_that_is_not_installed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Counter[str]
) -> None:
    write_savee(tmp_path / "data")
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(SystemExit, match=r"^error: soxr is not installed: `pip install 'serab-companion\[bench\]'`$"):
        run(monkeypatch, tmp_path)
