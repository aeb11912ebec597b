"""The corpora themselves: recordings that are there twice, files that cannot be decoded, classes too rare to test."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
import soundfile
from scipy import stats

from serab_lib.audit.speakers import split_all
from serab_lib.corpora.corpus import find_corpus
from serab_lib.corpora.manifests import read_manifest
from serab_lib.corpora.splits import PARTS
from serab_lib.corpora.task import PAPER_TASKS, Task, get_task
from serab_lib.evaluation.protocol import normalise_speakers

FULL_SCALE = 32767
_DUPLICATE_COLUMNS = ["task", "files", "emotions", "speakers", "contradicting", "n_used"]


def read_digests(task: str | Task) -> pd.DataFrame | None:
    """Read the SHA-256 of a corpus's released files, `file` and `sha256`; None where no such list is shipped."""
    return read_manifest(f"{get_task(task).name}_content.csv")


def hash_audio(task: str | Task, data: str | Path | None = None, *, n_workers: int | None = None) -> pd.DataFrame:
    """Hash the decoded sound of a corpus on disk, so that two formats of one recording count as equal.

    Parameters
    ----------
    task : str or Task
    data : str or Path, optional
        As in `serab_lib.corpora.corpus.load_task`.
    n_workers : int, optional
        Threads; one per core by default.

    Returns
    -------
    pandas.DataFrame
        One row per utterance: `file` (its stem), `sha256` of the 16-bit samples and the sampling rate, and `n_full`,
        the number of samples at full scale, positive or negative. A file that cannot be decoded has an empty hash.
    """
    corpus = find_corpus(task, data)
    with ThreadPoolExecutor(max_workers=n_workers or os.cpu_count()) as pool:
        hashed = list(pool.map(_hash_sound, corpus.utterances["path"]))
    return pd.DataFrame(hashed, columns=["sha256", "n_full"]).assign(file=corpus.utterances["stem"].to_numpy())


def _hash_sound(path: str) -> tuple[str, int]:
    try:
        samples, rate = soundfile.read(os.fsencode(path), dtype="int16", always_2d=True)
    except (soundfile.SoundFileError, OSError):
        return "", 0
    full = (samples == FULL_SCALE) | (samples == -FULL_SCALE - 1)
    return hashlib.sha256(samples.tobytes() + str(rate).encode()).hexdigest(), int(full.sum())


def find_duplicates(task: str | Task, digests: pd.DataFrame | None = None) -> pd.DataFrame:
    """Find recordings that are in a corpus under two names.

    Parameters
    ----------
    task : str or Task
    digests : pandas.DataFrame, optional
        `file` and `sha256`; by default the shipped list, which only CREMA-D has. `hash_audio` makes one from a corpus
        on disk.

    Returns
    -------
    pandas.DataFrame
        One row per recording that is there more than once: `files` (stems), `emotions` and `speakers` (of each),
        `contradicting` (whether the labels differ), `n_used` (how many of them the task uses).
    """
    task = get_task(task)
    digests = read_digests(task) if digests is None else digests
    if digests is None:
        return pd.DataFrame(columns=_DUPLICATE_COLUMNS)
    digests = digests[digests["sha256"] != ""]
    rows = []
    for _, same in digests[digests.duplicated("sha256", keep=False)].groupby("sha256"):
        stems = sorted(PurePosixPath(file).stem if "." in file else file for file in same["file"])
        names = [task.parse(stem) for stem in stems]
        emotions = tuple(task.emotions.get(name.emotion or "", "") if name else "" for name in names)
        rows.append(
            {
                "task": task.code,
                "files": tuple(stems),
                "emotions": emotions,
                "speakers": tuple(name.speaker if name else "" for name in names),
                "contradicting": len(set(emotions)) > 1,
                "n_used": sum(stem not in task.excluded for stem in stems),
            }
        )
    return pd.DataFrame(rows, columns=_DUPLICATE_COLUMNS).sort_values("files", ignore_index=True)


def list_unusable(tasks: Iterable[str | Task] = PAPER_TASKS) -> pd.DataFrame:
    """List the files that no task uses, and those that are odd and used all the same.

    Parameters
    ----------
    tasks : iterable of str or Task

    Returns
    -------
    pandas.DataFrame
        `task`, `file` (stem), `reason`, `used`. `serab check` finds what is wrong with a copy on disk.
    """
    rows = []
    for task in map(get_task, tasks):
        for used, reasons in ((False, task.excluded), (True, task.oddities)):
            rows += [
                {"task": task.code, "file": stem, "reason": why, "used": used} for stem, why in sorted(reasons.items())
            ]
    return pd.DataFrame(rows, columns=["task", "file", "reason", "used"])


