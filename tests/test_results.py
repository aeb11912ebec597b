from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError
from serab_lib.evaluation.protocol import CellResult

SIZES = {
    "n_train": 3,
    "n_validation": 2,
    "n_test": 2,
    "search": True,
    "complete": True,
    "n_originals": None,
    "synthetic": False,
}


def cell(accuracy: float) -> CellResult:
    scores = pd.DataFrame(
        {
            "classifier": ["LDA", "SVC"],
            "validation_accuracy": [0.5, 1 / 3],
            "test_accuracy": [accuracy, 0.25],
            "test_uar": [accuracy, 0.25],
            "best_params": [{}, {"C": 1e5, "class_weight": None}],
            "seconds": [0.1, 0.2],
            "selected": [True, False],
        }
    )
    predictions = pd.DataFrame({"stem": ["a", "b"], "emotion": ["fear", "anger"], "LDA": ["fear", "fear"]})
    return CellResult(scores, predictions)


def test_cells_come_back_as_written(tmp_path: Path) -> None:
    results = Results(tmp_path / "out")
    results.write(("RAV", "opensmile", "released"), cell(0.75), SIZES, {"inputs": "x"})
    results.write(("EMV", "opensmile", "released"), cell(0.5), SIZES, {"inputs": "y"})
    table = results.read_cells()
    assert list(table["task"]) == ["EMV", "EMV", "RAV", "RAV"]
    assert list(table["test_accuracy"]) == [0.5, 0.25, 0.75, 0.25]
    assert table["best_params"].iloc[1] == '{"C": 100000.0, "class_weight": null}'
    assert results.finished_inputs() == {
        ("EMV", "opensmile", "released"): "y",
        ("RAV", "opensmile", "released"): "x",
    }


def test_a_cell_without_its_predictions_is_not_finished(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(("RAV", "opensmile", "released"), cell(0.75), SIZES, {"inputs": "x"})
    (tmp_path / "predictions" / "RAV-opensmile-released.parquet").unlink()
    assert results.finished_inputs() == {}


def test_an_empty_folder_has_no_cells(tmp_path: Path) -> None:
    assert Results(tmp_path).read_cells().empty
    assert Results(tmp_path / "nowhere").finished_inputs() == {}


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "\x00\x01"])
def test_a_file_that_is_no_result_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "cells.csv").write_text(content)
    with pytest.raises(SerabError) as caught:
        Results(tmp_path).read_cells()
    assert "move it away" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}'])
def test_a_broken_provenance_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(SerabError, match="move it away"):
        Results(tmp_path).read_provenance()
