import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from making import one_line

from serab_lib.benchmark.results import Cell, Results, describe_machine

NAMES = ["LDA", "LR", "QDA", "RF", "SVC"]
KEY = ("RAV", "opensmile", "released")


def cell(accuracy: float = 0.75, *, task: str = "RAV", inputs: str = "x") -> Cell:
    accuracies = {"validation_accuracy": 1 / 3, "test_accuracy": accuracy, "test_uar": accuracy}
    accuracies |= {"test_macro_f1": accuracy, "seconds": 0.1}
    counts = {"n_train": 3, "n_validation": 2, "n_test": 2, "n_originals": None}
    flags = {"selected": [name == "LDA" for name in NAMES], "search": True, "complete": True, "synthetic": False}
    params = [{}] * 4 + [{"C": 1e5, "class_weight": None}]
    scores = pd.DataFrame({"classifier": NAMES, "best_params": params, **accuracies, **counts, **flags})
    predictions = pd.DataFrame({"stem": ["None", "b"], "emotion": ["fear", "anger"], "LDA": ["fear", "fear"]})
    return Cell((task, "opensmile", "released"), scores, predictions, {"inputs": inputs})


@pytest.fixture
def results(tmp_path: Path) -> Results:
    results = Results(tmp_path)
    results.write(cell())
    results.write(cell(0.5, task="EMV", inputs="y"))
    return results


def test_cells_come_back_as_written_once_and_those_of_other_inputs_go_to_the_stale_ones(results: Results) -> None:
    table = results.read_cells()
    assert list(table["task"]) == ["EMV"] * 5 + ["RAV"] * 5
    assert list(table["test_accuracy"]) == [0.5] * 5 + [0.75] * 5
    assert table["best_params"].iloc[4] == '{"C": 100000.0, "class_weight": null}'
    assert results.finished_inputs() == {("EMV", "opensmile", "released"): "y", KEY: "x"}
    pd.testing.assert_frame_equal(results.read_predictions(*KEY), cell().predictions)
    for inputs, accuracies in (("x", {0.5, 0.75}), ("z", {0.5, 0.25})):
        results.write(cell(0.25, inputs=inputs))
        assert set(results.read_cells()["test_accuracy"]) == accuracies
    assert set(pd.read_csv(results.folder / "stale.csv")["test_accuracy"]) == {0.75}
    assert results.finished_inputs()[KEY] == "z"


def test_predictions_of_older_folders_are_read_and_without_them_a_cell_is_not_finished(results: Results) -> None:
    path = results.folder / "predictions" / "RAV-opensmile-released.csv"
    older = path.with_suffix(".parquet")
    results.read_predictions(*KEY).to_parquet(older)
    path.unlink()
    pd.testing.assert_frame_equal(results.read_predictions(*KEY), cell().predictions)
    assert KEY in results.finished_inputs()
    results.write(cell(0.25, inputs="z"))
    assert path.exists()
    path.unlink()
    older.write_bytes(older.read_bytes()[:-20])
    with one_line("damaged: delete it"):
        results.read_predictions(*KEY)
    older.unlink()
    with one_line("serab run"):
        results.read_predictions(*KEY)
    assert KEY not in results.finished_inputs()


@pytest.mark.parametrize("change", [(",0.75", ",7.5"), (",3,2,", ",,2,"), (",3,2,", ",1e999,2,"), ("False", "no")])
def test_a_row_that_cannot_be_read_leaves_its_cell_unfinished(results: Results, change: tuple[str, str]) -> None:
    """Its own, and no other: a damaged number changes how the whole column is read."""
    path = results.folder / "cells.csv"
    lines = path.read_text().splitlines(keepends=True)
    lines[7] = lines[7].replace(*change)
    path.write_text("".join(lines))
    assert set(results.finished_inputs()) == {("EMV", "opensmile", "released")}
    table = results.read_cells()
    assert len(table) == 9 and table["n_train"].dtype == int and table["selected"].dtype == bool
    results.write(cell())
    assert len(results.read_cells()) == 10 and KEY in results.finished_inputs()


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "\x00\x01", "{", "[]", '{"a": 1}'])
def test_a_file_that_is_no_result_is_refused_and_an_empty_folder_has_none(tmp_path: Path, content: str) -> None:
    results = Results(tmp_path)
    assert results.read_cells().empty and Results(tmp_path / "nowhere").finished_inputs() == {}
    for name, read in (("cells.csv", results.read_cells), ("provenance.json", results.read_provenance)):
        (tmp_path / name).write_text(content)
        with one_line("move it away"):
            read()


def test_the_machine_is_described_with_the_commit_of_the_library() -> None:
    described = describe_machine("cpu")
    json.dumps(described)
    assert described["device"] == "cpu" and "numpy" in described["versions"]
    git = ["git", "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(git, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is no checkout")
    assert described["commit"].removesuffix("-dirty") == done.stdout.strip()
