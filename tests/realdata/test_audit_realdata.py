"""The audit of a real corpus: RAVDESS holds one recording twice, by its sound as by its released hashes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from serab_lib.audio import decode, resample
from serab_lib.audit.measurements import find_duplicates, hash_corpora
from serab_lib.corpora.corpus import find_corpus
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import get_task
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.protocol import evaluate
from serab_lib.extractors.opensmile import OpenSmile

pytestmark = pytest.mark.realdata


def test_ravdess_has_one_recording_under_two_names(real_data: Path) -> None:
    sounds = hash_corpora(real_data)["RAV"]
    assert len(sounds) == 1440
    (twice,) = find_duplicates(get_task("RAV"), {})["files"]
    assert twice == ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
    assert sounds["sha256"].duplicated().sum() == 1
    assert sounds["sha256"][twice[0]] == sounds["sha256"][twice[1]]


@pytest.fixture(scope="module")
def clicks() -> dict[str, float]:
    path = Path(__file__).resolve().parents[2] / "serab_lib" / "data" / "findings.toml"
    return tomllib.loads(path.read_text())["full-scale-click"]["values"]


def read_waveforms(code: str, data: Path) -> tuple[pd.DataFrame, list[torch.Tensor]]:
    utterances = find_corpus(get_task(code), data).utterances
    return utterances, [resample(*decode(path)) for path in utterances["path"]]


def count_clicks(waveform: torch.Tensor) -> int:
    """Samples that 16 bits do not hold once openSMILE's wrapper has multiplied them and cut the fraction off."""
    scaled = np.trunc(32768 * waveform.numpy().astype(float))
    return int(((scaled > 32767) | (scaled < -32768)).sum())


@pytest.mark.parametrize("code", ["EMB", pytest.param("RAV", marks=pytest.mark.nightly)])
def test_samples_beyond_16_bits_are_counted(code: str, real_data: Path, clicks: dict[str, float]) -> None:
    _, waveforms = read_waveforms(code, real_data)
    counts = np.array([count_clicks(waveform) for waveform in waveforms])
    found = len(counts), int((counts > 0).sum()), int(counts.sum())
    assert found == tuple(clicks[f"{name}_{code}"] for name in ("n", "n_files", "n_samples"))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_emodb_with_clicks_gives_the_printed_accuracy(real_data: Path, clicks: dict[str, float]) -> None:
    """The printed cell and the clipped one are an utterance apart."""
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals)
    utterances, waveforms = read_waveforms("EMB", real_data)
    clipped = torch.stack([OpenSmile().prepare(waveform)[:, 0] for waveform in waveforms]).numpy()
    heard = clipped.copy()
    for row, waveform in zip(heard, waveforms, strict=True):
        if count_clicks(waveform):
            row[:] = np.nan_to_num(smile.process_signal(waveform.numpy(), 16_000).to_numpy(dtype=np.float32)[0])
    parts, classes = split(utterances, get_task("EMB"), "released"), get_task("EMB").classes
    accuracies = {}
    for name, features in {"clipped": clipped, "with_clicks": heard}.items():
        scores = evaluate(features, parts, protocol="released", classes=classes).scores
        accuracies[name] = round(100 * scores.loc[scores["selected"], "test_accuracy"].item(), 1)
    assert accuracies == {name: clicks[name] for name in accuracies}
    assert accuracies["with_clicks"] == read_accuracies().loc["openSMILE", "EMB"]
