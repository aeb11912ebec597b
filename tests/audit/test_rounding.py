"""Signals that round to the same 16 bits: what they are, and what a cell makes of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from making import write_savee

from serab_lib.audit.rounding import STEP, Unrounded, describe_draws, measure_rounding, report_draws, unround
from serab_lib.corpus import find_corpus
from serab_lib.errors import SerabError
from serab_lib.evaluation.classifiers import CLASSIFIERS
from serab_lib.extractors.base import Statistics
from serab_lib.extractors.registry import load_extractor


def test_a_drawn_signal_rounds_to_the_recording() -> None:
    steps = torch.tensor([5.0, -3.0, 0.0, 1.0] * 50)
    drawn = unround(steps * STEP, 1)
    torch.testing.assert_close((drawn / STEP).round(), steps)
    away = (drawn / STEP - steps).abs()
    assert 0.2 < float(away.mean()) < 0.3
    assert float(away.max()) <= 0.5 + 1e-4
    assert not torch.equal(drawn, unround(steps * STEP, 2))


def test_silence_stays_silent() -> None:
    waveform = torch.zeros(200)
    waveform[100] = STEP
    drawn = unround(waveform, 0)
    assert (drawn[:92] == 0).all()
    assert (drawn[109:] == 0).all()
    assert (drawn[92:109] != 0).all()


def test_a_draw_belongs_to_its_recording() -> None:
    """Whatever the order of the work, a recording is drawn the same; another seed draws it anew."""
    extractor = load_extractor("logmel-stats")
    tone = 0.01 * torch.sin(torch.arange(8_000) / 7)
    first, second = (Unrounded(extractor, 1).embed(waveforms) for waveforms in ([tone, tone / 2], [tone / 2, tone]))
    torch.testing.assert_close(first, second.flip(0), rtol=0, atol=0)
    assert not torch.equal(first, Unrounded(extractor, 2).embed([tone, tone / 2]))
    assert not torch.equal(first, extractor.embed([tone, tone / 2]))


def test_draws_are_kept_apart_on_disk(byol_checkpoint: Path) -> None:
    """From one another, from the recording, and by the statistics that spectrograms are normalised with."""
    extractor = load_extractor(f"path:{byol_checkpoint}")
    names = [extractor.identify(), Unrounded(extractor, 1).identify(), Unrounded(extractor, 2).identify()]
    extractor.with_statistics(Statistics(-9.0, 4.0))
    names += [extractor.identify(), Unrounded(extractor, 1).identify()]
    assert len(set(map(tuple, names))) == len(names)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("rounding")
    write_savee(folder / "data")
    corpus = find_corpus("SAV", folder / "data")
    extractor = load_extractor("logmel-stats")
    told = []
    table = measure_rounding(
        corpus,
        extractor,
        cache=folder / "cache",
        n_draws=2,
        classifiers=("LDA", "SVC"),
        n_jobs=1,
        progress=lambda *counts: told.append(counts),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
    return table.assign(task="SAV", model="logmel-stats")


def test_a_cell_is_evaluated_on_each_draw(measured: pd.DataFrame) -> None:
    assert list(zip(measured["draw"], measured["classifier"], strict=True)) == [
        (draw, name) for draw in range(3) for name in ("LDA", "SVC")
    ]
    assert measured["test_accuracy"].between(0, 1).all()
    assert set(measured["classifier"]) <= set(CLASSIFIERS)


@pytest.mark.parametrize(("protocol", "column"), [("released", "test_accuracy"), ("described", "validation_accuracy")])
def test_each_draw_reports_one_classifier(measured: pd.DataFrame, protocol: str, column: str) -> None:
    reported = report_draws(measured, protocol)
    assert reported["draw"].tolist() == [0, 1, 2]
    best = measured.loc[measured.groupby("draw")[column].idxmax()]
    assert reported["test_accuracy"].tolist() == best["test_accuracy"].tolist()
    kernels = {"LDA", *(f"SVC, {kernel}" for kernel in ("rbf", "linear"))}
    assert set(reported["setting"]) <= kernels


def test_a_broken_recording_is_named(tmp_path: Path) -> None:
    write_savee(tmp_path / "data")
    (tmp_path / "data" / "savee" / "DC_a01.wav").write_text("no audio")
    corpus = find_corpus("SAV", tmp_path / "data")
    with pytest.raises(SerabError, match=r"DC_a01\.wav cannot be decoded"):
        measure_rounding(corpus, load_extractor("logmel-stats"), cache=tmp_path / "cache", n_draws=1, n_jobs=1)


def test_draws_are_described_beside_the_printed_number() -> None:
    rows = [
        ("RAV", model, draw, "LR", accuracy) for model in ("a", "b") for draw, accuracy in enumerate((0.7, 0.6, 0.75))
    ]
    reported = pd.DataFrame(rows, columns=["task", "model", "draw", "setting", "test_accuracy"])
    assert describe_draws(reported, {"b": 77.0}).splitlines() == [
        "- `a`: 70.0 % as stored, 60.0 to 75.0 % else.",
        "- `b`: 70.0 % as stored, 60.0 to 75.0 % else; 1 of 2 within 2 points of the printed 77.0.",
    ]
