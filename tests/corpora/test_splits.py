import itertools
import tomllib
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest
from making import one_line

from serab_lib.corpora import splits
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import PARTS, PROTOCOLS, assign_parts, shuffle_groups, split
from serab_lib.corpora.task import TASKS

# Number of groups, then utterances in train, validation and test.
SIZES = pd.read_csv(Path(__file__).with_name("sizes.csv"), index_col=["task", "protocol"])
FOLDS = pd.read_csv(resources.files("serab_lib") / "data" / "manifests" / "folds.csv", dtype=str)
(REFUSED,) = tomllib.loads(Path(__file__).with_name("splits.toml").read_text()).values()


def toy(speakers: str, classes: str = "ab", **emotions: str) -> pd.DataFrame:
    rows = [(s, e) for s in speakers.split() for e in emotions.get(s, classes)]
    table = pd.DataFrame(rows, columns=["speaker", "emotion"])
    return table.assign(stem=[f"{s}{e}" for s, e in rows], released_group=table["speaker"])


@pytest.mark.parametrize("code", TASKS)
def test_sizes_shared_speakers_and_parts_in_the_order_of_the_shuffled_speakers(code):
    table, published = list_utterances(TASKS[code]), FOLDS.query("task == @code")["speaker"]
    before = table.copy()
    for protocol in PROTOCOLS:
        parts = split(table, TASKS[code], protocol)
        sizes = parts["part"].value_counts()
        assert [parts["group"].nunique(), *(sizes[part] for part in PARTS)] == SIZES.loc[(code, protocol)].tolist()
        assert (parts.groupby("group")["part"].nunique() == 1).all() and list(parts.index) == list(range(len(parts)))
        shared = float(protocol == "released" and code in ("SHE", "IEM"))
        assert splits.measure_speaker_overlap(parts) == shared == splits.measure_speaker_overlap(parts, "validation")
        if not shared:
            in_order = parts.drop_duplicates("group").set_index("group").loc[published, "part"]
            assert [part for part, _ in itertools.groupby(in_order)] == list(PARTS)
    assert splits.split_warnings([parts]) == []
    assert set(parts["emotion"]) == set(TASKS[code].classes)
    pd.testing.assert_frame_equal(table, before)


def test_released_shemo_groups_by_utterance_number_iem4_by_dialogue_prefix_and_cafe_lacks_neutral():
    shemo = split(list_utterances(TASKS["SHE"]), TASKS["SHE"], "released")
    assert (shemo["group"] == shemo["stem"].str[4:6]).all()
    iem4 = split(list_utterances(TASKS["IEM"]), TASKS["IEM"], "released")
    assert set(iem4.loc[iem4["part"] == "test", "group"]) == {"01F", "03M"}
    assert set(iem4.loc[iem4["part"] == "validation", "group"]) == {"04M", "02M"}
    cafe = [split(list_utterances(TASKS["CAF"]), TASKS["CAF"], protocol) for protocol in ("released", "described")]
    assert [(parts["emotion"] == "neutral").sum() for parts in cafe] == [0, 72]


@pytest.mark.parametrize("code", TASKS)
def test_rotated_tests_every_speaker_once_as_published_and_never_shares_one(code):
    table, published = list_utterances(TASKS[code]), FOLDS.query("task == @code")
    names = [list(own) for _, own in published.groupby("fold", sort=False)["speaker"]]
    folds = splits.split_folds(table, TASKS[code], "rotated")
    assert len(folds) == len(names) == min(5, table["speaker"].nunique())
    assert not published["speaker"].duplicated().any()
    for number, parts in enumerate(folds):
        assert (parts.groupby("speaker")["part"].nunique() == 1).all() and list(parts["stem"]) == list(table["stem"])
        speakers = {part: set(own) for part, own in parts.groupby("part")["speaker"]}
        assert (speakers["test"], speakers["validation"]) == (set(names[number]), set(names[(number + 1) % len(names)]))
    described = split(table, TASKS[code], "described")
    assert speakers["test"] == set(described.loc[described["part"] == "test", "speaker"])
    assert splits.cut_folds(["DC", "JE", "KL", "JK", "DC"]) == [["JK"], ["KL"], ["JE"], ["DC"]]


def test_a_class_that_is_missing_from_a_validation_or_test_part_is_a_warning():
    folds = splits.split_folds(toy("DC JE JK KL", "abc", DC="ab"), TASKS["SAV"], "rotated")
    said = "class c has no utterance in validation of 1 folds: the hyperparameters are chosen without it"
    assert splits.split_warnings(folds) == [said]
    parts = split(toy("DC JE JK KL", "abc", DC="ab", JE="bc"), TASKS["SAV"], "described")
    first, second = splits.split_warnings([parts])
    assert first == "class a has no utterance in validation: the hyperparameters are chosen without it"
    assert second == "class c has no utterance in test: its recall cannot be measured"


def test_cuts_use_a_running_float_sum_and_no_order_of_files():
    assert shuffle_groups(["10", "9", "8", "9"]) == shuffle_groups(["8", "9", "10"])
    groups = [str(number) for number in range(20)]
    parts = assign_parts(groups, (0.7, 0.1, 0.2))
    # 0.7 + 0.1 is 0.7999999999999999: the cut of 20 groups falls at 15, where 0.8 would put it at 16.
    assert [list(parts.values()).count(part) for part in PARTS] == [14, 1, 5]
    assert list(assign_parts(groups[:10], (0.6, 0.2, 0.2)).values()).count("test") == 2


@pytest.mark.parametrize(("protocol", "code", "speakers", "options", "message"), REFUSED)
def test_too_few_speakers_or_a_class_that_cannot_be_learnt(protocol, code, speakers, options, message):
    with one_line(message):
        splits.split_folds(toy(speakers, **options), TASKS[code], protocol)
