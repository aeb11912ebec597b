"""Who shares voices with whom: speakers in the parts of each split, and what speaker normalisation goes by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.splits import PARTS, PROTOCOLS, split
from serab_lib.corpora.task import PAPER_TASKS, Task, get_task


def split_all(
    utterances: Mapping[str, pd.DataFrame] | None = None, tasks: Iterable[str | Task] = PAPER_TASKS
) -> dict[tuple[str, str], pd.DataFrame]:
    """Split every task under both protocols.

    Parameters
    ----------
    utterances : mapping, optional
        Task code to utterances; the shipped lists by default.
    tasks : iterable of str or Task

    Returns
    -------
    dict
        (task code, protocol) to utterances with `group` and `part`.
    """
    result = {}
    for task in map(get_task, tasks):
        table = list_utterances(task) if utterances is None else utterances[task.code]
        for protocol in PROTOCOLS:
            result[task.code, protocol] = split(table, task, protocol)
    return result


def compare_speakers(
    utterances: Mapping[str, pd.DataFrame] | None = None, tasks: Iterable[str | Task] = PAPER_TASKS
) -> pd.DataFrame:
    """Count speakers, and voices shared between the parts.

    Parameters
    ----------
    utterances : mapping, optional
        Task code to utterances; the shipped lists by default.
    tasks : iterable of str or Task

    Returns
    -------
    pandas.DataFrame
        One row per task, protocol and part: `n_utterances`, `n_speakers`, `n_female`, `n_male`, `n_unknown`
        (speakers, by gender), `shared_with_train` and `shared_with_validation` (share of the part's utterances whose
        speaker also speaks there, 0 to 1; NaN against the part itself).

    Notes
    -----
    Paper: the parts have no speaker in common.

    Examples
    --------
    >>> table = compare_speakers(tasks=["SHE"]).set_index(["protocol", "part"])
    >>> float(table.loc[("released", "test"), "shared_with_train"])
    1.0
    """
    tasks = [get_task(task) for task in tasks]
    records = {task.code: task for task in tasks}
    rows = []
    for (code, protocol), table in split_all(utterances, tasks).items():
        speakers = {part: table.loc[table["part"] == part, "speaker"] for part in PARTS}
        for part, own in speakers.items():
            genders = pd.Series([records[code].gender(name) for name in own.unique()]).value_counts()
            row = {"task": code, "protocol": protocol, "part": part}
            row |= {"n_utterances": len(own), "n_speakers": own.nunique()}
            row |= {f"n_{gender}": int(genders.get(gender, 0)) for gender in ("female", "male", "unknown")}
            for other in ("train", "validation"):
                shared = own.isin(set(speakers[other])).mean()
                row[f"shared_with_{other}"] = float("nan") if other == part else float(shared)
            rows.append(row)
    return pd.DataFrame(rows)


def describe_normalisation(
    utterances: Mapping[str, pd.DataFrame] | None = None, tasks: Iterable[str | Task] = PAPER_TASKS
) -> pd.DataFrame:
    """Describe the groups by which embeddings are standardised.

    Parameters
    ----------
    utterances : mapping, optional
        Task code to utterances; the shipped lists by default.
    tasks : iterable of str or Task

    Returns
    -------
    pandas.DataFrame
        One row per task, protocol and part: `groups_are` (`speakers`, or the group of the file name that is taken for
        one), `n_groups`, `smallest`, `median` and `largest` (utterances in a group), `n_alone` (utterances that are
        their whole group, and so become zero in every dimension), `speakers_per_group` (mean).

    Notes
    -----
    Every group of every part is standardised with its own mean and standard deviation. Where a group is no speaker,
    the voice stays in the embedding, and what is taken out is something else.
    """
    tasks = [get_task(task) for task in tasks]
    records = {task.code: task for task in tasks}
    rows = []
    for (code, protocol), table in split_all(utterances, tasks).items():
        key = records[code].released_group if protocol == "released" else "speaker"
        for part in PARTS:
            groups = table[table["part"] == part].groupby("group")
            sizes = groups.size()
            rows.append(
                {
                    "task": code,
                    "protocol": protocol,
                    "part": part,
                    "groups_are": "speakers" if key == "speaker" else key,
                    "n_groups": len(sizes),
                    "smallest": int(sizes.min()),
                    "median": float(sizes.median()),
                    "largest": int(sizes.max()),
                    "n_alone": int((sizes == 1).sum()),
                    "speakers_per_group": float(groups["speaker"].nunique().mean()),
                }
            )
    return pd.DataFrame(rows)


def find_narrow_tests(speakers: pd.DataFrame, *, n_few: int = 5) -> pd.DataFrame:
    """Find test parts of few speakers or of one gender.

    Parameters
    ----------
    speakers : pandas.DataFrame
        As from `compare_speakers`.
    n_few : int
        How many speakers count as few, this number included.

    Returns
    -------
    pandas.DataFrame
        The rows of such test parts, with `few` and `one_gender` (`female`, `male`, or empty where both speak or
        where it is not known).

    Notes
    -----
    An accuracy says how well these speakers are understood; with few of them, another draw of speakers may give
    quite another number, however many utterances each has.
    """
    test = speakers[speakers["part"] == "test"].copy()
    test["few"] = test["n_speakers"] <= n_few
    only = {"female": "n_female", "male": "n_male"}
    test["one_gender"] = ""
    for gender, column in only.items():
        test.loc[test[column] == test["n_speakers"], "one_gender"] = gender
    return test[test["few"] | (test["one_gender"] != "")].reset_index(drop=True)
