"""The audio files of a corpus's folder: found at any depth, named by their stems, one for each utterance."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import soundfile

from serab_lib.core import SerabError, cache_folder, hash_files, printable
from serab_lib.corpora.manifests import ContentList, hash_samples, read_content
from serab_lib.corpora.task import Task

# In the order of preference where one recording is there in several formats: the lossless ones first.
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
LOSSY_SUFFIXES = frozenset({".ogg", ".mp3"})
# A lossy codec may add or take some frames at the ends.
LOSSY_TOLERANCE_S = 0.1

# Why an audio file is left out. The last two stop a run.
EXCLUDED, OTHER, UNLABELLED, UNEXPECTED = "excluded", "other", "unlabelled", "unexpected"
COPY, BROKEN_LINK, STRANGE, CONFLICT = "copy", "broken link", "strange", "conflict"


@dataclass(frozen=True)
class LeftOut:
    """An audio file in the corpus's folder that the task does not use: its path below it, and why."""

    file: str
    kind: str
    reason: str

    def __str__(self) -> str:
        """File and reason on one printable line."""
        return f"{printable(self.file)} ({self.reason})"


def require_folder(task: Task, root: Path) -> None:
    """Refuse a corpus folder that is not there, with a guess at what was meant."""
    data = root.parent
    if root.is_dir():
        return
    if root.exists():
        raise SerabError(f"{printable(root)} is a file, expected the folder of {task.title}: move it away")
    if not data.is_dir():
        raise SerabError(f"no folder {printable(data)} to read corpora from: pass --data DIR or set SERAB_DATA")
    hint = f"put {task.title} there, at any depth ({task.source})"
    if data.name.casefold() in (task.name.casefold(), task.title.casefold()):
        hint = f"expected is the folder that holds {task.name}/, perhaps {printable(data.parent)}"
    for entry in sorted(os.listdir(data)):
        if entry.casefold() in (task.name.casefold(), task.title.casefold()):
            hint = f"rename {printable(data / entry)}"
    raise SerabError(f"no folder {printable(root)}: {hint}")


def list_files(task: Task, root: Path) -> tuple[list[str], list[str], list[LeftOut]]:
    """List audio files (relative to the root), label files' candidates (whole path) and broken links."""
    audio, texts, broken, suffixes = [], [], [], set()
    for name, is_link in _walk(root, task.ignored_folders):
        suffix = suffix_of(name)
        suffixes.add(suffix)
        if suffix in AUDIO_SUFFIXES and is_link and not os.path.exists(root / name):
            broken.append(LeftOut(name, BROKEN_LINK, "a link to a file that is not there"))
        elif suffix in AUDIO_SUFFIXES:
            audio.append(name)
        elif suffix == ".txt" and task.labels:
            texts.append(os.path.join(root, name))
    if not audio and not broken:
        hint = f"put {task.title} there, at any depth ({task.source})"
        if suffixes & {".zip", ".gz", ".tar", ".tgz", ".7z", ".rar"}:
            hint = "unpack the archive that lies there"
        unused = [printable(name) for name in sorted(os.listdir(root)) if _is_ignored(name, task.ignored_folders)]
        but = f" but {', '.join(unused)}, which the task does not use," if unused else ""
        what = f"no {' '.join(AUDIO_SUFFIXES)} file{but} in the folder" if suffixes else f"nothing{but} in the folder"
        raise SerabError(f"{what} {printable(root)}: {hint}")
    return audio, texts, broken


def suffix_of(name: str) -> str:
    """Suffix of a file name in lower case, with its dot."""
    return os.path.splitext(name)[1].lower()


