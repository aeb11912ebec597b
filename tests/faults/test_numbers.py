"""Extractors that give what is no number, and audio that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from faulting import assert_same_as_undisturbed, read_numbers, run

from serab_lib.extractors.logmel_stats import LogMelStats

BOTH = ("logmel-stats", "egemaps")


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_embeddings_that_are_no_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    """An extractor that gives NaN or infinity for one utterance: no cell of it, one line; others stay."""
    encode, n_left = LogMelStats.encode, [20]

    def spoil(self, prepared):
        vectors = encode(self, prepared)
        n_left[0] -= len(prepared)
        if n_left[0] < 0 <= n_left[0] + len(prepared):
            vectors = vectors.clone()
            vectors[0, 7] = value
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


@pytest.mark.parametrize(("pattern", "said"), [("*", "serab check savee"), ("*_d*", "cannot be learnt")])
def test_all_audio_or_that_of_a_class_is_damaged(folder: Path, pattern: str, said: str) -> None:
    """A corpus of which nothing, or nothing of a class, can be decoded: one line, no numbers."""
    for file in (folder / "data" / "savee").glob(pattern):
        file.write_text("no audio of " + file.stem)
    (failure,) = run(folder).failures
    assert said in failure and "\n" not in failure
    assert read_numbers(folder).empty


def test_silence_and_a_single_sample(folder: Path) -> None:
    """Audio without any sound, or of one sample, has finite numbers."""
    soundfile.write(folder / "data" / "savee" / "DC_a01.wav", np.zeros(16_000), 16_000)
    soundfile.write(folder / "data" / "savee" / "JE_a01.wav", np.zeros(1), 16_000)
    assert not run(folder, BOTH).failures
    assert np.isfinite(read_numbers(folder)["test_accuracy"]).all()