def count_classes(
    utterances: Mapping[str, pd.DataFrame] | None = None, tasks: Iterable[str | Task] = PAPER_TASKS
) -> pd.DataFrame:
    """Count utterances by class and part under both protocols.

    Parameters
    ----------
    utterances : mapping, optional
        Task code to utterances; the shipped lists by default.
    tasks : iterable of str or Task

    Returns
    -------
    pandas.DataFrame
        One row per task, protocol and class of the corpus: `n_total`, `n_train`, `n_validation`, `n_test`, and
        `half_width`: half of the 95 % Wilson interval of a recall of one half on the test part, in points. It says how
        well the class's recall can be known at best; NaN where the class is not tested at all.
    """
    tasks = [get_task(task) for task in tasks]
    rows = []
    for (code, protocol), table in split_all(utterances, tasks).items():
        task = next(task for task in tasks if task.code == code)
        counts = table.groupby(["emotion", "part"]).size().unstack(fill_value=0)
        for emotion in task.classes:
            parts = {f"n_{part}": int(counts[part].get(emotion, 0)) if part in counts else 0 for part in PARTS}
            rows.append(
                {
                    "task": code,
                    "protocol": protocol,
                    "emotion": emotion,
                    "n_total": sum(parts.values()),
                    **parts,
                    "half_width": _half_width(parts["n_test"]),
                }
            )
    return pd.DataFrame(rows)


def _half_width(n: int) -> float:
    """Half the width of Wilson's 95 % interval around one half, in points."""
    z = stats.norm.ppf(0.975)
    return float(100 * z / (2 * np.sqrt(n + z**2))) if n else float("nan")


def find_rare_classes(classes: pd.DataFrame, *, n_enough: int = 10) -> pd.DataFrame:
    """Choose the classes with too few test utterances for their recall to mean much.

    Parameters
    ----------
    classes : pandas.DataFrame
        As from `count_classes`.
    n_enough : int
        How many would do.

    Returns
    -------
    pandas.DataFrame
        Rows with fewer, classes that a protocol leaves out among them.
    """
    return classes[classes["n_test"] < n_enough].reset_index(drop=True)


def is_transductive(*, rng: np.random.Generator | int = 0) -> bool:
    """Find out whether a test utterance's features depend on other test utterances.

    Parameters
    ----------
    rng : numpy.random.Generator or int
        For the made-up embeddings.

    Returns
    -------
    bool
        True if changing one utterance of a test speaker changes what another one's embedding is normalised to, by the
        benchmark's own normalisation.
    """
    rng = np.random.default_rng(rng)
    embeddings = rng.standard_normal((8, 3))
    groups, parts = ["a"] * 4 + ["b"] * 4, ["train"] * 4 + ["test"] * 4
    before = normalise_speakers(embeddings, groups, parts)
    embeddings[-1] += 1.0
    after = normalise_speakers(embeddings, groups, parts)
    return not np.allclose(before[4:-1], after[4:-1])


def count_full_scale(digests: pd.DataFrame) -> pd.Series:
    """Count what openSMILE's wrapper would turn into clicks: samples at full scale, and their files.

    Parameters
    ----------
    digests : pandas.DataFrame
        As from `hash_audio`.

    Returns
    -------
    pandas.Series
        `n_files`, `n_affected` (files with such a sample) and `n_samples`.
    """
    full = digests["n_full"]
    return pd.Series({"n_files": len(full), "n_affected": int((full > 0).sum()), "n_samples": int(full.sum())})


def wrap_full_scale(samples: Sequence[int] | np.ndarray) -> np.ndarray:
    """Send 16-bit samples through division by 32,767 and back by a factor of 32,768, without clipping.

    Parameters
    ----------
    samples : array-like of int
        16-bit.

    Returns
    -------
    np.ndarray of int16
        What openSMILE's Python wrapper hands on. All samples come out as they went in, or one off, but those at full
        scale: 32,768 and -32,769 have no place in 16 bits, and wrap.

    Examples
    --------
    >>> wrap_full_scale([100, 32767, -32768]).tolist()
    [100, -32768, 32767]
    """
    scaled = np.trunc(np.asarray(samples, dtype=np.float64) / FULL_SCALE * 32768).astype(np.int64)
    return scaled.astype(np.int16)
