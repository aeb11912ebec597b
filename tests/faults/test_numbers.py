"""Extractors that give what is no number, and audio that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from faulting import assert_same_as_undisturbed, read_numbers, run

from serab_lib.extractors.logmel_stats import LogMelStats

BOTH = ("logmel-stats", "egemaps")


@pytest.mark.parametrize(("which", "value"), [("one", np.nan), ("one", -np.inf), ("all", np.inf)])
def test_embeddings_that_are_no_numbers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, which: str, value: float
) -> None:
    """An extractor that gives NaN or infinity for one or all utterances: no cell of it, one line; others stay."""
    encode, n_left = LogMelStats.encode, [20]

    def spoil(self, prepared):
        vectors = encode(self, prepared)
        n_left[0] -= len(prepared)
        if which == "all" or n_left[0] < 0 <= n_left[0] + len(prepared):
            vectors = vectors.clone()
            vectors[slice(None) if which == "all" else 0, 7] = value
        return vectors

    with monkeypatch.context() as patch:
        patch.setattr(LogMelStats, "encode", spoil)
        summary = run(folder, BOTH)
    (failure,) = summary.failures
    assert "not finite" in failure
    assert "\n" not in failure
    assert set(read_numbers(folder)["model"]) == {"egemaps"}
    for shard in (folder / "cache").rglob("*.npz"):
        assert np.isfinite(np.load(shard)["embeddings"]).all()
    run(folder, BOTH)
    assert_same_as_undisturbed(folder, BOTH)


def test_all_audio_is_damaged(folder: Path) -> None:
    """A corpus of which nothing can be decoded: one line, no numbers."""
    for file in (folder / "data" / "savee").iterdir():
        file.write_text("no audio")
    summary = run(folder)
    (failure,) = summary.failures
    assert "serab check savee" in failure
    assert read_numbers(folder).empty


def test_a_class_is_damaged(folder: Path) -> None:
    """Damaged files that leave train without a class: one line, no numbers over fewer classes."""
    for file in (folder / "data" / "savee").glob("*_d*"):
        file.write_text("no audio of " + file.stem)
    summary = run(folder)
    assert not summary.computed
    (failure,) = summary.failures
    assert "cannot be learnt" in failure


def test_silence_and_a_single_sample(folder: Path) -> None:
    """Audio without any sound, or of one sample, has finite numbers."""
    import soundfile

    soundfile.write(folder / "data" / "savee" / "DC_a01.wav", np.zeros(16_000), 16_000)
    soundfile.write(folder / "data" / "savee" / "JE_a01.wav", np.zeros(1), 16_000)
    assert not run(folder, BOTH).failures
    assert torch.tensor(read_numbers(folder)["test_accuracy"].to_numpy()).isfinite().all()
    assert_same_as_undisturbed(folder, BOTH)
