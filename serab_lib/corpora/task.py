"""What a task is: a corpus as the benchmark uses it, with what the names of its files say.

All that is known of a corpus stands in ``serab_lib/data/tasks/NAME.toml``. To add one, add a file there, or write one
of your own anywhere and name it ``path:FILE``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from serab_lib.core import SerabError, read_toml, unknown_name

# The mel window of the release's configuration, for which its log-mel statistics hold.
RELEASED_WINDOW_SAMPLES = 400


class ParsedName(NamedTuple):
    """What a file's name says; `emotion` is the code in the name, or None where the name holds none."""

    speaker: str
    emotion: str | None
    released_group: str


def _compile(key: str, *patterns: str) -> list[re.Pattern[str]]:
    """Compile the patterns under a key."""
    try:
        return [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise SerabError(f"{key}: {error.pattern!r} is no regular expression ({error})") from error


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """One file to download; `checksum` is ``sha256:``, ``md5:`` or ``git-blob:`` with the hexadecimal digest."""

    name: str
    urls: tuple[str, ...]
    size: int | None = None
    checksum: str | None = None
    doi: str | None = None


@dataclass(frozen=True, kw_only=True)
class Download:
    """Where a corpus comes from."""

    advice: str
    size: int | None = None
    unpacked_size: int | None = None
    files: tuple[RemoteFile, ...] = ()
    file_list: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Demo:
    """How the demo imitates a corpus: some of its files, each spoken by a synthetic voice."""

    rate_hz: int
    strength: float
    noise: float
    weakened: float
    mislabelled: float
    speakers: Mapping[str, Literal["female", "male"]]
    file: str
    takes: Mapping[str, float]
    steps: tuple[int, int, int]
    n_channels: int = 1
    texts: Mapping[str, int] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    intensities: Mapping[str, float] = field(default_factory=dict)
    rates_hz: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    unused_labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no pattern."""
        _compile("demo", *self.renamed, *self.intensities, *self.rates_hz, *self.labels)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A corpus as the benchmark uses it. Each field is a key of its TOML file; ``data/tasks/README.md`` explains them.

    Raises
    ------
    SerabError
        If the parts of the record contradict each other.

    Notes
    -----
    Paper, section on tasks and table 1. The groups, left-out classes and statistics are the release's.
    """

    code: str
    name: str
    pattern: str
    emotions: Mapping[str, str]
    title: str = ""
    language: str = "not stated"
    language_code: str = "und"
    language_family: str = "not stated"
    elicitation: Literal["acted", "acted and improvised", "spontaneous", "not stated"] = "not stated"
    access: Literal["open", "restricted"] = "restricted"
    licence: str = "not stated"
    source: str = "not stated"
    obtain: str = "A corpus of your own."
    citation: str = "not stated"
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    speaker_format: str = "{speaker}"
    released_group: str = "speaker"
    released_without: tuple[str, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    other_files: Mapping[str, str] = field(default_factory=dict)
    oddities: Mapping[str, str] = field(default_factory=dict)
    ignored_folders: tuple[str, ...] = ()
    folder_prefix: bool = False
    labels: Literal["", "emoevaluation"] = ""
    counts: str = ""
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2)
    log_mel_statistics: tuple[float, float] | None = None
    in_paper: bool = False
    notes: tuple[str, ...] = ()
    women: tuple[str, ...] | None = None
    download: Download | None = None
    demo: Demo | None = None

    def __post_init__(self) -> None:
        """Refuse a record whose parts contradict each other."""
        if not self.title:
            object.__setattr__(self, "title", self.name)
        # Both end up in the names of folders and files.
        if not all(re.fullmatch(r"\w[\w-]*", text) for text in (self.code, self.name)):
            raise SerabError(f"code {self.code!r}, name {self.name!r}: use letters, digits, - and _ only")
        if len(self.classes) < 2:
            raise SerabError(f"emotions: {len(self.classes)} class, expected at least two")
        groups = set(_compile("pattern", self.pattern)[0].groupindex)
        _compile("other_files", *self.other_files)
        _compile("women", *(self.women or ()))
        wanted = {*re.findall(r"{(\w+)}", self.speaker_format), *({self.released_group} - {"speaker"})}
        wanted |= set() if self.labels else {"emotion"}
        if lacking := ", ".join(sorted(wanted - groups)):
            raise SerabError(f"pattern: it has no group {lacking}: name it there as (?P<name>...)")
        if min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise SerabError(f"shares: {self.shares}, expected three that sum to 1")
        for stem, expected in self.examples.items():
            found = self.parse(stem)
            read = found and (found.speaker, *([] if self.labels else [self.emotions[found.emotion]]))
            if read != expected:
                raise SerabError(f"examples: the pattern reads {stem!r} as {read}, expected {expected}")

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, each once, in the order of the record."""
        return tuple(dict.fromkeys(self.emotions.values()))

    def parse(self, stem: str) -> ParsedName | None:
        """Read a file stem; None if it is not one of this task's.

        >>> get_task("shemo").parse("F03S02")
        ParsedName(speaker='F03', emotion='S', released_group='02')
        """
        match = re.fullmatch(self.pattern, stem)
        groups = match.groupdict() if match else {}
        emotion = groups.get("emotion")
        if match is None or (not self.labels and emotion not in self.emotions):
            return None
        groups["speaker"] = self.speaker_format.format(**groups)
        return ParsedName(groups["speaker"], emotion, groups[self.released_group])

    def gender(self, speaker: str) -> str:
        """Tell whether a speaker is ``female`` or ``male``; ``unknown`` where the corpus does not state it.

        >>> get_task("RAV").gender("04"), get_task("AES").gender("1")
        ('female', 'unknown')
        """
        if self.women is None:
            return "unknown"
        return "female" if any(re.fullmatch(pattern, speaker) for pattern in self.women) else "male"


def read_task(path: str | Path) -> Task:
    r"""Read a task from a TOML file, whose keys are the fields of `Task`; it is not registered.

    Needed are ``code``, ``name``, ``pattern`` and ``emotions``; the rest has defaults. A whole file; without a list of
    expected files, each whose name fits belongs to the task::

        code = "OWN"
        name = "own"
        pattern = '(?P<speaker>\w+)-(?P<emotion>\w+)-\d+'
        emotions = {ang = "anger", sad = "sadness"}
    """
    return read_toml(Path(path), Task)


def read_tasks(folder: Path) -> dict[str, Task]:
    """Read all tasks of a folder, by code: the paper's first, each kind in the order of their names."""
    tasks = sorted(map(read_task, folder.glob("*.toml")), key=lambda task: (not task.in_paper, task.name))
    return {task.code: task for task in tasks}


TASKS: dict[str, Task] = read_tasks(Path(__file__).parents[1] / "data" / "tasks")
PAPER_TASKS: tuple[str, ...] = tuple(task.code for task in TASKS.values() if task.in_paper)


def get_task(name: str | Task) -> Task:
    """Find a task by its code or name, in any case, or by ``path:FILE``; a `Task` is handed back as it is.

    >>> get_task("ravdess").title
    'RAVDESS'
    """
    if isinstance(name, Task):
        return name
    if name.strip().startswith("path:"):
        return read_task(name.strip().removeprefix("path:"))
    known = {text.casefold(): task for task in TASKS.values() for text in (task.code, task.name)}
    if task := known.get(name.strip().casefold()):
        return task
    raise unknown_name(
        "task", name, [text for task in TASKS.values() for text in (task.code, task.name)], listing="serab tasks"
    )
