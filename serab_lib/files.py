"""The audio files of a corpus's folder: found at any depth, named by their stems, one for each utterance."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from serab_lib.errors import SerabError, printable
from serab_lib.tasks import Task

# In the order of preference where one recording is there in several formats: the lossless ones first.
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")

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
        what = f"no {' '.join(AUDIO_SUFFIXES)} file in the folder" if suffixes else "nothing in the folder"
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
            elif not any(fnmatchcase(entry.name, pattern) for pattern in ignored):
                folders.append(name)


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


def choose_files(root: Path, named: dict[str, list[str]]) -> tuple[dict[str, str], list[LeftOut]]:
    """Settle on one file for each stem."""
    chosen, left_out = {}, []
    for stem, files in named.items():
        ranks = {file: AUDIO_SUFFIXES.index(suffix_of(file)) for file in files}
        first, *others = sorted(files, key=lambda file: (ranks[file], file))
        chosen[stem] = first
        for file in others:
            if ranks[file] > ranks[first]:
                left_out.append(LeftOut(file, COPY, f"the same utterance as {printable(first)}, which is used"))
            elif filecmp.cmp(root / first, root / file, shallow=False):
                left_out.append(LeftOut(file, COPY, f"byte-identical to {printable(first)}, which is used"))
            else:
                left_out.append(LeftOut(file, CONFLICT, f"has the name of {printable(first)}, but other content"))
    return chosen, left_out


def refuse_unclear(task: Task, root: Path, left_out: list[LeftOut]) -> None:
    """Stop where leaving a file out in silence could hide that the corpus is not what it should be."""
    if conflicts := [str(each) for each in left_out if each.kind == CONFLICT]:
        raise SerabError(
            f"one name for different recordings in {printable(root)} ({len(conflicts)} times): "
            f"{_first_few(conflicts)}; keep one version of {task.title} there"
        )
    if strange := [printable(each.file) for each in left_out if each.kind == STRANGE]:
        raise SerabError(
            f"names that {task.title} does not know in {printable(root)} ({len(strange)} audio "
            f"{'file' if len(strange) == 1 else 'files'}): {_first_few(strange)}; move them elsewhere"
        )


def _first_few(names: list[str], n_shown: int = 3) -> str:
    return ", ".join(names[:n_shown]) + (", ..." if len(names) > n_shown else "")
