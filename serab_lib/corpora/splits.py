"""Splits into train, validation and test: the released shuffle, by the release's groups or by true speakers.

`released` does what the authors' code does, slips included, to match the paper's numbers; `described` does
what the paper's text says: no speaker in two parts, all classes; `rotated` does so several times, until every speaker
has been tested.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from serab_lib.core import SerabError, unknown_name
from serab_lib.corpora.task import Task

PROTOCOLS = ("released", "described")  # one split each
ROTATED = "rotated"
ALL_PROTOCOLS = (*PROTOCOLS, ROTATED)
N_FOLDS = 5
PARTS = ("train", "validation", "test")


def shuffle_groups(groups: Iterable[str]) -> list[str]:
    """Order the distinct groups as the release does: as text, then shuffled with seed 0.

    The algorithm is that of TensorFlow Datasets' CREMA-D and SAVEE, which the release copies for the others. Numpy's
    legacy generator is frozen for good, so the order is the same with every version.

    >>> shuffle_groups(["DC", "JE", "JK", "KL", "DC"])
    ['JK', 'KL', 'JE', 'DC']
    """
    distinct = sorted(set(groups))
    np.random.RandomState(0).shuffle(distinct)
    return distinct


def assign_parts(groups: Sequence[str], shares: Sequence[float]) -> dict[str, str]:
    """Cut groups, in the order of `shuffle_groups`, into train, validation and test; the last takes the rest.

    The cuts are ``int(n * sum)`` with the shares summed one after the other as floats, as released: 0.7 + 0.1 is a
    little less than 0.8, which moves the cut where n is a multiple of 10.

    >>> assign_parts(["JK", "KL", "JE", "DC"], (0.6, 0.2, 0.2))
    {'JK': 'train', 'KL': 'train', 'JE': 'validation', 'DC': 'test'}
    """
    parts: dict[str, str] = {}
    start, total = 0, 0.0
    for part, share in zip(PARTS, shares, strict=True):
        total += share
        stop = len(groups) if part == PARTS[-1] else int(total * len(groups))
        parts.update(dict.fromkeys(groups[start:stop], part))
        start = stop
    return parts


def split(utterances: pd.DataFrame, task: Task, protocol: str) -> pd.DataFrame:
    """Split a task's utterances into train, validation and test.

    Parameters
    ----------
    utterances : pandas.DataFrame
        As from `serab_lib.corpora.corpus.load_task`; needs ``speaker``, ``emotion`` and ``released_group``.
    task : Task
    protocol : str
        ``released`` groups by the release's key and leaves out its classes; ``described`` groups by the true speaker.

    Returns
    -------
    pandas.DataFrame
        A copy, in the same order and numbered anew, with the columns ``group`` and ``part`` added.

    Raises
    ------
    SerabError
        If there is no such protocol, a part would be empty, there are fewer than two classes, or train lacks a class.

    Notes
    -----
    Paper: 60/20/20, CREMA-D 70/10/20, partitions speaker-independent. The release groups ShEMO by utterance
    number and IEMOCAP by dialogue prefix, which are not speakers, and leaves CaFE's neutral class out.
    """
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS, listing="serab run --help")
    released = protocol == "released"
    kept = ~utterances["emotion"].isin(task.released_without if released else ())
    parts = utterances[kept].reset_index(drop=True)
    parts["group"] = parts["released_group" if released else "speaker"]
    order = shuffle_groups(parts["group"])
    assignment = assign_parts(order, task.shares)
    _require_three_parts(task, protocol, order, assignment)
    parts["part"] = parts["group"].map(assignment)
    _require_classes(task, protocol, parts)
    return parts


def cut_folds(speakers: Iterable[str]) -> list[list[str]]:
    """Cut speakers, in the order of `shuffle_groups`, into five folds, or as many as there are speakers.

    The cuts are those of whole numbers, as released, so that the last fold is the test part of the other protocols.

    >>> cut_folds(["DC", "JE", "JK", "KL"])
    [['JK'], ['KL'], ['JE'], ['DC']]
    """
    order = shuffle_groups(speakers)
    n_folds = min(N_FOLDS, len(order))
    cuts = [number * len(order) // n_folds for number in range(n_folds + 1)]
    return [order[start:stop] for start, stop in pairwise(cuts)]


def split_folds(utterances: pd.DataFrame, task: Task, protocol: str) -> list[pd.DataFrame]:
    """Split a task's utterances as `split` does: once, or under ``rotated`` once for each fold.

    Fold by fold, its speakers are tested, those of the next fold validate, and all others train.
    """
    if protocol != ROTATED:
        return [split(utterances, task, protocol)]
    folds = cut_folds(utterances["speaker"])
    if len(folds) < len(PARTS):
        raise SerabError(f"{task.code}, protocol {protocol}: {len(folds)} speakers, expected 3 or more: add others")
    splits = []
    for number, tested in enumerate(folds, start=1):
        parts = utterances.reset_index(drop=True).assign(group=utterances["speaker"].to_numpy(), part="train")
        parts.loc[parts["speaker"].isin(folds[number % len(folds)]), "part"] = "validation"
        parts.loc[parts["speaker"].isin(tested), "part"] = "test"
        _require_classes(task, f"{protocol}, fold {number}", parts)
        splits.append(parts)
    return splits


def find_training(utterances: pd.DataFrame, task: Task) -> np.ndarray:
    """Mark the utterances on which log-mel statistics are measured: train in the described split."""
    parts = split(utterances, task, "described")
    return utterances["stem"].isin(parts.loc[parts["part"] == "train", "stem"]).to_numpy()


def split_warnings(folds: Sequence[pd.DataFrame]) -> list[str]:
    """Name the classes that validation or test lack, a line each; test lacks one if no fold tests it."""
    warnings = []
    for part, consequence in (
        ("validation", "the hyperparameters are chosen without it"),
        ("test", "its recall cannot be measured"),
    ):
        there = [set(parts.loc[parts["part"] == part, "emotion"]) for parts in folds]
        for emotion in sorted(set(folds[0]["emotion"])):
            n_lacking = sum(emotion not in each for each in there)
            if n_lacking == len(folds) or (n_lacking and part == "validation"):
                where = part if len(folds) == 1 else f"{part} of {n_lacking} folds"
                warnings.append(f"class {emotion} has no utterance in {where}: {consequence}")
    return warnings


def measure_speaker_overlap(parts: pd.DataFrame, part: str = "test") -> float:
    """Measure the share of a part's utterances whose speaker is also in train: 0 where a split is independent."""
    trained = set(parts.loc[parts["part"] == "train", "speaker"])
    return float(parts.loc[parts["part"] == part, "speaker"].isin(trained).mean())


