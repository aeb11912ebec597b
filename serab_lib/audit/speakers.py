"""What the lists of files say of the splits: speakers, the groups that normalisation goes by, and classes."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import PARTS, measure_speaker_overlap, split
from serab_lib.corpora.task import PAPER_TASKS, Task, get_task


@functools.cache
def _split_all() -> list[tuple[Task, str, pd.DataFrame]]:
    """Every task's utterances with group and part, under both of the paper's protocols."""
    tasks = [get_task(code) for code in PAPER_TASKS]
    keys = [(task, protocol) for task in tasks for protocol in ("released", "described")]
    return [(task, protocol, split(list_utterances(task), task, protocol)) for task, protocol in keys]


def _list_parts() -> Iterator[tuple[Task, str, pd.DataFrame, dict[str, str]]]:
    """Every part of every split, with the columns that name it."""
    for task, protocol, table in _split_all():
        for part in PARTS:
            names = {"task": task.code, "protocol": protocol, "part": part}
            yield task, protocol, table, names


@functools.cache
def compare_speakers() -> pd.DataFrame:
    """Count speakers, and those whom the parts share.

    Returns
    -------
    pandas.DataFrame
        One row per task, protocol and part: `n_utterances`, `n_speakers`, `n_female`, `n_male`, and `shared_with_train`
        (share of the part's utterances whose speaker is also in train, 0 to 1). Paper: no speaker is shared.

    Examples
    --------
    >>> table = compare_speakers().set_index(["task", "protocol", "part"])
    >>> float(table.loc[("SHE", "released", "test"), "shared_with_train"])
    1.0
    """
    rows = []
    for task, _, table, names in _list_parts():
        own = table.loc[table["part"] == names["part"], "speaker"]
        genders = [task.gender(name) for name in own.unique()]
        row = {**names, "n_utterances": len(own), "n_speakers": len(genders)}
        row |= {f"n_{gender}": genders.count(gender) for gender in ("female", "male")}
        rows.append(row | {"shared_with_train": measure_speaker_overlap(table, names["part"])})
    return pd.DataFrame(rows)


@functools.cache
def describe_normalisation() -> pd.DataFrame:
    """Describe the groups by which embeddings are standardised; where these are no speakers, the voice stays.

    Returns
    -------
    pandas.DataFrame
        One row per task, protocol and part: `groups_are` (`speakers`, or the group of the file name that is taken for
        one), `n_groups`, `smallest`, `median` and `largest` (utterances in a group), `n_alone` (utterances that are
        their whole group, and so become zero in every dimension), `speakers_per_group` (mean).
    """
    rows = []
    for task, protocol, table, names in _list_parts():
        key = task.released_group if protocol == "released" else "speaker"
        groups = table[table["part"] == names["part"]].groupby("group")
        sizes = groups.size()
        row = {**names, "groups_are": "speakers" if key == "speaker" else key, "n_groups": len(sizes)}
        row |= {"smallest": int(sizes.min()), "median": float(sizes.median()), "largest": int(sizes.max())}
        row |= {"n_alone": int((sizes == 1).sum()), "speakers_per_group": float(groups["speaker"].nunique().mean())}
        rows.append(row)
    return pd.DataFrame(rows)


def count_classes() -> pd.DataFrame:
    """Count utterances by task, protocol, class and part.

    `half_width` is half of the 95 % Wilson interval of a recall of one half on the test part (points).
    """
    tables = {}
    for task, protocol, table in _split_all():
        counts = pd.crosstab(table["emotion"], table["part"]).reindex(index=task.classes, columns=PARTS, fill_value=0)
        tables[task.code, protocol] = counts.add_prefix("n_").rename_axis(index="emotion", columns=None)
    classes = pd.concat(tables, names=["task", "protocol"])
    classes.insert(0, "n_total", classes.sum(axis=1))
    z = stats.norm.ppf(0.975)
    half_width = 100 * z / (2 * np.sqrt(classes["n_test"] + z**2))
    return classes.assign(half_width=half_width.where(classes["n_test"] > 0)).reset_index()
