"""The audit of a real corpus: RAVDESS holds one recording twice, and samples at full scale."""

from __future__ import annotations

from pathlib import Path

import pytest

from serab_lib.audit.corpora import count_full_scale, find_duplicates, hash_audio

pytestmark = pytest.mark.realdata


def test_ravdess_has_one_recording_under_two_names(real_data: Path) -> None:
    digests = hash_audio("RAV", real_data)
    found = find_duplicates("RAV", digests)
    assert found["files"].tolist() == [("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")]
    assert not found["contradicting"].any()
    counts = count_full_scale(digests)
    assert counts["n_files"] == 1440
    assert counts["n_samples"] >= counts["n_affected"]
