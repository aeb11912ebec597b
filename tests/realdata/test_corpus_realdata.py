"""Corpora, splits and the check on real recordings: RAVDESS below the folder that SERAB_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serab_lib.check import check_corpus
from serab_lib.corpus import find_corpus
from serab_lib.sample_rates import count_sample_rates
from serab_lib.splits import PARTS, PROTOCOLS, split, split_warnings
from serab_lib.tasks import TASKS

DATA = os.environ.get("SERAB_DATA", "")

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        not DATA or not (Path(DATA) / "ravdess").is_dir(),
        reason="SERAB_DATA names no folder with ravdess/ in it",
    ),
]


def test_ravdess_is_complete() -> None:
    corpus = find_corpus("RAV", DATA)
    assert corpus.complete and not corpus.synthetic
    assert len(corpus.utterances) == corpus.n_expected == 1440
    assert corpus.unexpected == ()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ravdess_splits(protocol: str) -> None:
    parts = split(find_corpus("RAV", DATA).utterances, TASKS["RAV"], protocol)
    sizes = parts["part"].value_counts()
    assert [sizes[part] for part in PARTS] == [840, 300, 300]
    assert split_warnings(parts) == []


def test_ravdess_decodes_and_has_its_known_twins() -> None:
    problem, *others = check_corpus("RAV", DATA)
    rates = count_sample_rates(list(find_corpus("RAV", DATA).utterances["path"]))
    assert [other.kind for other in others] == ([] if set(rates) == {"48000"} else ["resampled"])
    assert problem.kind == "duplicated" and not problem.affects_result
    assert "03-01-03-01-02-01-07" in problem.file and "03-01-03-01-02-02-07" in problem.file
