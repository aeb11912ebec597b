import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from making import make_cells

from serab_lib.audit.measurements import read_measurement
from serab_lib.benchmark.results import Results


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
    found = importlib.import_module("calibrate").calibrate(Results(tmp_path))
    assert found[["spread", "shift"]].tolist() == pytest.approx([4, 2], rel=0.1)
    assert found[["n_cells", "correlation"]].tolist() == pytest.approx([150, 100 / 3])


def test_what_is_committed_is_what_the_committed_cells_say() -> None:
    results = Results(Path(__file__).resolve().parents[2] / "results")
    found = importlib.import_module("calibrate").calibrate(results)
    assert found.to_dict() == pytest.approx(read_measurement(results, "selection").iloc[0].to_dict(), abs=1e-4)
