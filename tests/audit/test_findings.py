"""The findings: their words are filled, and their numbers are those of the paper."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serab_lib.audit import findings, tables
from serab_lib.audit.findings import FINDERS, Finding, audit, write_findings
from serab_lib.benchmark.results import COLUMNS
from serab_lib.extractors.registry import EXTRACTORS

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("title", "says", "does", "evidence", "consequence", "where")
# What follows from the paper's tables, the lists of files and the registry.
VALUES = {
    "byol-a-window": {"n_tasks": 0},
    "shared-speakers-IEM": {
        "shared": 1.0,
        "n_test_groups": 2,
        "n_groups": 10,
        "n_speakers": 10,
        "n_test_released": 1122,
        "n_test_described": 1157,
        "n_fitting_released": 13,
        "n_fitting_described": 13,
        "chance": 1.0,
        "n_exact_means_released": 12,
        "n_exact_means_described": 3,
    },
    "shared-speakers-SHE": {
        "shared": 1.0,
        "n_test_groups": 18,
        "n_alone": 1,
        "n_groups": 87,
        "n_speakers": 87,
        "n_test_released": 372,
        "n_test_described": 738,
        "n_rows": 13,
        "n_fitting_released": 13,
        "impossible_described": (86.8, 84.9, 89.5, 90.6),
        "n_exact_means_described": 0,
    },
    "left-out-classes-CAF": {
        "n_described": 936,
        "n_released": 864,
        "n_printed": 864,
        "n_classes_printed": 7,
        "n_classes_released": 6,
        "n_test_released": 216,
        "n_test_described": 234,
        "n_fitting_released": 13,
        "n_fitting_described": 3,
    },
    "file-count-CRE": {
        "n_printed": 7442,
        "n_listed": 7438,
        "fitting_sizes": [1556, 1558],
        "left_out": "1040_ITH_SAD_XX",
    },
    "selection-on-test": {"n_classifiers": 5, "least_task": "CRE", "most_task": "SAV"},
    "transductive-normalisation": {"smallest_median": 14, "largest_median": 561},
    "class-order": {},
    "means-BYOL-A-512": {
        "UM_printed": 72.7,
        "UM_computed": 71.4,
        "WM_printed": 69.3,
        "WM_computed": 69.5,
        "GM_printed": 69.6,
        "GM_computed": 69.8,
        "n_agreeing_rows": 12,
        "rank_printed": 9,
        "rank_computed": 9,
        "single_cells": [],
    },
    "durations-IEM": {
        "printed_mean_s": 3.4,
        "printed_total_h": 7.0,
        "implied_mean_s": 4.6,
        "n_printed": 5531,
        "n_agreeing": 8,
    },
    "parameters": {"vggish_n_parameters": 72141184, "yamnet_n_parameters": 3195456, "n_agreeing": 9, "n_unknown": 2},
    "training-recipe": {"n_checkpoints": 6, "other_batches": {"byol-s-cvt-256": 512, "byol-s-cvt-512": 512}},
    "training-crops": {"share_heard": 0.095, "n_starts": 1, "n_starts_intended": 996},
    "full-scale-click": {"wrapped": -32768},
    "duplicates-CRE": {"n_duplicates": 3, "n_contradicting": 3, "n_in_use": 0, "in_use": "None of them is"},
    "duplicates-RAV": {"n_duplicates": 1, "n_contradicting": 0, "n_in_use": 1, "in_use": "1 of them is"},
    "rare-classes": {"EMB_disgust": 3, "EMB_happiness": 9, "SHE_fear": 0, "untested": ["SHE fear"]},
    "narrow-test-parts": {"AES": 2, "CAF": 3, "EMB": 2, "EMV": 2, "IEM": 4, "RAV": 5, "SAV": 1, "n_narrow": 7},
}


@pytest.fixture(scope="module")
def found() -> dict[str, Finding]:
    return {finding.name: finding for finding in audit()}


@pytest.fixture(scope="module")
def measured() -> dict[str, Finding]:
    """Those findings that measurements change."""
    return find("byol-a-window", "selection-on-test", "class-order", results=ROOT / "results")


def find(*names: str, results: Path) -> dict[str, Finding]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            findings, "FINDERS", dict.fromkeys(FINDERS, lambda _: ()) | {name: FINDERS[name] for name in names}
        )
        return {finding.name: finding for finding in audit(results=results) if finding.name in names}


def round_like(value: object, wanted: object) -> object:
    return round(value, 1) if isinstance(wanted, float) and abs(wanted) > 1 else value


def test_the_findings_of_the_paper(found: dict[str, Finding]) -> None:
    assert list(found) == list(VALUES)
    for name, wanted in VALUES.items():
        assert {key: round_like(found[name].values[key], value) for key, value in wanted.items()} == wanted


def test_all_words_are_filled(found: dict[str, Finding], measured: dict[str, Finding]) -> None:
    for finding in [*found.values(), *measured.values()]:
        texts = [getattr(finding, name) for name in WORDS]
        assert finding.confidence in ("certain", "very likely", "likely", "cannot be decided")
        assert all(text.endswith(".") for text in texts[1:5])
        assert not any(mark in text for text in texts for mark in ("{", "}", "nan", "  ", "\n"))
        assert "https://" not in finding.as_paragraph()
        json.dumps(finding.as_dict(), allow_nan=False)


def test_numbers_that_are_facts_of_the_release_are_so() -> None:
    with (ROOT / "serab_lib" / "data" / "findings.toml").open("rb") as file:
        facts = {name: record["values"] for name, record in tomllib.load(file).items() if name not in FINDERS}
    recipe, crops = facts["training-recipe"], facts["training-crops"]
    files = {name: own.checkpoints[0].file for name, own in EXTRACTORS.items() if name.startswith("byol-s-")}
    batches = {name: int(re.search(r"-bs(\d+)-", file)[1]) for name, file in files.items()}
    assert recipe["n_checkpoints"] == len(batches)
    assert {name: n for name, n in batches.items() if n != recipe["usual"]} == recipe["other_batches"]
    assert list(recipe["other_batches"]) == recipe["names"] and recipe["n_usual"] == 6 - 2
    spare = round((crops["clip_s"] - crops["crop_s"]) * 16_000)
    assert crops["n_starts_intended"] == len(set(np.random.default_rng(0).integers(0, spare, 1_000)))
    assert crops["share_heard"] == crops["crop_s"] / crops["clip_s"]


def test_confidences_are_what_the_numbers_allow(found: dict[str, Finding]) -> None:
    """Certain where the accuracies decide, very likely where only the weighted means do."""
    verdicts = tables.compare_test_sizes().set_index(["task", "reading"])["verdict"]
    for name in ("shared-speakers-SHE", "left-out-classes-CAF"):
        assert verdicts[name[-3:], "released"] == "confirmed" and found[name].confidence == "certain"
    iem = found["shared-speakers-IEM"]
    assert verdicts["IEM", "released"] == "cannot be decided" and iem.confidence == "very likely"
    assert iem.values["relative_likelihood_described"] < 1e-3


def test_the_gap_of_selection_is_simulated_and_measured(measured: dict[str, Finding], tmp_path: Path) -> None:
    values = measured["selection-on-test"].values
    assert 0.5 < values["least_gap"] < 1.5 < values["most_gap"] < 4
    assert values["least"] <= values["measured_gap"] <= values["most"]
    row = "RAV,m,released,{},0.7,{},0.5,{},840,300,300,{{}},1.0,True,True,1440,{}"
    lines = [",".join(COLUMNS), row.format("LDA", 0.6, False, False), row.format("SVC", 0.65, True, False)]
    lines += [row.replace(",m,", ",made-up,").format("LDA", 0.1, False, True)]
    (tmp_path / "cells.csv").write_text("\n".join(lines))
    (finding,) = find("selection-on-test", results=tmp_path).values()
    assert finding.evidence.endswith("In 1 measured cell it is 5.0 to 5.0 points, 5.0 on average.")


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
    assert text.count("### ") == len(found)
    for label in ("The paper", "The code and the tables", "Evidence", "Consequence", "How sure"):
        assert text.count(f"**{label}.**") == len(found)
