import importlib

import pandas as pd
import pytest

from serab_lib.evaluation.significance import read_coverage


def test_only_students_interval_keeps_its_word_with_few_speakers() -> None:
    coverage = importlib.import_module("interval_coverage")
    few, many = coverage.simulate_coverage(3), coverage.simulate_coverage(60, spread=0.01)
    assert few["t"] == pytest.approx(0.95, abs=0.02)
    assert max(few["Wilson"], few["bootstrap"]) < 0.8
    assert min(many.values()) > 0.92
    kept = read_coverage()
    assert tuple(kept.index) == coverage.N_SPEAKERS
    pd.testing.assert_series_equal(kept.loc[3], pd.Series(few), check_names=False, atol=2e-3)
