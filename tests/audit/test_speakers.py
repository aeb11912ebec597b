import itertools

import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from serab_lib.audit.speakers import compare_speakers, count_classes, describe_normalisation
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import measure_speaker_overlap, split
from serab_lib.corpora.task import get_task

KEY = ["task", "protocol", "part"]


def test_speakers_of_the_test_parts_of_which_only_the_released_shemo_and_iem4_share_voices() -> None:
    speakers = compare_speakers().set_index(KEY)
    for protocol, part in itertools.product(("released", "described"), ("validation", "test")):
        row, parts = speakers.loc[("SHE", protocol, part)], split(list_utterances("SHE"), get_task("SHE"), protocol)
        assert row["shared_with_train"] == measure_speaker_overlap(parts, part)
        assert row["n_utterances"] == (parts["part"] == part).sum()
    shared = speakers.xs("test", level="part")["shared_with_train"]
    assert shared[shared > 0].to_dict() == {("IEM", "released"): 1.0, ("SHE", "released"): 1.0}
    test = speakers.xs("test", level="part")[["n_speakers", "n_female", "n_male"]]
    keys = [("EMB", "described"), ("RAV", "described"), ("IEM", "released"), ("AES", "described")]
    assert test.loc[keys].to_numpy().tolist() == [[2, 0, 2], [5, 3, 2], [4, 2, 2], [2, 0, 0]]


def test_released_groups_of_shemo_are_no_speakers_and_classes_are_missing_from_released_parts() -> None:
    table = describe_normalisation().set_index(KEY).loc["SHE"]
    released, described = table.loc[("released", "test")], table.loc[("described", "test")]
    assert (released["groups_are"], described["groups_are"]) == ("number", "speakers")
    assert described["speakers_per_group"] == 1.0 and released["speakers_per_group"] > 10
    # Utterances that are alone in their group are normalised to nothing.
    assert table.loc["released", "n_alone"].sum() == 5
    counts = count_classes()
    table = counts.set_index(["task", "protocol", "emotion"])
    fear, neutral = table.xs(("SHE", "fear"), level=[0, 2]), table.xs(("CAF", "neutral"), level=[0, 2])["n_total"]
    assert fear[["n_total", "n_test"]].T.to_dict("list") == {"described": [38, 10], "released": [38, 0]}
    assert pd.isna(fear.loc["released", "half_width"])
    assert neutral.to_dict() == {"described": 72, "released": 0}
    even = counts.query("task == 'EMB' and n_test > 0 and n_test % 2 == 0")
    assert len(even)
    for row in even.itertuples():
        low, high = proportion_confint(row.n_test // 2, row.n_test, method="wilson")
        assert row.half_width == pytest.approx(100 * (high - low) / 2)
