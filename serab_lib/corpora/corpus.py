"""Corpora on disk: from a folder, whatever its shape, to one row per utterance of the task.

`find_corpus` says what is there, what is missing, what it left out and why; `load_task` gives the rows.
Nothing here decodes audio: that is `serab_lib.corpora.check`.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path

import pandas as pd
import soundfile

from serab_lib.core import SerabError, cache_folder, find_folder, hash_file, hash_files, printable, reading
from serab_lib.corpora.task import RELEASED_WINDOW_SAMPLES, TASKS, Task, get_task

MARKER = "SYNTHETIC.json"
# In the order of preference where one recording is there in several formats: the lossless ones first.
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
LOSSY_SUFFIXES = (".ogg", ".mp3")


@dataclass(frozen=True)
class LeftOut:
    """An audio file that the task does not use; of the kinds, `strange` and `conflict` stop a run."""

    file: str
    kind: str
    reason: str

    def __str__(self) -> str:
        """File and reason on one printable line."""
        return f"{printable(self.file)} ({self.reason})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """A corpus as it was found on disk.

    Attributes
    ----------
    synthetic : bool
        True for a corpus made by the demo: numbers from it say nothing about people.
    utterances : pandas.DataFrame
        One row per utterance that the task uses, sorted by ``stem``, with the columns ``stem``, ``path`` (absolute),
        ``speaker``, ``emotion`` and ``released_group``, all str.
    n_expected : int or None
        How many utterances there should be; None for a corpus of one's own, of which no list exists.
    missing, unexpected : tuple of str
        Stems that are expected and not there, and that fit the task's pattern and stand on no list: extra files never
        change a result. For IEMOCAP, of which only counts are known, also a line for each count that differs; what is
        there is used.
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
    """Load the utterances of a task, one row each: those of `find_corpus`, which also says what is missing."""
    return find_corpus(task, data).utterances


def find_data(data: str | Path | None = None) -> Path:
    """Find the folder of the corpora: the one given, else SERAB_DATA, else the user's cache folder.

    Where single corpora lie elsewhere may follow, as in ``DIR,cremad=PATH``, or stand alone: `find_root` reads that.
    """
    return Path(os.path.abspath(_split_data(data)[0]))


def _split_data(data: str | Path | None) -> tuple[Path, dict[str, str]]:
    folder, *elsewhere = re.split(r"(?:^|,)(?=\w+=)", str(find_folder("data", data)))
    return Path(folder or find_folder("data")), {
        name.casefold(): path for name, _, path in (each.partition("=") for each in elsewhere)
    }


def find_root(task: str | Task, data: str | Path | None = None) -> Path:
    """Find a corpus's folder: the one pointed at, that of its name in any case, else the one that holds its files."""
    task, elsewhere, folder = get_task(task), _split_data(data)[1], find_data(data)
    if path := elsewhere.get(task.name.casefold(), elsewhere.get(task.code.casefold())):
        return Path(os.path.abspath(Path(path).expanduser()))
    root = folder / task.name
    if root.is_dir() or not folder.is_dir() or task.code not in TASKS:
        return root
    rooms = [each for each in sorted(folder.iterdir()) if each.is_dir() and not each.name.startswith(".")]
    others = {each.name for each in TASKS.values()}
    found = [room for room in rooms if room.name.casefold() == task.name]
    found = found or [room for room in rooms if room.name.casefold() not in others and _holds(task, room)]
    if len(found) > 1:
        names = ", ".join(printable(each) for each in found)
        raise SerabError(f"{names} may each be {task.title}: say which, as in --data {task.name}={printable(found[0])}")
    return found[0] if found else root


def _holds(task: Task, folder: Path) -> bool:
    """Whether most of the first audio files in a folder have names of a task's."""
    walk = itertools.islice(os.walk(folder), 100)
    audio = (os.path.join(room, file) for room, _, files in walk for file in files if suffix_of(file) in AUDIO_SUFFIXES)
    first = list(itertools.islice(audio, 20))
    return 2 * sum(map(len, _read_names(task, first, None)[0].values())) > len(first)


