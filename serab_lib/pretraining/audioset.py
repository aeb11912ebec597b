"""AudioSet's published lists of segments: which clips there are, and which hold speech."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from serab_lib.core import SerabError, printable

logger = logging.getLogger(__name__)

SPEECH_LABELS = {
    "/m/09x0r": "Speech",
    "/m/05zppz": "Male speech, man speaking",
    "/m/02zsn": "Female speech, woman speaking",
    "/m/0ytgt": "Child speech, kid speaking",
    "/m/01h8n0": "Conversation",
    "/m/02qldy": "Narration, monologue",
    "/m/0261r1": "Babbling",
    "/m/0brhx": "Speech synthesizer",
}
"""Speech and its children in AudioSet's ontology."""

# A video's name, perhaps after a Y as in AudioSet's own features, perhaps with the segment's times behind it.
_STEM = re.compile(r"(?P<video>[\w-]{11})(?:[_.\- ].*)?", flags=re.ASCII)


def read_segments(path: str | Path) -> dict[str, frozenset[str]]:
    """Read a list of segments.

    Parameters
    ----------
    path : str or Path
        One of AudioSet's files: `YTID, start_seconds, end_seconds, positive_labels`, comments after #.

    Returns
    -------
    dict of str to frozenset of str
        Video to the ontology's ids. AudioSet has one segment of a video.

    Raises
    ------
    SerabError
        If the file is not there, is empty, or a line is no segment.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SerabError(
            f"{printable(path)} cannot be read ({error}): name one of AudioSet's lists of segments, such as "
            "balanced_train_segments.csv"
        ) from error
    segments = {}
    for number, row in enumerate(rows, start=1):
        if not row or row[0].startswith("#"):
            continue
        if len(row) != 4 or not row[3].strip():
            raise SerabError(
                f"{printable(path)}, line {number}: {len(row)} fields, expected a video, its start, its end and "
                "labels: name one of AudioSet's lists of segments"
            )
        segments[row[0]] = frozenset(label.strip() for label in row[3].split(","))
    if not segments:
        raise SerabError(f"{printable(path)} lists no segments: name one of AudioSet's lists")
    return segments


def select_segments(
    paths: Iterable[Path], segments: str | Path, *, labels: Collection[str] | None = None
) -> list[Path]:
    """Keep the files that a list of segments names.

    Parameters
    ----------
    paths : iterable of Path
        Named by the video, such as `--PJHxphWEs.wav`, `Y--PJHxphWEs.flac` or `--PJHxphWEs_30.000_40.000.wav`.
    segments : str or Path
        See `read_segments`.
    labels : collection of str, optional
        Ontology ids, one of which a segment must have: `SPEECH_LABELS` for BYOL-S. All segments if None, for
        BYOL-A.

    Returns
    -------
    list of Path
        In the order of `paths`.

    Raises
    ------
    SerabError
        If no file is left.
    """
    listed = read_segments(segments)
    wanted = {video for video, own in listed.items() if labels is None or not own.isdisjoint(labels)}
    paths = list(paths)
    chosen = [path for path in paths if _video(path, wanted)]
    if not chosen:
        raise SerabError(
            f"none of {len(paths)} audio files is one of the {len(wanted)} chosen segments of {printable(segments)}: "
            "files are named by their video, such as --PJHxphWEs.wav"
        )
    logger.info("%d of %d audio files are chosen segments of %s", len(chosen), len(paths), segments)
    return chosen


def _video(path: Path, wanted: Collection[str]) -> str | None:
    """Video that a file is named by, if it is wanted."""
    for stem in (path.stem, path.stem.removeprefix("Y")):
        match = _STEM.fullmatch(stem)
        if match and match["video"] in wanted:
            return match["video"]
    return None
