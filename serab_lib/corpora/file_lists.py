"""The tasks' utterances as the shipped file lists have them: who says what how long, without any audio."""

from __future__ import annotations

import functools
from pathlib import PurePosixPath

import pandas as pd

from serab_lib.core import SerabError
from serab_lib.corpora.corpus import read_manifest
from serab_lib.corpora.tasks import TASKS, Task, get_task


def list_utterances(task: str | Task, *, excluded: bool = False) -> pd.DataFrame:
    """List a task's utterances.

    Parameters
    ----------
    task : str or Task
    excluded : bool
        Whether to keep the files that the task never uses, such as the four that TensorFlow Datasets leaves out of
        CREMA-D.

    Returns
    -------
    pandas.DataFrame
        As from `serab_lib.corpora.corpus.load_task`, sorted by stem, with `duration_s` and `sample_rate` in place of
        `path`; NaN where the list does not say. IEMOCAP's names may not be published: its rows come from
        counts per dialogue prefix, speaker and class, and their stems are numbered.

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
    if TASKS.get(task.code) is task:
        return _read_list(task.code, excluded).copy()
    return _make_list(task, excluded)


@functools.lru_cache(maxsize=32)
def _read_list(code: str, excluded: bool) -> pd.DataFrame:
    return _make_list(TASKS[code], excluded)


def _make_list(task: Task, excluded: bool) -> pd.DataFrame:
    if task.counts:
        return _expand_counts(task, read_manifest(task.counts))
    manifest = read_manifest(f"{task.name}.csv")
    if manifest is None:
        raise SerabError(f"there is no list of the files of {task.title}: load the corpus itself with load_task")
    table = manifest.assign(stem=[PurePosixPath(file).stem for file in manifest["file"]])
    if not excluded:
        table = table[~table["stem"].isin(task.excluded)]
    table = table.sort_values("stem", ignore_index=True)
    names = [task.parse(stem) for stem in table["stem"]]
    table["released_group"] = [name.released_group if name else "" for name in names]
    for column in ("duration_s", "sample_rate"):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table[["stem", "speaker", "emotion", "released_group", "duration_s", "sample_rate"]]


def _expand_counts(task: Task, counts: pd.DataFrame | None) -> pd.DataFrame:
    if counts is None:
        raise SerabError("the package's table of counts is missing: install the package anew")
    rows = counts.loc[counts.index.repeat(counts["utterances"].astype(int))].reset_index(drop=True)
    return pd.DataFrame(
        {
            "stem": [f"{task.name}-{number:04d}" for number in range(len(rows))],
            "speaker": rows["speaker"],
            "emotion": rows["emotion"],
            "released_group": rows["dialogue_prefix"],
            "duration_s": float("nan"),
            "sample_rate": float("nan"),
        }
    )
