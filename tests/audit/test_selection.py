import pandas as pd
import pytest
from making import make_cells

from serab_lib.audit import selection


def test_gap_of_a_measured_cell_and_protocols_taken_apart() -> None:
    lda, svc = {"classifier": "LDA", "validation_accuracy": 0.75}, {"classifier": "SVC", "validation_accuracy": 0.72}
    released = make_cells(lda | {"test_accuracy": 0.7}, svc | {"test_accuracy": 0.8})
    described = make_cells(lda | {"test_accuracy": 0.6}, svc | {"test_accuracy": 0.65}).assign(protocol="described")
    cells = pd.concat([released, described])
    row = selection.measure_selection(cells).set_index("protocol").loc["released"]
    assert (row["chosen"], row["best"], row["gap"]) == ("LDA", "SVC", pytest.approx(0.1))
    assert selection.measure_selection(cells[:0]).empty
    row = selection.decompose_protocols(cells).set_index("task").loc["RAV"]
    numbers = row[["described", "released", "effect_of_split", "effect_of_selection"]].tolist()
    assert numbers == pytest.approx([60, 80, 10, 10])
    assert selection.decompose_protocols(released).empty
