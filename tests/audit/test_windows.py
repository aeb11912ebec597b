"""BYOL-A through two windows: the committed folder is whole, and its numbers hold against a second implementation."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter, defaultdict
from math import comb
from pathlib import Path

import pandas as pd
import pytest
from auditing import make_sources

from serab_lib.audit.measurements import compare_windows, read_windows
from serab_lib.audit.model_findings import find_recipe, find_window, pool_windows
from serab_lib.audit.sources import Procedure, Sources
from serab_lib.benchmark.results import Results
from serab_lib.evaluation.paper import read_accuracies

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "results" / "byol-a-window"
TASKS = ("AES", "EMB", "EMV", "RAV")
MODEL = "byol-a-512-window-{}"


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_selected() -> dict[tuple[str, str, str], dict[str, str]]:
    rows = read_rows(FOLDER / "cells.csv")
    return {(row["task"], row["model"], row["protocol"]): row for row in rows if row["selected"] == "True"}


def read_answers(task: str, window: int, protocol: str) -> dict[str, bool]:
    """Which utterances the reported classifier gets right."""
    model = MODEL.format(window)
    classifier = read_selected()[task, model, protocol]["classifier"]
    rows = read_rows(FOLDER / "predictions" / f"{task}-{model}-{protocol}.csv")
    return {row["stem"]: row[classifier] == row["emotion"] for row in rows}


def count_alone(protocol: str) -> dict[str, Counter[tuple[bool, bool]]]:
    """Per task, how many utterances are right and wrong through (400, 1,024)."""
    counts: dict[str, Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for task in TASKS:
        short, long = (read_answers(task, window, protocol) for window in (400, 1024))
        counts[task].update((short[stem], long[stem]) for stem in short)
    return counts


def sum_binomial(a: int, b: int) -> float:
    """McNemar's exact test by adding up the smaller tail twice."""
    tail = sum(comb(a + b, k) for k in range(min(a, b) + 1)) / 2 ** (a + b)
    return min(1.0, 2 * tail)


def test_predictions_give_back_the_accuracies() -> None:
    rows = read_rows(FOLDER / "cells.csv")
    assert {row["task"] for row in rows} == set(TASKS)
    assert len(rows) == len(TASKS) * 2 * 2 * 5  # windows, protocols, classifiers
    assert len(list((FOLDER / "predictions").glob("*.csv"))) == len(TASKS) * 2 * 2
    for row in rows:
        answers = read_rows(FOLDER / "predictions" / f"{row['task']}-{row['model']}-{row['protocol']}.csv")
        n_right = sum(answer[row["classifier"]] == answer["emotion"] for answer in answers)
        assert len(answers) == int(row["n_test"])
        assert float(row["test_accuracy"]) == round(n_right / len(answers), 6)


def test_the_table_of_accuracies_is_that_of_the_cells() -> None:
    selected, printed = read_selected(), read_accuracies().loc["BYOL-A, 512"]
    rows = read_rows(FOLDER / "accuracies.csv")
    assert {(row["task"], row["protocol"]) for row in rows} == {(key[0], key[2]) for key in selected}
    for row in rows:
        assert float(row["printed"]) == printed[row["task"]]
        for window in (400, 1024):
            cell = selected[row["task"], MODEL.format(window), row["protocol"]]
            assert float(row[f"window_{window}"]) == round(100 * float(cell["test_accuracy"]), 1)
        n = int(cell["n_test"])
        own = float(row["own_statistics"])
        assert own in {round(100 * k / n, 1) for k in range(n + 1)}, "no count of right answers gives this"


@pytest.mark.parametrize("protocol", ["released", "described"])
def test_what_is_read_holds_against_a_second_implementation(protocol: str) -> None:
    windows = read_windows(Results(ROOT / "results"))
    own = windows[windows["protocol"] == protocol].set_index("task")
    counts = count_alone(protocol)
    assert list(own.index) == list(TASKS)
    for task, counted in counts.items():
        assert own.loc[task, "n_test"] == sum(counted.values())
        assert own.loc[task, "only_400"] == counted[True, False]
        assert own.loc[task, "only_1024"] == counted[False, True]
        n_right = counted[True, True] + counted[True, False]
        assert own.loc[task, "window_400"] == pytest.approx(100 * n_right / sum(counted.values()))
    total = sum(counts.values(), Counter())
    assert pool_windows(windows, protocol) == pytest.approx(sum_binomial(total[True, False], total[False, True]))


