"""The records of the tasks: complete, unique, and true to the lists of real file names."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest

from serab_lib.core import SerabError, UnknownNameError
from serab_lib.corpora.corpus import read_manifest
from serab_lib.corpora.task import PAPER_TASKS, TASKS, Task, get_task, read_task

# May be empty: what only some corpora have.
OPTIONAL = {
    "released_without", "excluded", "other_files", "oddities", "ignored_folders", "folder_prefix", "labels",
    "counts", "log_mel_statistics", "in_paper",
}  # fmt: skip


@pytest.fixture(params=TASKS.values(), ids=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return request.param


def own_task(**changes: object) -> Task:
    return dataclasses.replace(TASKS["RAV"], **{"code": "OWN", "name": "own"} | changes)


def read_list(task: Task) -> pd.DataFrame:
    table = read_manifest(f"{task.name}.csv")
    if table is None:
        pytest.skip(f"{task.name} may not be listed by file names")
    return table.assign(stem=[PurePosixPath(file).stem for file in table["file"]])


def test_paper_order() -> None:
    assert PAPER_TASKS == ("AES", "CAF", "CRE", "EMB", "EMV", "IEM", "RAV", "SAV", "SHE")
    assert list(TASKS) == [*PAPER_TASKS, "SUB"]


def test_codes_and_names_are_unique() -> None:
    known = [text.casefold() for task in TASKS.values() for text in (task.code, task.name)]
    assert len(set(known)) == 2 * len(TASKS)
    assert all(task.code == code for code, task in TASKS.items())


def test_nothing_is_empty(task: Task) -> None:
    for entry in dataclasses.fields(task):
        if entry.name not in OPTIONAL:
            assert getattr(task, entry.name), f"{task.code} lacks {entry.name}"


def test_texts_are_whole(task: Task) -> None:
    assert re.fullmatch(r"https?://\S+", task.source)
    assert re.fullmatch(r"[a-z]{2}", task.language_code)
    assert re.search(r"\((19|20)\d\d\)\. .+\.", task.citation), "a citation has a year and ends in a stop or DOI"
    assert task.obtain.endswith(".")
    for text in (task.obtain, task.citation, *task.notes):
        assert "  " not in text and "\n" not in text


def test_restricted_tasks_say_how_to_ask() -> None:
    restricted = {task.code: task.obtain for task in TASKS.values() if task.access == "restricted"}
    assert set(restricted) == {"IEM", "SAV"}
    assert "Ask" in restricted["IEM"] and "form" in restricted["IEM"]
    assert "Register" in restricted["SAV"]


def test_only_the_paper_tasks_have_released_statistics(task: Task) -> None:
    assert (task.log_mel_statistics is not None) == task.in_paper
    if task.log_mel_statistics:
        mean, deviation = task.log_mel_statistics
        assert mean < 0 < deviation, "mean first, then standard deviation"


def test_examples_are_parsed(task: Task) -> None:
    for stem, (speaker, *emotion) in task.examples.items():
        name = task.parse(stem)
        assert name is not None, stem
        assert name.speaker == speaker
        assert (name.emotion is None) == bool(task.labels)
        if not task.labels:
            assert [task.emotions[name.emotion]] == emotion


def test_examples_are_real(task: Task) -> None:
    assert set(task.examples) <= set(read_list(task)["stem"])


def test_pattern_parses_every_listed_file(task: Task) -> None:
    for row in read_list(task).itertuples():
        name = task.parse(row.stem)
        assert name is not None, row.stem
        assert (name.speaker, task.emotions[name.emotion]) == (row.speaker, row.emotion), row.stem


def test_classes_are_those_of_the_list(task: Task) -> None:
    table = read_manifest(task.counts) if task.counts else read_list(task)
    assert set(table["emotion"]) == set(task.classes)
    assert set(task.released_without) <= set(task.classes)


def test_pattern_refuses_other_names(task: Task) -> None:
    for stem in task.examples:
        for other in (f"x{stem}", f"{stem} copy", f"{stem}~", f"{stem}\n", ""):
            assert task.parse(other) is None, other


OTHER_FILES = [
    ("RAV", "03-02-05-01-02-01-01", "sung"),
    ("RAV", "01-01-05-01-02-01-01", "video"),
    ("RAV", "02-02-05-01-02-01-01", "sung"),
    ("IEM", "Ses01F_impro01", "whole dialogue"),
    ("IEM", "Ses05M_script01_1b", "whole dialogue"),
    ("IEM", "Ses01M_script01_3_XX0", "neither actor"),
]


@pytest.mark.parametrize(("code", "stem", "reason"), OTHER_FILES)
def test_other_files_of_a_corpus_are_known_and_no_utterances(code: str, stem: str, reason: str) -> None:
    task = TASKS[code]
    assert task.parse(stem) is None
    (found,) = {why for pattern, why in task.other_files.items() if re.fullmatch(pattern, stem)}
    assert reason in found


def test_other_files_match_no_utterance(task: Task) -> None:
    for stem in [*task.examples, *(read_list(task)["stem"] if not task.labels else ())]:
        assert not any(re.fullmatch(pattern, stem) for pattern in task.other_files), stem


def test_records_agree_with_the_paper() -> None:
    table = pd.read_csv(
        PurePosixPath(__file__).parents[1] / "serab_lib/data/paper/table1_datasets.csv", index_col="code"
    )
    assert sorted(table.index) == sorted(PAPER_TASKS)
    for code, row in table.iterrows():
        task = TASKS[code]
        assert (task.title, task.language, task.access) == (
            row["dataset"],
            row["language"],
            row["access"].lower(),
        )
        assert len(task.classes) == row["classes"]
        if task.counts:
            assert read_manifest(task.counts)["utterances"].astype(int).sum() == row["utterances"]
            continue
        listed = read_list(task)
        # The table's CaFE is without the neutral class, though it says seven classes.
        assert (~listed["emotion"].isin(task.released_without)).sum() == row["utterances"]


def test_excluded_files() -> None:
    assert set(TASKS["AES"].excluded) == {"s05 (3)"}
    assert "1040_ITH_SAD_XX" in TASKS["CRE"].excluded and "1040_ITH_SAD_X" in TASKS["CRE"].excluded
    listed = set(read_list(TASKS["CRE"])["stem"])
    assert len(listed - set(TASKS["CRE"].excluded)) == 7438, "TensorFlow Datasets' number"


def test_excluded_cremad_files_are_the_twins_that_the_digests_show() -> None:
    table = read_manifest("cremad_content.csv")
    stems = pd.Series([PurePosixPath(file).stem for file in table["file"]], name="stem")
    twins = stems[table["sha256"].duplicated(keep=False).to_numpy()]
    assert len(twins) == 6
    assert sum(stem in TASKS["CRE"].excluded for stem in twins) == 3


@pytest.mark.parametrize("text", ["RAV", "rav", "ravdess", "RAVDESS", " Ravdess "])
def test_get_task_by_code_or_name(text: str) -> None:
    assert get_task(text) is TASKS["RAV"]
    assert get_task(TASKS["RAV"]) is TASKS["RAV"]


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"'ravdes'.*ravdess.*serab tasks"):
        get_task("ravdes")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pattern": "("}, "no regular expression"),
        ({"pattern": r"(?P<emotion>\d)"}, "no group speaker"),
        ({"released_group": "number"}, "no group number"),
        ({"access": "free"}, "expected open or restricted"),
        ({"shares": (0.6, 0.2, 0.3)}, "three that sum to 1"),
        ({"emotions": {"01": "anger"}}, "at least two"),
        ({"name": "a/b"}, "letters, digits"),
    ],
)
def test_contradictory_record_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SerabError, match=message) as caught:
        own_task(**changes)
    assert "\n" not in str(caught.value)


TOML = r"""
code = "OWN"
name = "own"
pattern = '(?P<speaker>\w+)-(?P<emotion>\w+)-(?P<take>\d+)'
emotions = {ang = "anger", sad = "sadness"}
notes = ["mine"]
shares = [0.7, 0.1, 0.2]
"""


def test_read_task(tmp_path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(TOML)
    task = read_task(file)
    assert task.parse("ann-ang-1") == ("ann", "ang", "ann")
    assert task.parse("ann-joy-1") is None, "an emotion that the record does not know"
    assert (task.title, task.shares, task.notes, task.in_paper) == ("own", (0.7, 0.1, 0.2), ("mine",), False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TOML + 'patern = "x"\n', "unknown key patern"),
        ('code = "OWN"', "key name, pattern, emotions is missing"),
        ("code =", "cannot be used"),
        (TOML.replace('{ang = "anger", sad = "sadness"}', '"anger"'), "expected a table"),
        (TOML.replace("[0.7, 0.1, 0.2]", '"many"'), "shares"),
    ],
)
def test_read_task_refuses_in_one_line(tmp_path, content: str, message: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(content)
    with pytest.raises(SerabError, match=message) as caught:
        read_task(file)
    assert "\n" not in str(caught.value)


def test_read_task_without_file(tmp_path) -> None:
    with pytest.raises(SerabError, match="cannot be used"):
        read_task(tmp_path / "none.toml")


def test_a_corpus_of_ones_own_goes_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        'code = "OWN"\nname = "own"\npattern = "(?P<speaker>x)(?P<emotion>y|z)"\nemotions = {y = "anger", z = "fear"}\n'
    )
    assert get_task(f"path:{file}").code == "OWN"
    with pytest.raises(SerabError, match="cannot be used"):
        get_task("path:nowhere.toml")


@pytest.mark.parametrize(
    ("code", "order"),
    [
        ("RAV", "anger disgust fear happiness sadness surprise neutral calm"),
        ("EMB", "anger boredom disgust fear happiness sadness neutral"),
        ("CRE", "neutral happiness sadness anger fear disgust"),
    ],
)
def test_classes_are_numbered_as_in_the_releases_loaders(code: str, order: str) -> None:
    assert " ".join(get_task(code).classes) == order
