"""Speakers' genders, where the corpora state them."""

from __future__ import annotations

import functools
from pathlib import PurePosixPath

from serab_lib.corpora.corpus import read_manifest
from serab_lib.corpora.task import Task, get_task

# How a speaker's name tells the gender: (position in the name, mark of women, mark of men), or the two sets.
_MARKS: dict[str, tuple[int, str, str]] = {
    "EMV": (0, "f", "m"),
    "IEM": (-1, "F", "M"),
    "SHE": (0, "F", "M"),
}
# By the corpora's own descriptions: EmoDB's site lists its speakers, SAVEE's are all men, and actors with an odd
# number are men in RAVDESS and in CaFE.
_WOMEN: dict[str, frozenset[str]] = {
    "CAF": frozenset(f"{number:02d}" for number in range(2, 13, 2)),
    "EMB": frozenset({"08", "09", "13", "14", "16"}),
    "RAV": frozenset(f"{number:02d}" for number in range(2, 25, 2)),
    "SAV": frozenset(),
}


def name_gender(task: str | Task, speaker: str) -> str:
    """Tell a speaker's gender where the corpus says it.

    Parameters
    ----------
    task : str or Task
    speaker : str

    Returns
    -------
    str
        `female`, `male` or `unknown`.

    Examples
    --------
    >>> name_gender("RAV", "04"), name_gender("AES", "1")
    ('female', 'unknown')
    """
    code = task.code if isinstance(task, Task) else get_task(task).code
    if code in _WOMEN:
        return "female" if speaker in _WOMEN[code] else "male"
    if code in _MARKS:
        position, woman, man = _MARKS[code]
        return {woman: "female", man: "male"}.get(speaker[position], "unknown")
    if code == "SUB":
        return _subesco_genders().get(speaker, "unknown")
    return "unknown"


@functools.cache
def _subesco_genders() -> dict[str, str]:
    """SUBESCO's names say it once for each file: `F_01_OISHI_...`."""
    manifest = read_manifest("subesco.csv")
    stems = [] if manifest is None else manifest["file"]
    return {stem.split("_")[2]: {"F": "female", "M": "male"}[stem[0]] for stem in map(_stem, stems)}


def _stem(file: str) -> str:
    return PurePosixPath(file).stem
