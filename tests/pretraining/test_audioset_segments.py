from __future__ import annotations

from pathlib import Path

import pytest

from serab_lib.core import SerabError
from serab_lib.pretraining.audioset import SPEECH_LABELS, read_segments, select_segments

LISTING = """\
# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids=4, num_segs=4, num_unique_labels=4, num_positive_labels=6
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
--ZhevVpy1s, 50.000, 60.000, "/m/012xff"
Y0_3abcdefg, 0.000, 10.000, "/m/03fwl,/m/02zsn"
-0RWZT-miFs, 420.000, 430.000, "/m/03v3yw"
"""
FILES = ("--PJHxphWEs.wav", "Y--ZhevVpy1s.flac", "Y0_3abcdefg_0.000_10.000.wav", "-0RWZT-miFs.ogg", "speech.wav")


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    path = tmp_path / "segments.csv"
    path.write_text(LISTING)
    return path


def test_segments_are_read_with_their_labels(segments: Path) -> None:
    listed = read_segments(segments)
    assert len(listed) == 4
    assert listed["--PJHxphWEs"] == {"/m/09x0r", "/t/dd00088"}


def test_byol_a_takes_all_segments_and_byol_s_those_with_speech(segments: Path) -> None:
    files = [Path("audio") / name for name in FILES]
    assert select_segments(files, segments) == files[:4]
    assert select_segments(files, segments, labels=SPEECH_LABELS) == [files[0], files[2]]
    assert select_segments(files, segments, labels=["/m/03v3yw"]) == [files[3]]


def test_a_selection_of_nothing_is_refused(segments: Path) -> None:
    with pytest.raises(SerabError, match="none of 1 audio files is one of the 4 chosen segments"):
        select_segments([Path("other.wav")], segments)


@pytest.mark.parametrize(
    ("content", "message"),
    [("# only a comment\n", "lists no segments"), ("a,b\n", "line 1: 2 fields"), ("a,1,2,\n", "line 1: 4 fields")],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "other.csv"
    path.write_text(content)
    with pytest.raises(SerabError, match=message):
        read_segments(path)
    with pytest.raises(SerabError, match="cannot be read"):
        read_segments(tmp_path / "missing.csv")
