"""A planted speaker leak is measured, and none is where none was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import get_task


@pytest.fixture(scope="module")
def leaks() -> dict[float, pd.DataFrame]:
    """What is measured on voices that show emotions in their own ways, by how much they do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
        from speaker_leak import measure_leak

        parts = split(list_utterances("RAV"), get_task("RAV"), "described")
        return {own: measure_leak(make_voices(parts, own), parts, n_repeats=4) for own in (0.0, 0.8)}


def make_voices(parts: pd.DataFrame, own: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    emotion, speaker = (parts[column].astype("category").cat.codes for column in ("emotion", "speaker"))
    shared, single = 0.2 * rng.standard_normal((8, 64)), own * rng.standard_normal((24, 8, 64))
    return shared[emotion] + single[speaker, emotion] + rng.standard_normal((len(parts), 64))


def test_known_voices_help_where_they_show_emotions_in_their_own_ways(leaks: dict[float, pd.DataFrame]) -> None:
    assert leaks[0.8]["leak"].mean() > 0.05
    assert (leaks[0.8]["n_test"] > 140).all()


def test_known_voices_do_not_help_where_all_show_emotions_alike(leaks: dict[float, pd.DataFrame]) -> None:
    assert abs(leaks[0.0]["leak"].mean()) < 0.03