def test_the_finding_says_what_a_second_implementation_finds() -> None:
    (finding,) = find_window(Sources.read(results=ROOT / "results"))
    printed = {row["task"]: float(row["printed"]) for row in read_rows(FOLDER / "accuracies.csv")}
    for window in (400, 1024):
        right = {task: list(read_answers(task, window, "released").values()) for task in TASKS}
        accuracy = {task: 100 * sum(answers) / len(answers) for task, answers in right.items()}
        distance = sum(abs(accuracy[task] - printed[task]) for task in TASKS) / len(TASKS)
        exact = sum(f"{accuracy[task]:.1f}" == f"{printed[task]:.1f}" for task in TASKS)
        assert finding.values[f"distance_window_{window}"] == pytest.approx(distance)
        assert finding.values[f"exact_window_{window}"] == exact
        assert f"{distance:.1f} points" in finding.evidence
    p_values = [sum_binomial(each[True, False], each[False, True]) for each in count_alone("released").values()]
    assert f"{min(p_values):.2f} to {max(p_values):.2f} by task" in finding.evidence
    assert "no significant difference" in finding.evidence
    assert finding.confidence == "very likely"


def test_the_release_has_the_statistics_of_its_own_window() -> None:
    sources = Sources.read()
    for row in read_rows(FOLDER / "statistics.csv"):
        off = abs(float(row["mean"]) - sources.task(row["task"]).log_mel_statistics[0])
        assert off < 0.01 if row["window_samples"] == "400" else off > 0.5


def plant(shift_400: float, shift_1024: float) -> Sources:
    """Two tasks on which the windows give so many points more than what is printed."""
    sources = make_sources(procedure=Procedure(hears_as_trained=False))
    accuracies = sources.accuracies.rename(index={"model 0": "BYOL-A, 512", "model 1": "BYOL-S, 512"})
    printed = accuracies.loc["BYOL-A, 512", ["ONE", "TWO"]].to_numpy(dtype=float)
    rows = [
        pd.DataFrame({"task": ["ONE", "TWO"], "window_400": printed + shift_400, "window_1024": printed + shift_1024})
        for _ in range(2)
    ]
    windows = pd.concat(rows).assign(protocol=["released"] * 2 + ["described"] * 2, n_test=100)
    windows = windows.assign(only_400=0, only_1024=10, own_statistics=windows["window_1024"] - [0, 4, 0, 4])
    return dataclasses.replace(sources, accuracies=accuracies, windows=windows)


def test_a_planted_table_decides_what_is_found() -> None:
    (finding,) = find_window(plant(0.0, 5.0))
    assert (finding.confidence, finding.values["exact_window_400"]) == ("very likely", 2)
    assert "a significant difference" in finding.evidence
    assert "change TWO by 4.0 points" in finding.consequence
    (turned,) = find_window(plant(5.0, 0.0))
    assert turned.confidence == "cannot be decided"
    assert "does not look" in turned.consequence
    assert not list(find_window(dataclasses.replace(plant(0.0, 5.0), procedure=Procedure())))


def test_without_measurements_the_finding_rests_on_the_code() -> None:
    (finding,) = find_window(make_sources(procedure=Procedure(hears_as_trained=False)))
    assert (finding.confidence, finding.values) == ("likely", {"n_tasks": 0})


def test_byol_s_is_compared_where_all_its_cells_are_there() -> None:
    sources = Sources.read(results=ROOT / "results")
    keys = {"model": "byol-s-512", "protocol": "released", "selected": True, "synthetic": False}
    cells = pd.DataFrame([{"task": task, "test_accuracy": 0.5 + n / 100} for n, task in enumerate(TASKS)]).assign(
        **keys
    )
    table = compare_windows(sources.windows, sources.accuracies, cells)
    assert table["byol_s_measured"].tolist() == pytest.approx([50, 51, 52, 53, 51.5])
    assert "byol_s_measured" not in compare_windows(sources.windows, sources.accuracies, cells[1:])


def test_batch_sizes_are_read_from_file_names() -> None:
    (finding,) = find_recipe(Sources.read())
    assert finding.values["other_batches"] == {"byol-s-cvt-256": 512, "byol-s-cvt-512": 512}