def _walk(root: Path, ignored: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Yield each file below a folder, relative to it, and whether it is a link.

    No folder is entered twice, and none of those above the root, wherever links lead.
    """
    seen = {_identify(parent) for parent in Path(os.path.realpath(root)).parents}
    folders = [""]
    while folders:
        folder = folders.pop()
        path = os.path.join(root, folder)
        try:
            if (identity := _identify(path)) in seen:
                continue
            seen.add(identity)
            with os.scandir(path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            reason = f"{error.strerror}: check its permissions"
            raise SerabError(f"cannot read the folder {printable(path)} ({reason})") from error
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            name = os.path.join(folder, entry.name)
            if not _is_folder(entry):
                yield name, entry.is_symlink()
            elif not _is_ignored(entry.name, ignored):
                folders.append(name)


def _is_ignored(folder: str, ignored: tuple[str, ...]) -> bool:
    return any(fnmatchcase(folder, pattern) for pattern in ignored)


def _identify(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def read_names(
    task: Task, files: Iterable[str], labels: dict[str, str] | None
) -> tuple[dict[str, list[str]], list[LeftOut]]:
    """Tell the task's utterances, by stem, from the files that it does not use."""
    named: dict[str, list[str]] = {}
    left_out = []
    for file in files:
        folder, name = os.path.split(file)
        stem = os.path.splitext(name)[0]
        if task.folder_prefix and task.parse(stem) is None:
            longer = f"{os.path.basename(folder)}_{stem}"
            stem = longer if task.parse(longer) else stem
        other = [reason for pattern, reason in task.other_files.items() if re.fullmatch(pattern, stem)]
        if stem in task.excluded:
            left_out.append(LeftOut(file, EXCLUDED, task.excluded[stem]))
        elif other:
            left_out.append(LeftOut(file, OTHER, other[0]))
        elif task.parse(stem) is None:
            left_out.append(LeftOut(file, STRANGE, "a name that the task does not know"))
        elif labels is not None and stem not in labels:
            left_out.append(LeftOut(file, UNLABELLED, "no label file names it"))
        elif labels is not None and labels[stem] not in task.emotions:
            reason = f"labelled {labels[stem]}, not one of the task's classes"
            left_out.append(LeftOut(file, OTHER, reason))
        else:
            named.setdefault(stem, []).append(file)
    return named, left_out


def choose_files(task: Task, root: Path, named: dict[str, list[str]]) -> tuple[dict[str, str], list[LeftOut]]:
    """Settle on one file for each stem: the released recording where its content is known, none in doubt."""
    chosen, left_out = {}, []
    content = read_content(task.name)
    rivals = [root / file for files in named.values() if len(files) > 1 for file in files] if content else []
    hashes = dict(zip(rivals, hash_files(rivals, cache=cache_folder()), strict=True))
    for stem, files in named.items():
        ranked = sorted(files, key=lambda file: (AUDIO_SUFFIXES.index(suffix_of(file)), file))
        released = None
        if content and len(files) > 1:
            released = next((file for file in ranked if _is_released(content, stem, root / file, hashes)), None)
        first = released or ranked[0]
        alike = {file: _is_same_recording(root / first, root / file) for file in ranked if file != first}
        if released is None and not all(alike.values()):
            names = " and ".join(printable(file) for file in ranked)
            left_out += [LeftOut(file, CONFLICT, f"different recordings of one name: {names}") for file in ranked]
            continue
        chosen[stem] = first
        for file, is_same in alike.items():
            what = "the same recording as" if is_same else "not what was released under its name, unlike"
            left_out.append(LeftOut(file, COPY, f"{what} {printable(first)}, which is used"))
    return chosen, left_out


def _is_released(content: ContentList, stem: str, path: Path, hashes: dict[Path, str]) -> bool:
    return content.is_original(stem, hashes[path], "") or content.is_original(stem, "", hash_samples(path))


def _is_same_recording(first: Path, second: Path) -> bool:
    """Whether two files hold the same bytes or samples or, where one is lossy, last equally long."""
    if filecmp.cmp(first, second, shallow=False):
        return True
    if LOSSY_SUFFIXES.isdisjoint((suffix_of(first.name), suffix_of(second.name))):
        samples = hash_samples(first)
        return bool(samples) and samples == hash_samples(second)
    try:
        durations = [soundfile.info(os.fsencode(path)).duration for path in (first, second)]
    except (soundfile.LibsndfileError, RuntimeError):
        return True  # what cannot be read is no other recording
    return abs(durations[0] - durations[1]) <= LOSSY_TOLERANCE_S


def refuse_unclear(task: Task, root: Path, left_out: list[LeftOut]) -> None:
    """Stop where leaving a file out in silence could hide that the corpus is not what it should be."""
    if conflicts := list(dict.fromkeys(each.reason for each in left_out if each.kind == CONFLICT)):
        raise SerabError(
            f"different recordings of one name in {printable(root)} ({len(conflicts)} times), such as "
            f"{conflicts[0].partition(': ')[2]}: nothing here tells which is {task.title}'s, see {task.source}, and "
            "keep one version there"
        )
    if strange := [printable(each.file) for each in left_out if each.kind == STRANGE]:
        raise SerabError(
            f"names that {task.title} does not know in {printable(root)} ({len(strange)} audio "
            f"{'file' if len(strange) == 1 else 'files'}): {_first_few(strange)}; move them elsewhere"
        )


def _first_few(names: list[str], n_shown: int = 3) -> str:
    return ", ".join(names[:n_shown]) + (", ..." if len(names) > n_shown else "")
