"""The tasks' utterances as the shipped file lists have them: who says what how long, without any audio."""

from __future__ import annotations

from pathlib import PurePosixPath

import pandas as pd

from serab_lib.corpus import read_manifest
from serab_lib.errors import SerabError
from serab_lib.tasks import Task, get_task


def list_utterances(task: str | Task) -> pd.DataFrame:
    """List a task's utterances.

    Parameters
    ----------
    task : str or Task

    Returns
    -------
    pandas.DataFrame
        As from `serab_lib.corpus.load_task`, sorted by stem, with `duration_s` and `sample_rate` in place of
        `path`; NaN where the list does not say. IEMOCAP's names may not be published: its rows come from
        counts per dialogue prefix, speaker and class, and their stems are numbers.

    Raises
    ------
    SerabError
        If there is no list of this task.

    Examples
    --------
    >>> list_utterances("SAV")["speaker"].value_counts().to_dict()
    {'DC': 120, 'JE': 120, 'JK': 120, 'KL': 120}
    """
    task = get_task(task)
    if task.counts:
        return _expand_counts(read_manifest(task.counts))
    manifest = read_manifest(f"{task.name}.csv")
    if manifest is None:
        raise SerabError(f"there is no list of the files of {task.title}: load the corpus itself with load_task")
    rows = []
    for file, duration, rate in zip(manifest["file"], manifest["duration_s"], manifest["sample_rate"], strict=True):
        stem = PurePosixPath(file).stem
        parsed = None if stem in task.excluded else task.parse(stem)
        if parsed and parsed.emotion in task.emotions:
            emotion = task.emotions[parsed.emotion]
            rows.append((stem, parsed.speaker, emotion, parsed.released_group, duration, rate))
    columns = ["stem", "speaker", "emotion", "released_group", "duration_s", "sample_rate"]
    table = pd.DataFrame(rows, columns=columns).sort_values("stem", ignore_index=True)
    for column in ("duration_s", "sample_rate"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


def _expand_counts(counts: pd.DataFrame | None) -> pd.DataFrame:
    if counts is None:
        raise SerabError("the package's table of counts is missing: install the package anew")
    rows = counts.loc[counts.index.repeat(counts["utterances"].astype(int))].reset_index(drop=True)
    return pd.DataFrame(
        {
            "stem": [str(number) for number in range(len(rows))],
            "speaker": rows["speaker"],
            "emotion": rows["emotion"],
            "released_group": rows["dialogue_prefix"],
            "duration_s": float("nan"),
            "sample_rate": float("nan"),
        }
    )
