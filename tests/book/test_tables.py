import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from making import COMMITTED, make_cells

from serab_lib.audit.tables import recover_test_sizes
from serab_lib.book import tables
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.task import PAPER_TASKS, TASKS
from serab_lib.evaluation.paper import read_accuracies, read_datasets
from serab_lib.extractors.registry import EXTRACTORS

MODELS = ("opensmile", "byol-s-512")
ACCURACIES = dict(zip(itertools.product(MODELS, ("AES", "RAV")), (0.5, 0.7, 0.4, 0.6), strict=True))


def make_grid(accuracies: dict[tuple[str, str], float]) -> pd.DataFrame:
    rows = []
    for (model, task), value in accuracies.items():
        cell = {"task": task, "model": model, "n_test": {"AES": 100, "RAV": 300}[task]}
        rows += [cell | {"test_accuracy": value}, cell | {"test_accuracy": 0.01, "selected": False}]
    return make_cells(*rows)


def test_table_of_tasks_differs_from_the_paper_where_it_should_and_nowhere_else() -> None:
    table = tables.describe_tasks()
    assert tuple(table.index) == tuple(read_datasets()["code"])
    for kind, codes in {"classes": [], "speakers": [], "utterances": ["CAF", "CRE"]}.items():
        assert list(table.index[table[f"{kind}, paper"] != table[f"{kind}, lists"]]) == codes
    assert table.loc["CAF", "utterances, lists"] == 936 and table.loc["CRE", "utterances, lists"] == 7438
    assert table.loc["RAV", "mean s, lists"] == pytest.approx(3.70, abs=0.01)
    # Some of ShEMO's durations are not known, and none of IEM4's: what the others add up to is no total.
    assert list(table.index[table["total h, lists"].isna()]) == ["IEM", "SHE"]


def test_splits_know_who_shares_speakers_and_the_most_frequent_emotion_of_each_test_set() -> None:
    splits = tables.describe_splits()
    assert set(splits.index[splits["shared"] > 0]) == {("IEM", "released"), ("SHE", "released")}
    assert splits.loc[("SHE", "released"), ["train", "validation", "test"]].tolist() == [2070, 558, 372]
    wanted = dict(AES=20.8, CAF=16.7, CRE=17.1, EMB=31.0, EMV=14.3, IEM=34.8, RAV=13.3, SAV=25.0, SHE=44.4)
    assert (100 * splits["majority"].xs("released", level="protocol")).round(1).drop("SUB").to_dict() == wanted


def test_class_counts_add_up_to_the_utterances_and_licences_are_stated() -> None:
    counts = tables.count_classes()
    assert counts.sum().to_dict() == {code: len(list_utterances(code)) for code in TASKS}
    assert counts.loc["fear", "SHE"] == 38
    for table in (tables.list_corpus_licences(), tables.list_weight_licences()):
        assert table["licence"].str.len().min() > 2
        assert table["source"].str.fullmatch(r"\[[\w.-]+\]\(https?://.+\)|–").all() and (table["source"] != "–").any()


def test_table_of_extractors_has_every_row_of_the_paper() -> None:
    table = tables.describe_extractors()
    assert list(table.index) == [entry.name for entry in EXTRACTORS.values() if entry.paper_row]
    assert (table["size, paper"] == table["size, measured"]).all()
    assert table.loc["opensmile", "difference"] == "no trained parameters"
    differences = table["difference"].drop(["opensmile", "trill"])
    assert set(differences.index[differences != "none after rounding"]) == {"vggish", "yamnet"}
    assert table.loc["vggish", "difference"] == "+10.1 M"


def test_grid_is_in_percent_with_the_means_of_the_paper_where_no_task_is_missing_and_the_best_are_bold() -> None:
    grid = tables.accuracy_grid(make_grid(ACCURACIES), "released")
    assert list(grid.columns) == ["AES", "RAV", "UM", "WM", "GM"]
    assert list(grid.index) == ["BYOL-S, 512", "openSMILE"]  # sorted by UM
    means = [60, (50 * 100 + 70 * 300) / 400, np.sqrt(50 * 70)]
    assert grid.loc["openSMILE", ["UM", "WM", "GM"]].tolist() == pytest.approx(means)
    for form in ("markdown", "csv", "latex"):  # 59.16 is a geometric mean
        assert all(text in tables.render(grid, form) for text in ("65.0", "59.2"))
    grid = tables.accuracy_grid(make_grid({key: ACCURACIES[key] for key in list(ACCURACIES)[:3]}), "released")
    assert list(grid.columns) == ["AES", "RAV"] and "–" in tables.render(grid, "markdown")
    grid = pd.DataFrame({"AES": [10.0, 10.04], "CAF": [float("nan"), 3.0]})
    assert tables.mark_best(grid).to_numpy().tolist() == [["**10.0**", "–"], ["**10.0**", "**3.0**"]]


