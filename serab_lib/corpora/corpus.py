"""Corpora on disk: from a folder, whatever its shape, to one row per utterance of the task.

`find_corpus` says what is there, what is missing, what it left out and why; `load_task` gives the rows.
Nothing here decodes audio: that is `serab_lib.corpora.check`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import platformdirs

from serab_lib.core import SerabError, printable
from serab_lib.corpora.files import (
    AUDIO_SUFFIXES,
    UNEXPECTED,
    LeftOut,
    choose_files,
    list_files,
    read_names,
    refuse_unclear,
    require_folder,
    suffix_of,
)
from serab_lib.corpora.iemocap import read_labels
from serab_lib.corpora.manifests import read_manifest
from serab_lib.corpora.task import RELEASED_WINDOW_SAMPLES, Task, get_task

MARKER = "SYNTHETIC.json"


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """A corpus as it was found on disk.

    Parameters
    ----------
    task : Task
        Whose corpus it is.
    root : Path
        Its folder, ``DATA/<name>``.
    synthetic : bool
        True for a corpus made by the demo: numbers from it say nothing about people.
    utterances : pandas.DataFrame
        One row per utterance that the task uses, sorted by ``stem``, with the columns ``stem``, ``path``
        (absolute), ``speaker``, ``emotion`` and ``released_group``, all str.
    n_expected : int or None
        How many utterances there should be; None for a corpus of one's own, of which no list exists.
    missing : tuple of str
        Utterances (file stems) that are expected and not there; for IEMOCAP also a line for each group whose
        number of labelled utterances falls short.
    unexpected : tuple of str
        Utterances that fit the task's pattern and stand on no list. They are left out, except for IEMOCAP,
        of which only counts are known: there, a line for each count that is surpassed.
    left_out : tuple of LeftOut
        Every audio file that is not used.
    """

    task: Task
    root: Path
    synthetic: bool
    utterances: pd.DataFrame
    n_expected: int | None
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def complete(self) -> bool:
        """Whether the utterances are exactly those that the task should have."""
        return not self.missing and self.n_expected in (None, len(self.utterances))

    def find_statistics(self, window_samples: int) -> tuple[float, float] | None:
        """Log-mel mean and standard deviation that the release has written down, where they hold: for its window."""
        if self.synthetic or window_samples != RELEASED_WINDOW_SAMPLES:
            return None
        return self.task.log_mel_statistics


def load_task(task: str | Task, data: str | Path | None = None) -> pd.DataFrame:
    """Load the utterances of a task.

    Parameters
    ----------
    task : str or Task
        Code, name or record.
    data : str or Path, optional
        The folder that holds one folder per corpus; by default the environment variable SERAB_DATA, then the
        user's cache folder.

    Returns
    -------
    pandas.DataFrame
        One row per utterance; see `Corpus`.

    Raises
    ------
    SerabError
        See `find_corpus`, which also says what is missing.
    """
    return find_corpus(task, data).utterances


def find_data(data: str | Path | None = None) -> Path:
    """Find the folder of the corpora: the one given, else SERAB_DATA, else the user's cache folder."""
    chosen = data or os.environ.get("SERAB_DATA")
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    return Path(platformdirs.user_cache_dir("serab")) / "data"


def find_corpus(task: str | Task, data: str | Path | None = None, *, strict: bool = True) -> Corpus:
    """Find the files of a task's corpus.

    Parameters
    ----------
    task : str or Task
        Code, name or record.
    data : str or Path, optional
        As in `load_task`. The corpus lies in ``data/<name>``, at any depth, as .wav, .flac, .ogg or .mp3 in
        upper or lower case; a file is known by its stem.
    strict : bool
        False lists files of unknown name, and different recordings of one name, in ``left_out`` in place of
        raising.

    Returns
    -------
    Corpus
        Nothing is decoded, and no audio file is opened unless two have the same name.

    Raises
    ------
    UnknownNameError
        If there is no such task.
    SerabError
        If there is no folder, or none with utterances of the task; if a file's name is not known to the
        task; if two different recordings have one name.

    Notes
    -----
    Hidden files (``._*``, ``.DS_Store``) and folders, ``__MACOSX``, and folders reached a second time through
    a link are passed over. Files that fit the pattern but stand on no list are left out, so that extra files
    never change a result. One recording in several files counts once, in the first of `AUDIO_SUFFIXES` and then by
    path. Where files of one name hold different recordings, the one that was released is taken if the list of the
    corpus's content knows it; otherwise none is.
    """
    task = get_task(task)
    root = find_data(data) / task.name
    require_folder(task, root)
    audio, texts, broken = list_files(task, root)
    labels = read_labels(texts) if task.labels else None
    named, unused = read_names(task, audio, labels)
    chosen, spare = choose_files(task, root, named)
    left_out = sorted(broken + unused + spare, key=lambda each: each.file)
    if strict:
        refuse_unclear(task, root, left_out)
    marker = read_marker(root)
    expected = _list_expected(task, marker, labels)
    comparison = _compare(task, root, chosen, expected, labels, marker)
    if expected is not None:
        extra = sorted(set(chosen) - expected)
        left_out += [LeftOut(chosen.pop(stem), UNEXPECTED, "not among the task's files") for stem in extra]
    if not chosen:
        raise SerabError(
            f"no utterance of {task.title} in {printable(root)}: "
            f"all {len(left_out)} audio files there are left out, such as {left_out[0]}"
        )
    return Corpus(
        task=task,
        root=root,
        synthetic=marker is not None,
        utterances=_tabulate(task, root, chosen, labels),
        left_out=tuple(sorted(left_out, key=lambda each: each.file)),
        **comparison,
    )


