"""What was released: the package's lists of recordings by name, and of what they hold by content."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path, PurePosixPath

import pandas as pd
import soundfile

from serab_lib.core import SerabError, hash_files
from serab_lib.corpora.task import Task, get_task

# SHA-256 of a file and MD5 of its samples; the latter is empty where they are not in 16 bits.
Content = tuple[str, str]


@functools.lru_cache(maxsize=32)
def read_manifest(name: str) -> pd.DataFrame | None:
    """Read one of the package's tables of facts, all as str; None if there is none. Do not change it."""
    file = resources.files("serab_lib") / "data" / "manifests" / name
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return pd.read_csv(stream, dtype=str, keep_default_na=False)


def list_utterances(task: str | Task, *, excluded: bool = False) -> pd.DataFrame:
    """List a task's utterances as they were released.

    Parameters
    ----------
    task : str or Task
    excluded : bool
        Whether to keep the files that the task never uses.

    Returns
    -------
    pandas.DataFrame
        As from `serab_lib.corpora.corpus.load_task`, sorted by stem, with `duration_s` and `sample_rate` (Hz) in place
        of `path`; NaN where the list does not say. IEMOCAP's names may not be published: its rows come from counts per
        dialogue prefix, speaker and class, and their stems are numbered.

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
    table = read_manifest(task.counts or f"{task.name}.csv")
    if table is None:
        raise SerabError(f"there is no list of the files of {task.title}: load the corpus itself with load_task")
    if task.counts:
        table = table.loc[table.index.repeat(table["utterances"].astype(int))]
        stems = [f"{task.name}-{number:04d}" for number in range(len(table))]
        table = table.assign(stem=stems, duration_s="", sample_rate="", released_group=table["dialogue_prefix"])
    else:
        table = table.assign(stem=[PurePosixPath(file).stem for file in table["file"]])
        table = table if excluded else table[~table["stem"].isin(task.excluded)]
        parts = table["stem"].str.extract(f"^{task.pattern}$").assign(speaker=table["speaker"])
        table = table.assign(released_group=parts[task.released_group])
    numbers = {column: pd.to_numeric(table[column], errors="coerce") for column in ("duration_s", "sample_rate")}
    columns = ["stem", "speaker", "emotion", "released_group", *numbers]
    return table.assign(**numbers)[columns].sort_values("stem", ignore_index=True)


@functools.lru_cache(maxsize=32)
def read_content(name: str) -> dict[str, Content] | None:
    """Read what the released recordings of a corpus hold, by stem; None where there is no list of it."""
    table = read_manifest(f"{name}_content.csv")
    if table is None:
        return None
    samples = table["pcm_md5"] if "pcm_md5" in table else [""] * len(table)
    stems = [PurePosixPath(file).stem for file in table["file"]]
    return dict(zip(stems, zip(table["sha256"], samples, strict=True), strict=True))


def hash_samples(path: str | Path) -> str:
    """MD5 of a recording's samples as interleaved 16-bit little endian; empty where it holds no such samples.

    That of a FLAC file stands in its header and is not computed.
    """
    raw = os.fsencode(path)
    with open(raw, "rb") as stream:
        head = stream.read(42)
    if head[:4] == b"fLaC" and any(head[26:42]):
        return head[26:42].hex()
    try:
        with soundfile.SoundFile(raw) as file:
            samples = file.read(dtype="int16") if file.subtype == "PCM_16" else None
    except (soundfile.LibsndfileError, RuntimeError):
        return ""
    return "" if samples is None else hashlib.md5(samples.astype("<i2").tobytes(), usedforsecurity=False).hexdigest()


def mark_originals(task: Task, utterances: pd.DataFrame, hashes: Sequence[str], *, cache: Path) -> list[bool] | None:
    """Mark the recordings that are as they were released; None where that is not known of the corpus.

    `hashes` are the SHA-256 of each file. The samples are hashed only of files that these do not tell.
    """
    content = read_content(task.name)
    if content is None:
        return None
    released = [content.get(stem, ("", "")) for stem in utterances["stem"]]
    marks = [sha256 == found for (sha256, _), found in zip(released, hashes, strict=True)]
    unsure = [row for row, (_, samples) in enumerate(released) if samples and not marks[row]]
    paths = list(utterances["path"])
    found = hash_files([paths[row] for row in unsure], cache=cache, hasher=hash_samples)
    for row, samples in zip(unsure, found, strict=True):
        marks[row] = samples == released[row][1]
    return marks
