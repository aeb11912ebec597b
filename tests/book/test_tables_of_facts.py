from __future__ import annotations

import pytest

from serab_lib.book import tables
from serab_lib.core import SerabError
from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.task import PAPER_TASKS, TASKS
from serab_lib.evaluation.paper import read_datasets
from serab_lib.extractors.registry import EXTRACTORS


def test_table_of_tasks_differs_from_the_paper_where_it_should_and_nowhere_else():
    table = tables.describe_tasks()
    assert tuple(table.index) == tuple(read_datasets()["code"])
    for kind, codes in {"classes": [], "speakers": [], "utterances": ["CAF", "CRE"]}.items():
        differ = table[f"{kind}, paper"] != table[f"{kind}, lists"]
        assert list(table.index[differ]) == codes
    assert table.loc["CAF", "utterances, lists"] == 936 and table.loc["CRE", "utterances, lists"] == 7438


def test_splits_know_who_shares_speakers():
    splits = tables.describe_splits()
    assert set(splits.index[splits["shared"] > 0]) == {("IEM", "released"), ("SHE", "released")}
    assert splits.loc[("SHE", "released"), ["train", "validation", "test"]].tolist() == [2070, 558, 372]


def test_table_of_extractors_has_every_row_of_the_paper():
    table = tables.describe_extractors()
    assert list(table.index) == [entry.name for entry in EXTRACTORS.values() if entry.paper_row]
    assert (table["size, paper"] == table["size, measured"]).all()
    differences = table["difference"].drop(["opensmile", "trill"])
    assert set(differences.index[differences != "none after rounding"]) == {"vggish", "yamnet"}
    assert table.loc["vggish", "difference"] == "+10.1 M"


def test_class_counts_add_up_to_the_utterances():
    counts = tables.count_classes()
    for code in TASKS:
        assert counts[code].sum() == len(list_utterances(code))
    assert counts.loc["fear", "SHE"] == 38


@pytest.mark.parametrize("table", [tables.list_corpus_licences(), tables.list_weight_licences()])
def test_licences_are_stated(table):
    assert table["licence"].str.len().min() > 2
    assert table["source"].str.startswith("[").all()


@pytest.mark.parametrize("code", PAPER_TASKS)
def test_file_list_has_the_columns_of_a_corpus(code):
    table = list_utterances(code)
    assert list(table.columns) == ["stem", "speaker", "emotion", "released_group", "duration_s", "sample_rate"]
    assert table["stem"].is_unique and set(table["emotion"]) == set(TASKS[code].classes)


def test_a_corpus_without_a_list_is_refused():
    from dataclasses import replace

    own = replace(TASKS["RAV"], code="OWN", name="own")
    with pytest.raises(SerabError, match="no list of the files"):
        list_utterances(own)
