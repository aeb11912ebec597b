import itertools
import json
import os
import re
import subprocess
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from making import ROOT, make_cells

from serab_lib.audit import findings, tables
from serab_lib.audit.findings import FINDERS, Finding, audit, link, read_departures, write_findings
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import PAPER_TASKS, get_task
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.extractors.registry import EXTRACTORS

DATA = ROOT / "serab_lib" / "data"
RECORDS = tomllib.loads((DATA / "findings.toml").read_text())
FACTS = {name: record.get("values") for name, record in RECORDS.items()}
KEYS = ["repository", "commit", "file", "line", "holds"]
REPOSITORIES = "Neclow/SERAB nttcslab/byol-a audeering/opensmile-python tensorflow/datasets tensorflow/models".split()
VALUES = tomllib.loads(Path(__file__).with_name("findings.toml").read_text())


@pytest.fixture(scope="module")
def found() -> dict[str, Finding]:
    return {finding.name: finding for finding in audit()}


@pytest.fixture(scope="module")
def measured() -> dict[str, Finding]:
    return find("byol-a-window", "selection-on-test", "class-order", results=ROOT / "results")


def find(*names: str, results: Path) -> dict[str, Finding]:
    with pytest.MonkeyPatch.context() as patch:
        wanted = {name: FINDERS[name] for name in names}
        patch.setattr(findings, "FINDERS", dict.fromkeys(FINDERS, lambda _: ()) | wanted)
        return {finding.name: finding for finding in audit(results=results) if finding.name in names}


def test_the_findings_of_the_paper(found: dict[str, Finding]) -> None:
    read = dict.fromkeys("duplicates" if name.startswith("duplicates-") else name for name in found)
    assert list(read) == list(RECORDS)
    for name, wanted in VALUES.items():
        rounded = [key for key, value in wanted.items() if isinstance(value, float) and value > 1]
        as_json = json.loads(json.dumps(found[name].as_dict()["values"]))
        values = {key: as_json[key] for key in wanted}
        assert values | {key: round(values[key], 1) for key in rounded} == wanted, name
    groups = [key for key, _ in itertools.groupby(finding.changes for finding in found.values())]
    assert groups == ["a number", "a ranking", "a description"]


def test_all_words_are_filled(found: dict[str, Finding], measured: dict[str, Finding]) -> None:
    for finding in [*found.values(), *measured.values()]:
        texts = [getattr(finding, name) for name in ("title", "says", "does", "evidence", "consequence", "where")]
        assert finding.code in ("read", "computed", "read and computed")
        assert finding.table in ("certain", "nearly certain", "very likely", "unknown", "not concerned")
        assert bool(finding.read_at) == finding.code.startswith("read")
        assert all(text.endswith(".") for text in texts[1:5])
        assert not any(mark in text for text in texts for mark in ("{", "}", "nan", "  ", "\n"))
        json.dumps(finding.as_dict(), allow_nan=False)


def test_numbers_of_the_recipe_are_those_of_the_checkpoints() -> None:
    recipe, crops = FACTS["training-recipe"], FACTS["training-crops"]
    files = {name: own.checkpoints[0].file for name, own in EXTRACTORS.items() if name.startswith("byol-s-")}
    batches = {name: int(re.search(r"-bs(\d+)-", file)[1]) for name, file in files.items()}
    assert recipe["n_checkpoints"] == len(batches)
    assert {name: n for name, n in batches.items() if n != recipe["usual"]} == recipe["other_batches"]
    assert list(recipe["other_batches"]) == recipe["names"] and recipe["n_usual"] == 6 - 2
    assert crops["share_heard"] == crops["crop_s"] / crops["clip_s"]
    days = sorted(datetime.strptime(re.search(r"-(21\d{8})-", file)[1], "%y%m%d%H%M") for file in files.values())
    assert f"{days[0]:%-d %B}" == crops["first_checkpoint"] and f"{days[-1]:%-d %B %Y}" == crops["last_checkpoint"]
    assert days[-1] < datetime.strptime(crops["slip_corrected"], "%d %B %Y")


def test_facts_are_those_of_the_lists_and_of_the_printed_table(found: dict[str, Finding]) -> None:
    demo = FACTS["file-count-CRE"]
    assert demo["demo_accuracy"] == read_accuracies().loc["BYOL-S, 1024", "CRE"]
    assert (demo["demo_utterances"], demo["demo_test"]) == (7438, found["file-count-CRE"].values["n_test"])
    clicks = {f"n_{code}": len(list_utterances(code)) for code in ("EMB", "RAV")}
    assert clicks.items() <= FACTS["full-scale-click"].items()
    assert FACTS["frames"]["opensmile_size"] == EXTRACTORS["opensmile"].embedding_size
    names = pd.read_csv(DATA / "manifests" / "ravdess.csv")["file"].str.split(r"[/.]").str[-2]
    fields = names.str.split("-", expand=True)
    counted = {"n_utterances": len(fields), "n_sentences": fields[4].nunique(), "n_speakers": fields[6].nunique()}
    assert FACTS["spontaneous-RAV"] == counted
    assert read_accuracies()[["UM"]].query("not model.str.startswith('BYOL')")["UM"].idxmax() == "openSMILE"


def test_recordings_of_another_rate_are_counted() -> None:
    shemo = split(list_utterances("SHE"), get_task("SHE"), "released")
    known = shemo["sample_rate"].notna()
    other = shemo[known & (shemo["sample_rate"] != 44_100)]
    counted = [known.sum(), len(other), (other["part"] == "test").sum()]
    assert dict(zip(("n_known", "n_other", "n_other_test"), counted, strict=True)) == FACTS["sample-rate-SHE"]
    rates = {code: list_utterances(code)["sample_rate"].dropna().unique() for code in PAPER_TASKS if code != "SHE"}
    assert all(len(own) <= 1 for own in rates.values())