def test_own_tasks_and_models_stand_in_the_grid_under_their_names_and_the_papers_numbers_in_their_places() -> None:
    cells = make_cells({"task": "MINE", "model": "hear:mine"}, {"task": "SHE", "model": "hear:mine"})
    grid = tables.accuracy_grid(cells, "released")
    assert list(grid.columns[:2]) == ["SHE", "MINE"] and list(grid.index) == ["hear:mine"]
    cells = make_grid(ACCURACIES | {("logmel-stats", "RAV"): 0.3, ("logmel-stats", "AES"): 0.2})
    paper = tables.paper_grid(cells, "released")
    assert (paper.loc["openSMILE", "RAV"], paper.loc["BYOL-S, 512", "AES"]) == (71.3, 74.9)
    assert paper.loc["Log-mel statistics"].isna().all()


def test_means_follow_from_the_printed_accuracies() -> None:
    grid, means = tables.recompute_paper_grid(), ["UM", "WM", "GM"]
    gaps = (grid[means] - read_accuracies()[means]).abs()
    assert set(gaps.index[(gaps > 0.06).any(axis=1)]) == {"BYOL-A, 512"}
    assert grid["UM"].is_monotonic_increasing and grid.index[-1] == "BYOL-S, 2048"
    assert tables.count_test_utterances("released").to_dict() == recover_test_sizes().to_dict()


def test_every_cell_of_the_paper_stands_beside_ours_or_says_why_not() -> None:
    table = tables.compare_with_paper(make_cells(), "released")
    assert len(table) == 13 * len(PAPER_TASKS)
    first, rest = table.iloc[0], table.iloc[1:]
    wanted = ["RAV", "BYOL-S, 512", "measured", pytest.approx(77.0 - 77.3), "71.9–81.4"]
    assert first[["task", "model", "state", "difference", "ours, 95 %"]].tolist() == wanted
    assert rest["ours"].isna().all()
    states = rest.set_index(["task", "model"])["state"]
    assert states["EMB", "YAMNet"] == "not measured yet"
    assert states["IEM", "YAMNet"] == "not measured yet; the corpus must be asked for"
    assert states["EMB", "BYOL-A, 512"] == "not measured yet; the weights have a licence to accept"
    others = ({"synthetic": True}, {"protocol": "described"}, {"selected": False}, {"task": "SAV", "complete": False})
    table = tables.compare_with_paper(make_cells(*others), "released")
    assert table["ours"].notna().sum() == 1
    assert table["state"].iloc[0] == "measured on an incomplete corpus"


def test_measured_cells_are_listed_in_percent_with_the_share_of_originals_and_of_copies() -> None:
    table = tables.list_measured(make_cells({"n_originals": 1440}, {"n_originals": 1439}, {"n_originals": None}))
    first = table.iloc[0][["model", "accuracy", "interval", "n test"]].tolist()
    assert first == ["BYOL-S, 512", 77.0, "71.9–81.4", 300]
    assert table["as released"].tolist() == ["all", "1,439 of 1,440", "–"]
    copies, originals = {"sample_rates_hz": {"16000": 480}}, {"n_utterances": 1440, "n_originals": 1440}
    origins = {"SAV/m/released": copies, "SAV/m/described": copies, "own/m/described": copies}
    (copy,) = tables.list_copies(origins | {"RAV/m/described": originals, "EMB/m/described": {}})
    assert copy.startswith("- SAVEE: 480 of 480 recordings at 16 kHz")


def test_what_an_extractor_was_trained_on_has_a_source_and_a_cell_that_it_has_heard_is_marked(monkeypatch) -> None:
    for entry in EXTRACTORS.values():
        assert entry.trained_on_source.startswith("https://") == bool(entry.trained_on)
        assert set(entry.heard) <= set(TASKS)
    assert tables.describe_extractors()["trained on"]["yamnet"].startswith("[AudioSet](https://github.com/")
    cells = make_grid(ACCURACIES)
    assert not tables.list_measured(cells)["model"].str.contains("heard").any()
    for name, entry in EXTRACTORS.items():
        monkeypatch.setitem(EXTRACTORS, name, replace(entry, heard=("RAV",)))
    after = tables.list_measured(cells)
    assert list(after["model"].str.endswith("(heard the corpus before)")) == list(after["task"] == "RAV")
    contributed = tables.list_contributed(COMMITTED.folder).iloc[0]
    assert contributed["by"] and all(contributed[each].startswith("[") for each in ("source", "trained on"))
