"""The package's lists of what was released: names and facts of recordings, and what they hold.

A recording is known again by its file, or by its samples in any lossless container.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

import pandas as pd
import soundfile

from serab_lib.core import SerabError, hash_files
from serab_lib.corpora.task import TASKS, Task, get_task

_N_FRAMES_PER_BLOCK = 65_536


@dataclass(frozen=True)
class ContentList:
    """What the released recordings of a corpus hold, by stem.

    Attributes
    ----------
    sha256 : dict of str to str
        Of the released file.
    samples : dict of str to str
        As from `hash_samples`; without the recordings that are not in 16 bits.
    """

    sha256: dict[str, str]
    samples: dict[str, str]

    def is_original(self, stem: str, sha256: str, samples: str) -> bool:
        """Whether a file with these hashes is the recording that was released under a name."""
        return self.sha256.get(stem) == sha256 or (bool(samples) and self.samples.get(stem) == samples)

    def find_others(self, stem: str, sha256: str, samples: str) -> list[str]:
        """List the other names under which a file's content was released."""
        there = {name for name, value in self.sha256.items() if value == sha256}
        there |= {name for name, value in self.samples.items() if samples and value == samples}
        return sorted(there - {stem})


@functools.lru_cache(maxsize=32)
def read_manifest(name: str) -> pd.DataFrame | None:
    """Read one of the package's tables of facts, all as str; None if there is none. Do not change it."""
    file = resources.files("serab_lib") / "data" / "manifests" / name
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return pd.read_csv(stream, dtype=str, keep_default_na=False)


@functools.lru_cache(maxsize=32)
def read_content(name: str) -> ContentList | None:
    """Read the list of what a corpus holds, by the name of its task; None where there is none."""
    manifest = read_manifest(f"{name}_content.csv")
    if manifest is None:
        return None
    stems = [PurePosixPath(file).stem for file in manifest["file"]]
    samples = manifest["pcm_md5"] if "pcm_md5" in manifest else [""] * len(stems)
    return ContentList(
        sha256=dict(zip(stems, manifest["sha256"], strict=True)),
        samples={stem: value for stem, value in zip(stems, samples, strict=True) if value},
    )


def hash_samples(path: str | Path) -> str:
    """Hash a recording's samples, as interleaved 16-bit little endian; empty where it holds no such samples.

    Returns
    -------
    str
        MD5, hexadecimal: what the header of a FLAC file says of its samples, where it is read.
    """
    raw = os.fsencode(path)
    with open(raw, "rb") as stream:
        head = stream.read(42)
    if head[:4] == b"fLaC" and any(head[26:42]):
        return head[26:42].hex()
    result = hashlib.md5(usedforsecurity=False)
    try:
        with soundfile.SoundFile(raw) as file:
            if file.subtype != "PCM_16":
                return ""
            while len(block := file.read(_N_FRAMES_PER_BLOCK, dtype="int16")):
                result.update(block.astype("<i2").tobytes())
    except (soundfile.LibsndfileError, RuntimeError):
        return ""
    return result.hexdigest()


def mark_originals(task: Task, utterances: pd.DataFrame, hashes: Sequence[str], *, cache: Path) -> list[bool] | None:
    """Mark the recordings that are as they were released; None where that is not known of the corpus.

    Parameters
    ----------
    task : Task
    utterances : pandas.DataFrame
        With `stem` and `path`.
    hashes : sequence of str
        SHA-256 of each file. The samples are hashed only of files that these do not tell.
    cache : Path
        Folder of caches, where hashes are remembered.
    """
    content = read_content(task.name)
    if content is None:
        return None
    stems, paths = list(utterances["stem"]), list(utterances["path"])
    unknown = [row for row, stem in enumerate(stems) if content.sha256.get(stem) != hashes[row]]
    samples = hash_files([paths[row] for row in unknown], cache=cache, hasher=hash_samples)
    found = dict(zip(unknown, samples, strict=True))
    return [content.is_original(stem, hashes[row], found.get(row, "")) for row, stem in enumerate(stems)]


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
