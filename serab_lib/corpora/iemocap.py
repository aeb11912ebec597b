"""The labels of IEMOCAP: the one corpus whose file names do not say which emotion is spoken."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from serab_lib.core import SerabError

LABEL_FOLDER = "EmoEvaluation"

# A turn's own line, `[start - end]<tab>name<tab>label<tab>[valence, activation, dominance]`. The lines of
# the single raters below it start with C-, A- or the rater's name and are of no use here.
_TURN = re.compile(r"\[[\d. -]+\]\s+(?P<stem>Ses\w+)\s+(?P<label>[a-z]{3})\s+\[")


def read_labels(files: Iterable[str | Path]) -> dict[str, str]:
    """Read the label that the raters agreed on for each utterance of IEMOCAP.

    Parameters
    ----------
    files : iterable of str or Path
        Text files of the corpus. Used are those that lie directly in a folder ``EmoEvaluation``: not the
        single raters' files in its subfolders ``Attribute``, ``Categorical`` and ``Self-evaluation``, nor
        the text files of any other folder.

    Returns
    -------
    dict
        Utterance (``Ses01F_impro01_M003``) to label (``ang``, ``exc``, ``xxx`` ...), all labels included.

    Raises
    ------
    SerabError
        If no utterance is labelled, a label file cannot be read, or two files contradict each other.

    Examples
    --------
    >>> read_labels([])
    Traceback (most recent call last):
    ...
    serab_lib.core.SerabError: no dialog/EmoEvaluation/*.txt with labels: unpack the full release of \
IEMOCAP, its dialog folders included
    """
    labels: dict[str, str] = {}
    for path in sorted(map(Path, files)):
        if path.parent.name != LABEL_FOLDER or path.name.startswith(".") or path.suffix.lower() != ".txt":
            continue
        for stem, label in _read_file(path):
            if labels.setdefault(stem, label) != label:
                raise SerabError(
                    f"{path} calls {stem} {label!r} where another file says {labels[stem]!r}: "
                    "keep one copy of IEMOCAP only"
                )
    if not labels:
        raise SerabError(
            f"no dialog/{LABEL_FOLDER}/*.txt with labels: "
            "unpack the full release of IEMOCAP, its dialog folders included"
        )
    return labels


def _read_file(path: Path) -> list[tuple[str, str]]:
    try:
        # Some raters' comments are not UTF-8; the turns' own lines are plain ASCII.
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SerabError(f"cannot read {path} ({error.strerror}): check its permissions") from error
    matches = map(_TURN.match, text.splitlines())
    return [(match["stem"], match["label"]) for match in matches if match]
