"""The real corpus through the real checkpoint, to numbers that can be held against the paper's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.svm import SVC

from serab_lib.audio import decode, resample
from serab_lib.corpus import load_task
from serab_lib.embeddings import extract, measure_statistics
from serab_lib.evaluation.classifiers import fit_classifier
from serab_lib.evaluation.metrics import accuracy
from serab_lib.evaluation.protocol import Problem
from serab_lib.extractors.base import Statistics
from serab_lib.extractors.registry import load_extractor
from serab_lib.fingerprints import hash_files
from serab_lib.paper import read_accuracies
from serab_lib.splits import split
from serab_lib.tasks import get_task

pytestmark = pytest.mark.realdata
TASK = get_task("RAV")


@pytest.fixture(scope="module")
def parts(real_data: Path) -> pd.DataFrame:
    return split(load_task("RAV", real_data), TASK, "released")


@pytest.fixture(scope="module")
def byol(parts: pd.DataFrame, real_weights: Path, shared_cache: Path) -> tuple[np.ndarray, ...]:
    extractor = load_extractor("byol-s-512", weights=real_weights)
    extractor.with_statistics(Statistics(*TASK.log_mel_statistics))
    paths = list(parts["path"])
    made = extract(paths, hash_files(paths, cache=shared_cache), extractor, cache=shared_cache)
    return Problem(made.matrix, parts, TASK.classes).parts()


def make_radial_svm() -> SVC:
    return SVC(C=1e5, class_weight="balanced", max_iter=10_000)


def truth(parts: pd.DataFrame) -> np.ndarray:
    return parts.loc[parts["part"] == "test", "emotion"].map(TASK.classes.index).to_numpy()


def test_statistics_are_close_to_the_published_ones(parts: pd.DataFrame, real_weights: Path) -> None:
    train = list(parts.loc[parts["part"] == "train", "path"])
    measured = measure_statistics(train, load_extractor("byol-s-512", weights=real_weights))
    assert measured.mean == pytest.approx(-10.295, abs=2e-3)
    assert measured.std == pytest.approx(4.958, abs=2e-3)
    assert measured.mean == pytest.approx(TASK.log_mel_statistics[0], abs=0.05)


def test_radial_svm_reaches_the_papers_accuracy(byol: tuple[np.ndarray, ...], parts: pd.DataFrame) -> None:
    """BYOL-S 512 on RAVDESS: 77.3 in the paper, 76.7 here with the radial kernel at large C."""
    X_train, y_train, X_validation, y_validation, X_test = byol
    model = make_radial_svm()
    model.fit(np.concatenate([X_train, X_validation]), np.concatenate([y_train, y_validation]))
    printed = read_accuracies().loc["BYOL-S, 512", "RAV"] / 100
    assert accuracy(truth(parts), model.predict(X_test)) == pytest.approx(printed, abs=0.02)


def test_the_search_prefers_the_linear_svm_by_a_hair(byol: tuple[np.ndarray, ...], parts: pd.DataFrame) -> None:
    """Four of 300 validation utterances decide the kernel, and with it seven points on test."""
    result = fit_classifier("SVC", *byol)
    X_train, y_train, X_validation, y_validation, _ = byol
    radial = make_radial_svm().fit(X_train, y_train).score(X_validation, y_validation)
    assert result.best_params["kernel"] == "linear"
    assert 1 <= round(300 * (result.validation_accuracy - radial)) <= 6
    assert accuracy(truth(parts), result.predictions) == pytest.approx(0.697, abs=0.012)


def test_resampling_agrees_with_the_16_khz_recordings(real_data: Path) -> None:
    """The 16 kHz files were made with a later "kaiser_best" that falls off from 6.8 kHz on; below they agree."""
    originals = sorted((real_data / "ravdess_48k").glob("*/*.flac"))
    if not originals:
        pytest.skip("SERAB_DATA has no ravdess_48k")
    for path in originals:
        reference, rate = decode(real_data / "ravdess" / path.parent.name / path.name)
        result = resample(*decode(path))
        assert rate == 16_000
        assert len(result) == len(reference)
        frequencies = torch.fft.rfftfreq(len(result), 1 / 16_000)
        low = frequencies < 6_500
        error = torch.fft.rfft(result - reference)[low].abs().square().sum()
        assert error < 1e-5 * torch.fft.rfft(reference)[low].abs().square().sum(), path


def test_stereo_files_are_mixed_down(real_data: Path) -> None:
    stereo = real_data / "ravdess_48k" / "Actor_05" / "03-01-02-01-02-02-05.flac"
    if not stereo.exists():
        pytest.skip("SERAB_DATA has no ravdess_48k")
    waveform, rate = decode(stereo)
    assert (waveform.ndim, rate) == (1, 48_000)


@pytest.mark.slow
def test_opensmile_reaches_the_papers_accuracy(parts: pd.DataFrame, shared_cache: Path) -> None:
    """OpenSMILE on RAVDESS: 71.3 in the paper."""
    paths = list(parts["path"])
    made = extract(paths, hash_files(paths, cache=shared_cache), load_extractor("opensmile"), cache=shared_cache)
    result = fit_classifier("LR", *Problem(made.matrix, parts, TASK.classes).parts())
    printed = read_accuracies().loc["openSMILE", "RAV"] / 100
    assert accuracy(truth(parts), result.predictions) == pytest.approx(printed, abs=0.02)