def find_corpus(task: str | Task, data: str | Path | None = None, *, strict: bool = True) -> Corpus:
    """Find the files of a task's corpus.

    Parameters
    ----------
    task : str or Task
        Code, name or record.
    data : str or Path, optional
        As in `find_data`. The corpus lies in ``data/<name>``, at any depth; a file is known by its stem.
    strict : bool
        False lists files of unknown name, and different recordings of one name, in ``left_out`` in place of raising.

    Raises
    ------
    SerabError
        If there is no such task or folder, or no utterance in it; if a file's name is not known to the task; if two
        different recordings have one name, of which no list tells which was released.

    Notes
    -----
    Hidden files and folders and ``__MACOSX`` are passed over. One recording in several files counts once, in the first
    of `AUDIO_SUFFIXES` and then by path.
    """
    task = get_task(task)
    root = find_root(task, data)
    audio, texts = _list_files(task, root)
    labels = read_emoevaluation(texts) if task.labels else None
    broken = [file for file in audio if not os.path.exists(root / file)]
    named, unused = _read_names(task, sorted({*audio} - {*broken}), labels)
    chosen, copies = _choose_files(task, root, named)
    left_out = [LeftOut(file, "broken link", "a link to a file that is not there") for file in broken]
    left_out += unused + copies
    if strict:
        _refuse_unclear(task, root, left_out)
    marker = read_marker(root)
    expected = _list_expected(task, marker, labels)
    unexpected = sorted(chosen.keys() - expected) if expected is not None else []
    left_out += [LeftOut(chosen.pop(stem), "unexpected", "not among the task's files") for stem in unexpected]
    n_expected, missing = None if expected is None else len(expected), sorted((expected or set()) - chosen.keys())
    if task.counts and marker is None and labels:
        n_expected, missing, unexpected = _compare_counts(task, chosen, labels)
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
        n_expected=n_expected,
        missing=tuple(missing),
        unexpected=tuple(unexpected),
        left_out=tuple(sorted(left_out, key=lambda each: each.file)),
    )


def read_marker(root: Path) -> dict[str, str] | None:
    """Read which files, with their SHA-256, the demo wrote into a folder; None if it is not the demo's."""
    path = root / MARKER
    return dict(json.loads(path.read_bytes())["files"]) if path.is_file() else None


# A turn's own line, `[start - end]<tab>name<tab>label<tab>[valence, activation, dominance]`. The lines of the single
# raters below it start with C-, A- or the rater's name.
_TURN = re.compile(r"\[[\d. -]+\]\s+(Ses\w+)\s+([a-z]{3})\s+\[", re.ASCII)


def read_emoevaluation(files: Iterable[str | Path]) -> dict[str, str]:
    """Read IEMOCAP's labels that the raters agreed on, by stem, from the files directly in a folder EmoEvaluation."""
    labels: dict[str, str] = {}
    for path in sorted(Path(file) for file in files if Path(file).parent.name == "EmoEvaluation"):
        # Some raters' comments are not UTF-8; the turns' own lines are plain ASCII.
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            if (match := _TURN.match(line)) and labels.setdefault(match[1], match[2]) != match[2]:
                raise SerabError(
                    f"{path} calls {match[1]} {match[2]!r} where another file says {labels[match[1]]!r}: "
                    "keep one copy of IEMOCAP only"
                )
    if not labels:
        raise SerabError(
            "no dialog/EmoEvaluation/*.txt with labels: unpack the full release of IEMOCAP, its dialog folders included"
        )
    return labels


def suffix_of(file: str) -> str:
    """Suffix of a file name in lower case, with its dot."""
    return os.path.splitext(file)[1].lower()