def _require_three_parts(task: Task, protocol: str, order: list[str], assignment: dict[str, str]) -> None:
    empty = [part for part in PARTS if part not in assignment.values()]
    if empty:
        what = "speakers" if task.released_group == "speaker" or protocol == "described" else "groups"
        enough = next(n for n in range(len(order) + 1, 100) if _fills_all_parts(n, task.shares))
        shares = "/".join(f"{100 * share:.0f}" for share in task.shares)
        raise SerabError(
            f"{task.code}, protocol {protocol}: {' and '.join(empty)} would be empty, cutting {shares} with "
            f"{len(order)} {what if len(order) != 1 else what[:-1]} ({', '.join(sorted(order)[:6])}): "
            f"add the files of others, {enough} {what} would do"
        )


def _fills_all_parts(n_groups: int, shares: Sequence[float]) -> bool:
    return len(set(assign_parts([str(number) for number in range(n_groups)], shares).values())) == len(PARTS)


def _require_classes(task: Task, protocol: str, parts: pd.DataFrame) -> None:
    where = f"{task.code}, protocol {protocol}"
    classes = sorted(set(parts["emotion"]))
    if len(classes) < 2:
        raise SerabError(f"{where}: {classes[0]} is the only class, expected two or more: complete the corpus")
    trained = set(parts.loc[parts["part"] == "train", "emotion"])
    for emotion in classes:
        if emotion not in trained:
            others = parts.loc[parts["emotion"] == emotion, "part"]
            spread = " and ".join(f"{count} in {part}" for part, count in others.value_counts().items())
            raise SerabError(
                f"{where}: class {emotion} has no utterance in train ({spread}), so nothing can learn it: "
                f"complete the corpus (`serab check {task.name}`) or leave that class's files out"
            )
