"""A planted speaker leak is measured, and none is where none was planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serab_lib.audit.leak import Voices, compare_protocols, measure_leak, simulate_leak
from serab_lib.core import SerabError
from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.task import TASKS

QUICK = Voices(n_dimensions=32)


def test_shemos_grouping_leaks() -> None:
    table = simulate_leak(list_utterances("SHE"), TASKS["SHE"], voices=QUICK, n_draws=2)
    means = 100 * table.groupby(["split", "normalisation"])["accuracy"].mean()
    assert means["released", "released"] > means["described", "described"] + 10
    assert set(table.groupby("split")["n_test"].unique().map(tuple)) == {(372,), (738,)}
    assert set(table.groupby("split")["shared"].unique().map(tuple)) == {(1.0,), (0.0,)}


def test_a_task_grouped_by_speaker_gives_the_same_under_both() -> None:
    utterances = list_utterances("SAV")
    table = compare_protocols(QUICK.embed(utterances, rng=0), utterances, TASKS["SAV"])
    assert table["accuracy"].nunique() == 1
    assert len(table) == 4


def test_known_voices_help_where_speakers_express_themselves_differently() -> None:
    utterances = list_utterances("RAV")
    leaky = measure_leak(Voices(interaction=0.8).embed(utterances, rng=0), utterances, TASKS["RAV"], n_repeats=4)
    assert leaky["leak"].mean() > 0.05
    assert (leaky["n_test"] > 140).all()


def test_known_voices_do_not_help_where_speakers_express_themselves_alike() -> None:
    utterances = list_utterances("RAV")
    clean = measure_leak(Voices(interaction=0.0).embed(utterances, rng=0), utterances, TASKS["RAV"], n_repeats=6)
    assert abs(clean["leak"].mean()) < 0.03


def test_voices_are_seeded_and_made_of_their_parts() -> None:
    utterances = pd.DataFrame({"speaker": ["a", "a", "b"] * 40, "emotion": ["x", "x", "x"] * 40})
    same = Voices(noise=0.0).embed(utterances, rng=1)
    np.testing.assert_array_equal(same, Voices(noise=0.0).embed(utterances, rng=1))
    assert (same[0] == same[1]).all()
    assert not np.allclose(same[0], same[2])
    noisy = Voices(emotion=0, speaker=0, interaction=0, noise=2.0).embed(utterances, rng=1)
    assert noisy.std() == pytest.approx(2.0, rel=0.05)


def test_embeddings_must_fit_the_utterances() -> None:
    utterances = list_utterances("SAV")
    with pytest.raises(SerabError, match="479 embeddings for 480 utterances"):
        compare_protocols(np.zeros((479, 4)), utterances, TASKS["SAV"])
