"""Resampled copies are told from released recordings, and a result says which it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from serab_lib.book.tables import list_copies
from serab_lib.corpora.check import check_corpus, count_sample_rates, describe_copies
from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.task import TASKS


def test_files_are_counted_by_their_headers(tmp_path: Path) -> None:
    for name, rate in (("a.wav", 16_000), ("b.flac", 48_000), ("c.wav", 16_000)):
        soundfile.write(tmp_path / name, np.zeros(100), rate)
    (tmp_path / "d.wav").write_text("no audio")
    paths = [str(tmp_path / f"{name}") for name in ("a.wav", "b.flac", "c.wav", "d.wav", "missing.wav")]
    assert list(count_sample_rates(paths).items()) == [("16000", 2), ("48000", 1)]


@pytest.mark.parametrize("code", TASKS)
def test_recordings_as_released_are_no_copies(code: str) -> None:
    rates = list_utterances(code)["sample_rate"].dropna().astype(int).astype(str).value_counts().to_dict()
    assert describe_copies(TASKS[code], rates) is None


def test_copies_are_named_with_both_rates() -> None:
    said = describe_copies(TASKS["RAV"], {"48000": 1000, "16000": 439, "22050": 1})
    assert said.startswith("440 of 1,440 recordings at 16 kHz or 22.05 kHz, released at 48 kHz")
    assert "released at 44.1 kHz or 22.05 kHz:" in describe_copies(TASKS["SHE"], {"16000": 2})
    assert describe_copies(TASKS["RAV"], {}) is None


def test_nothing_is_said_where_the_released_rate_is_not_known() -> None:
    assert describe_copies(TASKS["IEM"], {"8000": 3}) is None


def test_the_check_tells_copies_once_for_all(tmp_path: Path) -> None:
    """SAVEE is released at 44.1 kHz."""
    folder = tmp_path / "savee"
    folder.mkdir()
    for number, stem in enumerate(("DC_a01", "DC_a02")):
        noise = np.random.default_rng(number).uniform(-0.1, 0.1, 3_000)
        soundfile.write(folder / f"{stem}.wav", noise, 16_000)
    (problem,) = [problem for problem in check_corpus("SAV", tmp_path).problems if problem.kind == "resampled"]
    assert problem.file == "savee/"
    assert problem.consequence.startswith("2 of 2 recordings at 16 kHz, released at 44.1 kHz: copies")
    assert not problem.affects_result


def test_results_list_the_copies_they_were_made_from() -> None:
    copies = {"sample_rates_hz": {"16000": 480}}
    provenance = {
        "SAV/opensmile/released": copies,
        "SAV/opensmile/described": copies,
        "RAV/opensmile/described": {"n_utterances": 1440, "n_originals": 1440},
        "EMB/opensmile/described": {},
        "own/opensmile/described": copies,
    }
    (copy,) = list_copies(provenance)
    assert copy.startswith("- SAVEE: 480 of 480 recordings at 16 kHz")
