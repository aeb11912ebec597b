from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from serab_lib.book.tables import accuracy_grid, list_copies, paper_grid, render
from serab_lib.corpora.task import PAPER_TASKS
from serab_lib.evaluation.paper import read_accuracies, read_datasets, read_models

SIZES = {"AES": 100, "RAV": 300}


def cells(accuracies: dict[tuple[str, str], float]) -> pd.DataFrame:
    rows = [
        {"task": task, "model": model, "protocol": "released", "test_accuracy": value, "selected": selected}
        for (task, model), value in accuracies.items()
        for selected in (True, False)
    ]
    frame = pd.DataFrame(rows).assign(n_test=lambda table: table["task"].map(SIZES))
    frame.loc[~frame["selected"], "test_accuracy"] = 0.01
    return frame


FULL = {
    ("AES", "opensmile"): 0.5,
    ("RAV", "opensmile"): 0.7,
    ("AES", "byol-s-512"): 0.4,
    ("RAV", "byol-s-512"): 0.6,
}


def test_grid_is_in_percent_with_the_means_of_the_paper() -> None:
    grid = accuracy_grid(cells(FULL), "released")
    assert list(grid.columns) == ["AES", "RAV", "UM", "WM", "GM"]
    assert list(grid.index) == ["BYOL-S, 512", "openSMILE"]  # sorted by UM
    row = grid.loc["openSMILE"]
    assert row["UM"] == pytest.approx(60)
    assert row["WM"] == pytest.approx((50 * 100 + 70 * 300) / 400)
    assert row["GM"] == pytest.approx(np.sqrt(50 * 70))


def test_means_are_left_out_where_tasks_are_missing() -> None:
    grid = accuracy_grid(cells({key: FULL[key] for key in list(FULL)[:3]}), "released")
    assert list(grid.columns) == ["AES", "RAV"]
    assert "–" in render(grid, "markdown")


def test_paper_numbers_stand_in_the_same_places() -> None:
    paper = paper_grid(cells(FULL | {("RAV", "logmel-stats"): 0.3, ("AES", "logmel-stats"): 0.2}), "released")
    assert paper.loc["openSMILE", "RAV"] == 71.3
    assert paper.loc["BYOL-S, 512", "AES"] == 74.9
    assert paper.loc["Log-mel statistics"].isna().all()


def test_every_form_has_one_decimal() -> None:
    grid = accuracy_grid(cells(FULL), "released")
    for form in ("markdown", "csv", "latex"):
        assert "57.7" not in render(grid, form)
        assert "65.0" in render(grid, form)


def test_the_papers_tables_are_whole() -> None:
    assert read_accuracies().shape == (13, 13)
    assert set(PAPER_TASKS) <= set(read_accuracies().columns)
    assert len(read_models()) == 13
    assert list(read_datasets()["code"]) == list(PAPER_TASKS)


def test_results_list_the_copies_they_were_made_from() -> None:
    copies = {"sample_rates_hz": {"16000": 480}}
    provenance = {
        "SAV/opensmile/released": copies,
        "SAV/opensmile/described": copies,
        "RAV/opensmile/described": {"n_utterances": 1440, "n_originals": 1440},
        "EMB/opensmile/described": {},
        "own/opensmile/described": copies,
    }
    (copy,) = list_copies(provenance)
    assert copy.startswith("- SAVEE: 480 of 480 recordings at 16 kHz")
