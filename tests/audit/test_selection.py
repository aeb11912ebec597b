import numpy as np
import pandas as pd
import pytest
from making import make_cells

from serab_lib.audit import selection
from serab_lib.benchmark.results import Results


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


def test_assumptions_are_found_again_in_simulated_cells(tmp_path) -> None:
    """Cells with known differences, and predictions in which two classifiers always agree and the third does not."""
    rng, rows = np.random.default_rng(0), []
    (tmp_path / "predictions").mkdir()
    for model in range(150):
        true = 0.7 + 0.04 * rng.standard_normal(3)
        shifted = (true + 0.02 * rng.standard_normal(3) for _ in range(2))
        for name, validation, test in zip(("LDA", "LR", "SVC"), *shifted, strict=True):
            accuracies = {"validation_accuracy": validation, "test_accuracy": test}
            rows.append({"model": f"m{model}", "classifier": name} | accuracies)
        answers = pd.DataFrame({"stem": range(8), "speaker": 1, "group": 1, "emotion": "joy"})
        answers["LDA"] = answers["LR"] = ["joy"] * 4 + ["fear"] * 4
        answers.assign(SVC=["joy", "fear"] * 4).to_csv(
            tmp_path / "predictions" / f"RAV-m{model}-released.csv", index=False
        )
    make_cells(*rows).assign(n_validation=10**9, n_test=10**9).to_csv(tmp_path / "cells.csv", index=False)
    found = selection.calibrate(Results(tmp_path))
    assert found[["spread", "shift"]].tolist() == pytest.approx([4, 2], rel=0.1)
    assert found["correlation"] == pytest.approx(100 / 3)