def _list_files(task: Task, root: Path) -> tuple[list[str], list[str]]:
    """List audio files (relative to the root) and text files (whole path)."""
    if not root.parent.is_dir():
        raise SerabError(f"no folder {printable(root.parent)} to read corpora from: pass --data DIR or set SERAB_DATA")
    if not root.is_dir():
        raise SerabError(
            f"no folder {printable(root)}: put {task.title} there, at any depth, or say where it is, "
            f"--data {task.name}=PATH ({task.source})"
        )
    paths: list[str] = []
    # Links are followed, but not into a folder where the walk was already or that the corpus lies in.
    seen = set(map(str, Path(os.path.realpath(root)).parents))
    for folder, folders, files in os.walk(root, onerror=_refuse_folder, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            folders.clear()
            continue
        seen.add(real)
        ignored = (".*", "__MACOSX", *task.ignored_folders)
        folders[:] = sorted(name for name in folders if not any(fnmatchcase(name, each) for each in ignored))
        paths += [os.path.join(folder, file) for file in sorted(files) if not file.startswith(".")]
    audio = [os.path.relpath(path, root) for path in paths if suffix_of(path) in AUDIO_SUFFIXES]
    if not audio:
        raise SerabError(
            f"no {' '.join(AUDIO_SUFFIXES)} file in the folder {printable(root)} that the task could use: put "
            f"{task.title} there, unpacked, at any depth ({task.source})"
        )
    return audio, [path for path in paths if suffix_of(path) == ".txt"]


def _refuse_folder(error: OSError) -> None:
    raise SerabError(f"cannot read the folder {printable(error.filename)} ({error.strerror}): check its permissions")


def _read_names(
    task: Task, files: Iterable[str], labels: dict[str, str] | None
) -> tuple[dict[str, list[str]], list[LeftOut]]:
    """Tell the task's utterances, by stem, from the files that it does not use."""
    named: dict[str, list[str]] = {}
    left_out = []
    for file in files:
        stem = _read_stem(task, file)
        other = [reason for pattern, reason in task.other_files.items() if re.fullmatch(pattern, stem)]
        if stem in task.excluded:
            left_out.append(LeftOut(file, "excluded", task.excluded[stem]))
        elif other:
            left_out.append(LeftOut(file, "other", other[0]))
        elif task.parse(stem) is None:
            left_out.append(LeftOut(file, "strange", "a name that the task does not know"))
        elif labels is not None and stem not in labels:
            left_out.append(LeftOut(file, "unlabelled", "no label file names it"))
        elif labels is not None and labels[stem] not in task.emotions:
            left_out.append(LeftOut(file, "other", f"labelled {labels[stem]}, not one of the task's classes"))
        else:
            named.setdefault(stem, []).append(file)
    return named, left_out


def _read_stem(task: Task, file: str) -> str:
    """What a file's name stands for; also of a copy ("(1)"), with its ending twice, or in capitals."""
    folder, stem = os.path.split(file.replace("\\", "/"))
    while suffix_of(stem) in AUDIO_SUFFIXES:
        stem = os.path.splitext(stem)[0]
    stems = [stem, re.sub(r" ?\(\d+\)$", "", stem)]
    stems += [f"{os.path.basename(folder)}_{each}" for each in stems if task.folder_prefix]
    fitting = (each for each in stems if task.parse(each))
    in_capitals = (_list_by_case(task.code).get(each.casefold()) for each in stems)
    return next(filter(None, itertools.chain(fitting, in_capitals)), stem)


@functools.lru_cache(maxsize=32)
def _list_by_case(task: str) -> dict[str, str]:
    """A task's stems by what they are in lower case, where that tells them apart."""
    try:
        stems = list_utterances(task)["stem"]
    except SerabError:
        return {}
    lower = stems.str.casefold()
    return dict(zip(lower[~lower.duplicated(keep=False)], stems[~lower.duplicated(keep=False)], strict=True))


def _choose_files(task: Task, root: Path, named: dict[str, list[str]]) -> tuple[dict[str, str], list[LeftOut]]:
    """Settle on one file for each stem: the released recording where its content is known, none in doubt."""
    chosen, left_out = {}, []
    rivals = [(stem, file) for stem, files in named.items() if len(files) > 1 for file in files]
    table = pd.DataFrame(rivals, columns=["stem", "file"])
    table["path"] = [root / file for _, file in rivals]
    cache = cache_folder()
    marks = mark_originals(task, table, hash_files(table["path"], cache=cache), cache=cache) if rivals else None
    released = set(table.loc[marks, "file"]) if marks else set()
    for stem, files in named.items():
        ranked = sorted(files, key=lambda file: (file not in released, AUDIO_SUFFIXES.index(suffix_of(file)), file))
        first, *others = ranked
        if first not in released and not all(_is_same_recording(root / first, root / file) for file in others):
            names = " and ".join(printable(file) for file in ranked)
            left_out += [LeftOut(file, "conflict", f"different recordings of one name: {names}") for file in ranked]
            continue
        chosen[stem] = first
        what = "not needed beside the one released under its name" if first in released else "the same recording as"
        left_out += [LeftOut(file, "copy", f"{what}, {printable(first)}, which is used") for file in others]
    return chosen, left_out


def _is_same_recording(first: Path, second: Path) -> bool:
    """Whether two files hold the same bytes or samples, or the second is a lossy copy beside a lossless one."""
    if suffix_of(second.name) in LOSSY_SUFFIXES and suffix_of(first.name) not in LOSSY_SUFFIXES:
        return True
    return hash_file(first) == hash_file(second) or hash_samples(first) == hash_samples(second) != ""


def _refuse_unclear(task: Task, root: Path, left_out: list[LeftOut]) -> None:
    """Stop where leaving a file out in silence could hide that the corpus is not what it should be."""
    remedies = {
        "conflict": ("different recordings of one name", f"keep one version there, {task.title}'s own ({task.source})"),
        "strange": (f"names that {task.title} does not know", "move them elsewhere"),
    }
    for kind, (what, remedy) in remedies.items():
        if files := [printable(each.file) for each in left_out if each.kind == kind]:
            shown = ", ".join(files[:3])
            raise SerabError(f"{what} in {printable(root)} ({len(files)} audio files), such as {shown}: {remedy}")


def _list_expected(task: Task, marker: dict[str, str] | None, labels: dict[str, str] | None) -> set[str] | None:
    """List the stems that the task should have; None where no list of names exists."""
    if marker is not None:
        return set(_read_names(task, [file for file in marker if suffix_of(file) in AUDIO_SUFFIXES], labels)[0])
    try:
        return None if task.counts else set(list_utterances(task)["stem"])
    except SerabError:
        return None  # a corpus of one's own


def _compare_counts(task: Task, chosen: Iterable[str], labels: dict[str, str]) -> tuple[int, list[str], list[str]]:
    """Compare the labelled utterances with the known counts per released group, speaker and class.

    The number expected, what is missing, and what is more than expected.
    """
    names = {stem: task.parse(stem) for stem, label in labels.items() if label in task.emotions}
    labelled = {stem: name for stem, name in names.items() if name and stem not in task.excluded}
    found = Counter((name.released_group, name.speaker, task.emotions[labels[stem]]) for stem, name in labelled.items())
    listed = list_utterances(task)
    wanted = Counter(zip(listed["released_group"], listed["speaker"], listed["emotion"], strict=True))
    lines = {
        key: f"{found[key]} of {wanted[key]} labelled utterances: {' '.join(key)}"
        for key in sorted(found.keys() | wanted.keys())
    }
    short = [line for key, line in lines.items() if found[key] < wanted[key]]
    beyond = [line for key, line in lines.items() if found[key] > wanted[key]]
    return len(listed), sorted(labelled.keys() - set(chosen)) + short, beyond


def _tabulate(task: Task, root: Path, chosen: dict[str, str], labels: dict[str, str] | None) -> pd.DataFrame:
    rows = []
    for stem, file in sorted(chosen.items()):
        if name := task.parse(stem):
            code = labels[stem] if labels else name.emotion
            rows.append((stem, os.path.join(root, file), name.speaker, task.emotions[code], name.released_group))
    # Python strings: the names of CaFE's folders are not UTF-8, which pandas' own strings cannot hold.
    return pd.DataFrame(rows, columns=["stem", "path", "speaker", "emotion", "released_group"], dtype=object)


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
    """List a task's utterances as they were released; with `excluded` also the files that the task never uses.

    As from `load_task`, sorted by stem, with `duration_s` and `sample_rate` (Hz) in place of `path`; NaN where the list
    does not say. IEMOCAP's names may not be published: its rows come from counts per dialogue prefix, speaker and
    class, and their stems are numbered. SerabError if there is no list of this task.

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
        table = table.assign(stem=[file.rpartition("/")[2].rpartition(".")[0] for file in table["file"]])
        table = table if excluded else table[~table["stem"].isin(task.excluded)]
        parts = table["stem"].str.extract(f"^{task.pattern}$").assign(speaker=table["speaker"])
        table = table.assign(released_group=parts[task.released_group])
    numbers = {column: pd.to_numeric(table[column], errors="coerce") for column in ("duration_s", "sample_rate")}
    table = table[["stem", "speaker", "emotion", "released_group"]].assign(**numbers)
    return table.sort_values("stem", ignore_index=True)


@functools.lru_cache(maxsize=32)
def read_content(name: str) -> dict[str, Content] | None:
    """Read what the released recordings of a corpus hold, by stem; None where there is no list of it."""
    table = read_manifest(f"{name}_content.csv")
    if table is None:
        return None
    samples = table["pcm_md5"] if "pcm_md5" in table else [""] * len(table)
    stems = [file.rpartition("/")[2].rpartition(".")[0] for file in table["file"]]
    return dict(zip(stems, zip(table["sha256"], samples, strict=True), strict=True))


def hash_samples(path: str | Path) -> str:
    """MD5 of a recording's samples as interleaved 16-bit little endian; empty where it holds no such samples.

    That of a FLAC file stands in its header and is not computed.
    """
    raw = os.fsencode(path)
    with reading(path), open(raw, "rb") as stream:
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
