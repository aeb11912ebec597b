import functools
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from making import ROOT

from serab_lib.audio import decode, resample
from serab_lib.audit.measurements import find_duplicates, hash_corpora
from serab_lib.corpora import check, corpus, splits, task
from serab_lib.evaluation import paper, protocol
from serab_lib.extractors.opensmile import OpenSmile

pytestmark = pytest.mark.realdata
check_corpus = functools.cache(check.check_corpus)
CLICKS = tomllib.loads((ROOT / "serab_lib/data/findings.toml").read_text())["full-scale-click"]["values"]


@pytest.mark.parametrize("code", ["AES", "EMB", "EMV", "RAV"])
def test_corpora_at_hand_are_as_released(code, real_data):
    if not (real_data / task.TASKS[code].name).is_dir():
        pytest.skip(f"SERAB_DATA has no {task.TASKS[code].name}")
    report = check_corpus(code, real_data)
    assert report.n_originals == report.n_utterances == corpus.find_corpus(code, real_data).n_expected
    assert not any(problem.affects_result for problem in report.problems)


def test_ravdess_has_one_recording_under_two_names(real_data):
    sounds = hash_corpora(real_data)["RAV"]
    assert len(sounds) == 1440
    (twice,) = find_duplicates(task.TASKS["RAV"], {})["files"]
    assert twice == ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
    assert sounds["sha256"].duplicated().sum() == 1 == sounds.loc[[*twice], "sha256"].nunique()
    (problem,) = check_corpus("RAV", real_data).problems
    assert all(name in problem.file for name in twice)


def test_a_copy_of_another_rate_is_no_original(real_data):
    """The widely copied RAVDESS at 16 kHz, where it lies beside the originals."""
    copies = real_data.parent / "data"
    if not (copies / "ravdess").is_dir():
        pytest.skip("there is no folder data/ravdess beside SERAB_DATA")
    report = check_corpus("RAV", copies)
    n_resampled = sum(each.kind == "resampled" for each in report.problems)
    assert (report.n_originals, report.n_utterances, n_resampled) == (0, 1440, 1440)


def read_waveforms(code: str, data: Path) -> tuple[pd.DataFrame, list[torch.Tensor]]:
    utterances = corpus.find_corpus(code, data).utterances
    return utterances, [resample(*decode(path)) for path in utterances["path"]]


def count_clicks(waveform: torch.Tensor) -> int:
    """Samples that 16 bits do not hold once openSMILE's wrapper has multiplied them and cut the fraction off."""
    scaled = np.trunc(32768 * waveform.numpy().astype(float))
    return int(((scaled > 32767) | (scaled < -32768)).sum())


@pytest.mark.parametrize("code", ["EMB", pytest.param("RAV", marks=pytest.mark.nightly)])
def test_samples_beyond_16_bits_are_counted(code, real_data):
    counts = np.array([count_clicks(waveform) for waveform in read_waveforms(code, real_data)[1]])
    found = {"n": len(counts), "n_files": int((counts > 0).sum()), "n_samples": int(counts.sum())}
    assert found == {name: CLICKS[f"{name}_{code}"] for name in found}


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_emodb_with_clicks_gives_the_printed_accuracy(real_data):
    """The printed cell and the clipped one are an utterance apart."""
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals)
    utterances, waveforms = read_waveforms("EMB", real_data)
    clipped = torch.stack([OpenSmile().prepare(waveform)[:, 0] for waveform in waveforms]).numpy()
    heard = clipped.copy()
    for row, waveform in zip(heard, waveforms, strict=True):
        if count_clicks(waveform):
            row[:] = np.nan_to_num(smile.process_signal(waveform.numpy(), 16_000).to_numpy(dtype=np.float32)[0])
    parts, classes = splits.split(utterances, task.TASKS["EMB"], "released"), task.TASKS["EMB"].classes
    accuracies = {}
    for name, features in {"clipped": clipped, "with_clicks": heard}.items():
        scores = protocol.evaluate(features, parts, protocol="released", classes=classes).scores
        accuracies[name] = round(100 * scores.loc[scores["selected"], "test_accuracy"].item(), 1)
    assert accuracies == {name: CLICKS[name] for name in accuracies}
    assert accuracies["with_clicks"] == paper.read_accuracies().loc["openSMILE", "EMB"]
