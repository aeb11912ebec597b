"""Corpora, splits and the check on real recordings below the folder that SERAB_DATA names."""

from __future__ import annotations

from pathlib import Path

import pytest

from serab_lib.corpora.check import check_corpus
from serab_lib.corpora.corpus import find_corpus
from serab_lib.corpora.task import TASKS

pytestmark = pytest.mark.realdata


@pytest.mark.parametrize("code", ["AES", "EMB", "EMV", "RAV"])
def test_corpora_at_hand_are_as_released(code: str, real_data: Path) -> None:
    if not (real_data / TASKS[code].name).is_dir():
        pytest.skip(f"SERAB_DATA has no {TASKS[code].name}")
    report = check_corpus(code, real_data)
    assert report.n_originals == report.n_utterances == find_corpus(code, real_data).n_expected
    assert not any(problem.affects_result for problem in report.problems)
    if code == "RAV":
        (twins,) = report.problems
        assert "03-01-03-01-02-01-07" in twins.file and "03-01-03-01-02-02-07" in twins.file


def test_a_copy_of_another_rate_is_no_original(real_data: Path) -> None:
    """The widely copied RAVDESS at 16 kHz, where it lies beside the originals."""
    copies = real_data.parent / "data"
    if not (copies / "ravdess").is_dir():
        pytest.skip("there is no folder data/ravdess beside SERAB_DATA")
    report = check_corpus("RAV", copies)
    assert (report.n_originals, report.n_utterances) == (0, 1440)
    assert sum(each.kind == "resampled" for each in report.problems) == 1440
