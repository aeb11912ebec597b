"""A planted speaker leak is measured, and none is where none was planted."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import get_task


@pytest.fixture(scope="module")
def program() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
        yield importlib.import_module("speaker_leak")


@pytest.fixture(scope="module")
def parts() -> pd.DataFrame:
    return split(list_utterances("RAV"), get_task("RAV"), "described")


def make_voices(parts: pd.DataFrame, own: float) -> np.ndarray:
    """Embeddings of emotions, which voices show in their own ways by so much."""
    rng = np.random.default_rng(0)
    emotion, speaker = (parts[column].astype("category").cat.codes for column in ("emotion", "speaker"))
    shared, single = 0.2 * rng.standard_normal((8, 64)), own * rng.standard_normal((24, 8, 64))
    return shared[emotion] + single[speaker, emotion] + rng.standard_normal((len(parts), 64))


@pytest.mark.parametrize(("own", "least", "most"), [(0.0, -0.03, 0.03), (0.8, 0.05, 1.0)])
def test_seen_speakers_help_where_they_show_emotions_in_their_own_ways(program, parts, own, least, most) -> None:
    units = program.name_sentences(parts, get_task("RAV"))
    leaks = program.measure_leak(make_voices(parts, own), parts, units, n_repeats=4)
    assert leaks["n_test"].tolist() == [30] * 5
    assert least < leaks["leak"].mean() < most


def test_takes_of_a_sentence_are_one_unit(program, parts) -> None:
    """All share a unit with one other file of the same speaker, emotion, intensity and statement."""
    units = program.name_sentences(parts, get_task("RAV"))
    pairs = parts.groupby(units)
    assert (pairs.size() == 2).all() and (pairs["speaker"].nunique() == 1).all()
    first, second = parts["stem"][units == units[0]]
    assert [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b] == [16]  # of the repetition


def test_a_planted_twin_leaks_only_where_takes_are_apart(program, parts) -> None:
    units = program.name_sentences(parts, get_task("RAV"))
    twins = np.random.default_rng(0).standard_normal((units.nunique(), 64))[pd.factorize(units)[0]]
    together, apart = (program.measure_leak(twins, parts, each, n_repeats=2) for each in (units, parts["stem"]))
    assert abs(together["leak"].mean()) < 0.05 < apart["leak"].mean()