def read_marker(root: Path) -> dict[str, str] | None:
    """Read which files, with their SHA-256, the demo wrote into a folder; None if it is not the demo's."""
    path = root / MARKER
    if not path.is_file():
        return None
    try:
        return {str(file): str(digest) for file, digest in json.loads(path.read_bytes())["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SerabError(f"{printable(path)} is damaged: delete {printable(root)}, make it again") from error


def _list_expected(task: Task, marker: dict[str, str] | None, labels: dict[str, str] | None) -> set[str] | None:
    """List the stems that the task should have; None where no list of names exists."""
    if marker is not None:
        return set(read_names(task, [file for file in marker if suffix_of(file) in AUDIO_SUFFIXES], labels)[0])
    if labels is not None:
        return None
    manifest = read_manifest(f"{task.name}.csv")
    if manifest is None:
        return None
    return {PurePosixPath(file).stem for file in manifest["file"]} - set(task.excluded)


def _compare(
    task: Task,
    root: Path,
    chosen: dict[str, str],
    expected: set[str] | None,
    labels: dict[str, str] | None,
    marker: dict[str, str] | None,
) -> dict[str, Any]:
    """Say what is missing, unexpected and expected in number."""
    if expected is not None:
        # A label file that is gone takes its utterances off the list of expected ones.
        lost = [file for file in marker or () if suffix_of(file) == ".txt" and not (root / file).is_file()]
        return {
            "missing": (*sorted(expected - set(chosen)), *sorted(lost)),
            "unexpected": tuple(sorted(set(chosen) - expected)),
            "n_expected": len(expected),
        }
    if labels is None:
        return {"missing": (), "unexpected": (), "n_expected": None}
    labelled = {stem for stem, label in labels.items() if label in task.emotions and task.parse(stem)}
    missing = sorted(labelled - set(chosen) - set(task.excluded))
    counts = read_manifest(task.counts) if task.counts else None
    if counts is None:
        return {"missing": tuple(missing), "unexpected": (), "n_expected": len(labelled)}
    short, beyond = _compare_counts(task, labelled, labels, counts)
    n_expected = int(counts["utterances"].astype(int).sum())
    return {"missing": (*missing, *short), "unexpected": tuple(beyond), "n_expected": n_expected}


def _compare_counts(
    task: Task, labelled: set[str], labels: dict[str, str], counts: pd.DataFrame
) -> tuple[list[str], list[str]]:
    """Compare the labelled utterances with the known counts per released group, speaker and class."""
    found: Counter[tuple[str, str, str]] = Counter()
    for stem in labelled:
        name = task.parse(stem)
        if name is not None:
            found[name.released_group, name.speaker, task.emotions[labels[stem]]] += 1
    columns = (counts[column] for column in ("dialogue_prefix", "speaker", "emotion"))
    wanted = Counter(dict(zip(zip(*columns, strict=True), counts["utterances"].astype(int), strict=True)))
    lines = {
        key: f"{found[key]} of {wanted[key]} labelled utterances: {' '.join(key)}"
        for key in sorted(found.keys() | wanted.keys())
    }
    short = [line for key, line in lines.items() if found[key] < wanted[key]]
    return short, [line for key, line in lines.items() if found[key] > wanted[key]]


def _tabulate(task: Task, root: Path, chosen: dict[str, str], labels: dict[str, str] | None) -> pd.DataFrame:
    rows = []
    for stem, file in sorted(chosen.items()):
        name = task.parse(stem)
        if name is not None:
            code = name.emotion if labels is None else labels[stem]
            rows.append((stem, os.path.join(root, file), name.speaker, task.emotions[code], name.released_group))
    columns = ("stem", "path", "speaker", "emotion", "released_group")
    # Python strings: the names of CaFE's folders are not UTF-8, which pandas' own strings cannot hold.
    return pd.DataFrame(rows, columns=columns, dtype=object)
