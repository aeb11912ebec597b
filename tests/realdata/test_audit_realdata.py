"""The audit of a real corpus: RAVDESS holds one recording twice, by its sound as by its released hashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from serab_lib.audit.measurements import find_duplicates, hash_corpora
from serab_lib.corpora.task import get_task

pytestmark = pytest.mark.realdata


def test_ravdess_has_one_recording_under_two_names(real_data: Path) -> None:
    sounds = hash_corpora(real_data)["RAV"]
    assert len(sounds) == 1440
    (twice,) = find_duplicates(get_task("RAV"), {})["files"]
    assert twice == ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
    assert sounds["sha256"].duplicated().sum() == 1
    assert sounds["sha256"][twice[0]] == sounds["sha256"][twice[1]]
