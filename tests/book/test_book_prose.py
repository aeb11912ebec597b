"""Numbers that stand in prose are those of the committed results."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
REPRODUCE = (ROOT / "book" / "reproduce.md").read_text()
NAMES = {
    "log-mel statistics": "logmel-stats",
    "BYOL-S 512": "byol-s-512",
    "YAMNet": "yamnet",
    "openSMILE": "opensmile",
}


def test_extraction_times_are_those_of_the_results() -> None:
    provenance = json.loads((ROOT / "results" / "provenance.json").read_text())
    measured = {
        key.split("/")[1]: round(cell["extraction_seconds"])
        for key, cell in provenance.items()
        if key.startswith("RAV/")
    }
    table = REPRODUCE[REPRODUCE.index("| extractor | seconds |") :].split("\n\n")[0]
    printed = {NAMES[name]: int(seconds) for name, seconds in re.findall(r"^\| ([^|]+) \| (\d+) \|$", table, re.M)}
    assert printed == measured


def test_times_of_the_slowest_classifier_are_those_of_the_results() -> None:
    cells = pd.read_csv(ROOT / "results" / "cells.csv")
    seconds = cells[cells["task"] == "RAV"].groupby(["model", "classifier"])["seconds"].max().unstack()
    assert set(seconds.idxmax(axis=1)) == {"RF"}
    low, high = re.search(r"random forest, with (\d+) to (\d+)\s+seconds a cell", REPRODUCE).groups()
    assert (int(low), int(high)) == (round(seconds["RF"].min()), round(seconds["RF"].max()))


def test_every_measurement_beside_the_grid_names_its_program() -> None:
    """Each table of the audit, and the pre-training, with a program that is there."""
    section = REPRODUCE[REPRODUCE.index("## Measurements beside the grid") :].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| `python ([^`]+)` \|", section, re.M))
    assert set(rows) == {f"audit/{file.name}" for file in (ROOT / "results" / "audit").glob("*")} | {"pretraining/"}
    for program in rows.values():
        assert (ROOT / program).is_file(), program