def test_shares_are_counted_and_no_column_allows_a_true_fifth(found: dict[str, Finding]) -> None:
    sizes = {"AES": 604, "CAF": 864, "EMB": 535, "EMV": 588, "RAV": 1440, "SAV": 480}
    shares = ("AES 49/16/34", "EMV 50/17/33", "SAV 50/25/25", "CRE 69/10/21", "SHE 69/19/12")
    assert all(each in found["split-shares"].does for each in shares)
    possible = tables.list_possible_sizes().groupby("task")["n"].agg(set)
    excluded = [task for task, n in sizes.items() if not {n // 5, -(-n // 5)} & possible[task]]
    assert [FACTS["split-shares"][name] for name in ("n_excluded", "n_small")] == [len(excluded), len(sizes)]


def test_verdicts_are_what_the_numbers_allow_and_what_hangs_on_little_is_told(found: dict[str, Finding]) -> None:
    verdicts = tables.compare_test_sizes().set_index(["task", "reading"])["verdict"]
    allowed = {"confirmed": "certain", "cannot be decided": "nearly certain"}
    for name in ("shared-speakers-SHE", "left-out-classes-CAF", "shared-speakers-IEM"):
        assert found[name].table == allowed[verdicts[name[-3:], "released"]]
    assert "EMB 2 (all male)" in found["narrow-test-parts"].does
    assert found["narrow-test-parts"].does.endswith("RAV 5 and SAV 1.")  # all of SAVEE's speakers are male
    assert found["rare-classes"].values["moved_by_one"] == pytest.approx(100 / 3 / 7)
    assert found["means-BYOL-A-512"].values["lead_WM_computed"] == pytest.approx(0.16, abs=0.005)


def test_the_gap_of_selection_is_simulated_and_measured(measured: dict[str, Finding], tmp_path: Path) -> None:
    values = measured["selection-on-test"].values
    assert 1 < values["least_gap"] < 2.5 < values["most_gap"] < 5
    assert values["optimism"] == pytest.approx(values["mean_gap"], abs=0.3)
    assert values["tau_test"] > values["tau_validation"]
    assert values["least"] <= values["measured_gap"] <= values["most"]
    lda, svc = {"classifier": "LDA", "test_accuracy": 0.6, "selected": False}, {"test_accuracy": 0.65}
    cells = make_cells(lda, svc, lda | {"model": "made-up", "test_accuracy": 0.1, "synthetic": True})
    cells.drop(columns="test_macro_f1").to_csv(tmp_path / "cells.csv", index=False)  # as in older folders
    (finding,) = find("selection-on-test", results=tmp_path).values()
    assert finding.evidence.endswith("In 1 measured cell the gap is 5.0 to 5.0 points, 5.0 on average.")


def test_measured_orders_are_told(measured: dict[str, Finding]) -> None:
    table = pd.read_csv(ROOT / "results" / "audit" / "label_order.csv")
    released, values = 100 * table["released"], measured["class-order"].values
    assert (values["n_orders"], values["n_random"]) == (len(table), len(table) - 1)
    assert (values["lowest"], values["in_release_order"]) == (released.min(), released[0])
    assert values["n_above"] + values["n_below"] == len(table)
    assert not released.between(values["below"] + 0.06, values["above"] - 0.06).any()
    assert values["above"] - values["below"] > 2


def test_findings_are_written_for_the_book(found: dict[str, Finding]) -> None:
    text = write_findings(list(found.values()))
    labels = ("The paper", "The code and the tables", "Evidence", "Consequence", "How sure")
    assert {text.count(mark) for mark in ("### ", *(f"**{label}.**" for label in labels))} == {len(found)}
    n_read = sum(len(finding.read_at) for finding in found.values())
    assert text.count("](https://github.com/") == n_read > 40
    assert sum(finding.as_paragraph().count(", line ") for finding in found.values()) == n_read


def read_places() -> list[dict[str, Any]]:
    own = itertools.chain.from_iterable(record.get("read_at", []) for record in RECORDS.values())
    return [*own, *read_departures()[KEYS].to_dict("records")]


def test_every_place_is_well_formed_and_links_name_it() -> None:
    places = read_places()
    assert len(places) > 50 and {place["repository"] for place in places} == set(REPOSITORIES)
    for place in places:
        assert list(place) == KEYS
        assert re.fullmatch(r"[0-9a-f]{40}|v\d+\.\d+\.\d+", place["commit"])
        assert not place["file"].startswith("/") and Path(place["file"]).suffix
        assert place["line"] > 0 and 3 <= len(place["holds"]) <= 30
    place = {"repository": "a/b", "commit": "0123456789", "file": "c/d.py", "line": 7}
    assert link(place) == "[c/d.py, line 7](https://github.com/a/b/blob/0123456789/c/d.py#L7)"
    departures = read_departures()
    assert departures["step"].is_unique and departures[["release", "here"]].map(len).min().min() > 4
    assert departures["read_at"].str.contains("/blob/").all()


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_every_place_holds_what_was_read_there(repository: str) -> None:
    folder = os.environ.get("SERAB_REFERENCE", "")
    clone = Path(folder, repository.split("/")[1])
    if not folder or not clone.is_dir():
        pytest.skip(f"SERAB_REFERENCE names no folder with a clone of {repository}")
    for place in (place for place in read_places() if place["repository"] == repository):
        command = ["git", "-C", str(clone), "show", f"{place['commit']}:{place['file']}"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
        assert place["holds"] in lines[place["line"] - 1], place
