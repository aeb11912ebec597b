"""The sample rates of recordings at hand beside those of the released ones: copies that somebody resampled."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence

import soundfile

from serab_lib.core import SerabError
from serab_lib.corpora.file_lists import list_utterances
from serab_lib.corpora.tasks import Task


def count_sample_rates(paths: Sequence[str]) -> dict[str, int]:
    """Count files by sample rate, from their headers.

    Parameters
    ----------
    paths : sequence of str

    Returns
    -------
    dict of str to int
        Rate in Hz to number of files, rarest last; files that cannot be read are left out.
    """
    rates: Counter[str] = Counter()
    for path in paths:
        try:
            rates[str(soundfile.info(os.fsencode(path)).samplerate)] += 1
        except (soundfile.LibsndfileError, OSError, RuntimeError):
            continue
    return dict(rates.most_common())


def describe_copies(task: Task, n_files: Mapping[str, int]) -> str | None:
    """Say that recordings are resampled copies, if they are.

    Parameters
    ----------
    task : Task
    n_files : mapping
        As from `count_sample_rates`.

    Returns
    -------
    str or None
        One line; None where all have a rate of the released recordings, or that rate is not known.
    """
    try:
        known = list_utterances(task)["sample_rate"].dropna()
    except SerabError:
        return None  # a corpus of one's own
    released = {str(int(rate)) for rate in known}
    copies = {rate: n for rate, n in n_files.items() if rate not in released}
    if not released or not copies:
        return None
    return (
        f"{sum(copies.values()):,} of {sum(n_files.values()):,} recordings at {_name(copies)}, released at "
        f"{_name(known.astype(int).astype(str).value_counts())}: copies that somebody resampled (what is at the "
        "top of their band depends on how); measure on the released recordings where the last points matter"
    )


def _name(rates: Mapping[str, object]) -> str:
    return " or ".join(f"{int(rate) / 1000:g} kHz" for rate in rates.keys())
