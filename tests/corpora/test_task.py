import dataclasses
import re
import tomllib
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest
from making import one_line

import serab_lib
from serab_lib.core import UnknownNameError
from serab_lib.corpora.corpus import read_manifest
from serab_lib.corpora.task import PAPER_TASKS, TASKS, Demo, Download, RemoteFile, Task, get_task, read_task

DATA = Path(serab_lib.__file__).parent / "data"
# The record of a corpus of one's own.
TOML = Path(__file__).with_name("own.toml").read_text()

# May be empty: what only some corpora have.
OPTIONAL = {
    "released_without", "excluded", "other_files", "oddities", "ignored_folders", "folder_prefix", "labels",
    "counts", "log_mel_statistics", "in_paper", "women", "demo",
}  # fmt: skip

# By the release: how its loaders number the classes, and the log-mel mean and standard deviation it has written down.
# Equal votes of an SVM go to the lower number.
RELEASED = pd.read_csv(Path(__file__).with_name("released.csv"), dtype=str, keep_default_na=False)
MISTAKES, OTHERS, SPEAKERS = tomllib.loads(Path(__file__).with_name("task.toml").read_text()).values()


def read_list(task: Task) -> pd.DataFrame:
    table = read_manifest(f"{task.name}.csv")
    return table.assign(stem=[PurePosixPath(file).stem for file in table["file"]])


def test_tasks_come_in_the_papers_order_with_the_releases_classes_and_statistics():
    assert PAPER_TASKS == ("AES", "CAF", "CRE", "EMB", "EMV", "IEM", "RAV", "SAV", "SHE")
    rows = ((code, task.classes, task.log_mel_statistics or ("", "")) for code, task in TASKS.items())
    found = [[code, " ".join(classes), *map(str, statistics)] for code, classes, statistics in rows]
    assert found == RELEASED.to_numpy().tolist()
    assert len({text.casefold() for task in TASKS.values() for text in (task.code, task.name)}) == 2 * len(TASKS)


def test_the_readme_explains_every_key():
    explained = set(re.findall(r"`\[?(\w+)\]?`", (DATA / "tasks" / "README.md").read_text()))
    for kind in (Task, Download, RemoteFile, Demo):
        assert {entry.name for entry in dataclasses.fields(kind)} <= explained


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_records_are_whole(task):
    assert read_task(DATA / "tasks" / f"{task.name}.toml") == task
    for entry in dataclasses.fields(task):
        if entry.name not in OPTIONAL:
            assert getattr(task, entry.name) not in ("", {}, (), None, "not stated"), entry.name
    assert re.fullmatch(r"https?://\S+", task.source) and re.fullmatch(r"[a-z]{2}", task.language_code)
    assert re.search(r"\((19|20)\d\d\)\. .+\.", task.citation), "a citation has a year and ends in a stop or DOI"
    assert task.access == "open" or re.match("Ask|Register", task.obtain)
    texts = (task.obtain, task.citation, *task.notes, task.download.advice)
    assert not any("  " in text or "\n" in text for text in texts)


@pytest.mark.parametrize("task", [each for each in TASKS.values() if not each.counts], ids=lambda task: task.code)
def test_patterns_read_the_listed_files_and_no_others(task):
    for stem in task.examples:
        assert not any(map(task.parse, (f"x{stem}", f"{stem} copy", f"{stem}~", f"{stem}\n", "")))
    listed = read_list(task)
    assert set(task.examples) <= set(listed["stem"])
    assert set(task.classes) == set(listed["emotion"]) >= set(task.released_without)
    for row in listed.itertuples():
        name = task.parse(row.stem)
        assert (name.speaker, task.emotions[name.emotion]) == (row.speaker, row.emotion), row.stem
        assert not any(re.fullmatch(pattern, row.stem) for pattern in task.other_files), row.stem


def test_other_files_of_a_corpus_are_known_and_cremads_excluded_ones_are_those_of_tensorflow_datasets():
    for code, stem, reason in OTHERS:
        assert TASKS[code].parse(stem) is None
        (found,) = {why for pattern, why in TASKS[code].other_files.items() if re.fullmatch(pattern, stem)}
        assert reason in found
    table = read_manifest("cremad_content.csv")
    is_excluded = pd.Series([PurePosixPath(file).stem in TASKS["CRE"].excluded for file in table["file"]])
    assert (~is_excluded).sum() == 7438, "its number"
    assert is_excluded[table["sha256"].duplicated(keep=False)].value_counts().to_dict() == {True: 3, False: 3}


def test_records_agree_with_the_paper():
    table = pd.read_csv(DATA / "paper" / "table1_datasets.csv", index_col="code")
    assert sorted(table.index) == sorted(PAPER_TASKS)
    for code, row in table.iterrows():
        task = TASKS[code]
        assert (task.title, task.language, task.access) == (row["dataset"], row["language"], row["access"].lower())
        assert len(task.classes) == row["classes"]
        if task.counts:
            counts = read_manifest(task.counts)
            assert set(counts["emotion"]) == set(task.classes)
            assert counts["utterances"].astype(int).sum() == row["utterances"]
            continue
        # The table's CaFE is without the neutral class, though it says seven classes.
        assert (~read_list(task)["emotion"].isin(task.released_without)).sum() == row["utterances"]


def test_speakers_are_women_where_the_corpus_says_so():
    for gender, names in SPEAKERS.items():
        assert {TASKS[name[:3]].gender(name[4:]) for name in names.split()} == {gender}
    for stem, speaker in read_list(TASKS["SUB"])[["stem", "speaker"]].itertuples(index=False):
        assert TASKS["SUB"].gender(speaker) == {"F": "female", "M": "male"}[stem[0]]


def test_a_task_goes_by_code_or_name_and_one_s_own_by_its_file(tmp_path):
    for text in ("RAV", "rav", "ravdess", "RAVDESS", " Ravdess ", TASKS["RAV"]):
        assert get_task(text) is TASKS["RAV"]
    with one_line(r"'ravdes'.*ravdess.*serab tasks", UnknownNameError):
        get_task("ravdes")
    with one_line(r"nowhere\.toml cannot be used: No such file"):
        get_task("path:nowhere.toml")
    (tmp_path / "own.toml").write_text(TOML)
    task = get_task(f"path:{tmp_path}/own.toml")
    assert task.parse("ann-ang-1") == ("ann", "ang", "ann")
    assert task.parse("ann-joy-1") is None, "an emotion that the record does not know"
    assert (task.title, task.shares, task.notes, task.in_paper) == ("own", (0.7, 0.1, 0.2), ("mine",), False)
    assert task.download.files[0].urls == ("https://example.org/own.zip",)


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_a_mistake_in_a_task_file_is_one_line_with_file_and_key(tmp_path, old, new, message):
    assert old in TOML
    (tmp_path / "own.toml").write_text(TOML.replace(old, new, 1))
    with one_line(rf"own\.toml cannot be used: .*{message}"):
        read_task(tmp_path / "own.toml")
