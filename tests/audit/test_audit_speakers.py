"""Shared voices, and the groups that normalisation goes by."""

from __future__ import annotations

import pandas as pd
import pytest

from serab_lib.audit.speakers import compare_speakers, describe_normalisation, find_narrow_tests
from serab_lib.core import SerabError
from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.splits import measure_speaker_overlap, split
from serab_lib.corpora.task import PAPER_TASKS, TASKS


@pytest.fixture(scope="module")
def speakers() -> pd.DataFrame:
    return compare_speakers().set_index(["task", "protocol", "part"])


def test_only_the_released_shemo_and_iem4_share_voices(speakers: pd.DataFrame) -> None:
    shared = speakers.xs("test", level="part")["shared_with_train"]
    assert shared[shared > 0].to_dict() == {("IEM", "released"): 1.0, ("SHE", "released"): 1.0}


@pytest.mark.parametrize("code", ["SHE", "IEM", "RAV"])
@pytest.mark.parametrize("protocol", ["released", "described"])
def test_overlap_agrees_with_the_splits_own_measure(speakers: pd.DataFrame, code: str, protocol: str) -> None:
    parts = split(list_utterances(code), TASKS[code], protocol)
    for part in ("validation", "test"):
        row = speakers.loc[(code, protocol, part)]
        assert row["shared_with_train"] == measure_speaker_overlap(parts, part)
        assert row["n_utterances"] == (parts["part"] == part).sum()


def test_speakers_of_the_test_parts(speakers: pd.DataFrame) -> None:
    test = speakers.xs("test", level="part")
    columns = ["n_speakers", "n_female", "n_male", "n_unknown"]
    assert test.loc[("EMB", "described"), columns].tolist() == [2, 0, 2, 0]
    assert test.loc[("SAV", "described"), columns].tolist() == [1, 0, 1, 0]
    assert test.loc[("RAV", "described"), columns].tolist() == [5, 3, 2, 0]
    assert test.loc[("IEM", "released"), columns].tolist() == [4, 2, 2, 0]
    assert test.loc[("AES", "described"), columns].tolist() == [2, 0, 0, 2]


def test_genders_add_up(speakers: pd.DataFrame) -> None:
    assert (speakers[["n_female", "n_male", "n_unknown"]].sum(axis=1) == speakers["n_speakers"]).all()
    women = {speaker for speaker in list_utterances("SHE")["speaker"] if TASKS["SHE"].gender(speaker) == "female"}
    assert len(women) == 31
    parts = compare_speakers(tasks=["SUB"]).query("protocol == 'described'").set_index("part")
    assert (parts.loc["validation", "n_female"], parts.loc["test", "n_male"]) == (4, 4)


def test_released_groups_of_shemo_are_no_speakers() -> None:
    table = describe_normalisation(tasks=["SHE"]).set_index(["protocol", "part"])
    released, described = table.loc[("released", "test")], table.loc[("described", "test")]
    assert (released["groups_are"], described["groups_are"]) == ("number", "speakers")
    assert described["speakers_per_group"] == 1.0
    assert released["speakers_per_group"] > 10
    # Utterances that are alone in their group are normalised to nothing.
    assert table.loc["released", "n_alone"].sum() == 5


def test_narrow_tests(speakers: pd.DataFrame) -> None:
    found = find_narrow_tests(speakers.reset_index()).query("protocol == 'described'").set_index("task")
    assert set(PAPER_TASKS) - set(found.index) == {"CRE", "SHE"}
    assert found["one_gender"].to_dict()["EMB"] == found["one_gender"].to_dict()["SAV"] == "male"
    assert found.loc["RAV", "one_gender"] == ""


def test_a_task_without_a_list_is_refused() -> None:
    from auditing import make_task

    with pytest.raises(SerabError, match="no list of the files of Made-up ONE"):
        list_utterances(make_task())
