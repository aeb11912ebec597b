"""What a task is: a corpus as the benchmark uses it, with what the names of its files say.

All that is known of a corpus stands in ``serab_lib/data/tasks/NAME.toml``. To add one, add a file there, or write one
of your own anywhere and name it ``path:FILE``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import NamedTuple

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
    """One file to download.

    Parameters
    ----------
    name : str
        Under which it is kept: a file name, or a path below the source's folder.
    urls : tuple of str
        The official address first, then its mirrors.
    size : int, optional
        Bytes, where they are published.
    checksum : str, optional
        ``sha256:``, ``md5:`` or ``git-blob:`` with the hexadecimal digest, where one is published.
    doi : str, optional
        Of the repository that states its checksum, asked at download time where none is written down.
    """

    name: str
    urls: tuple[str, ...]
    size: int | None = None
    checksum: str | None = None
    doi: str | None = None


@dataclass(frozen=True, kw_only=True)
class Download:
    """Where a corpus comes from.

    Parameters
    ----------
    advice : str
        How to obtain it by hand, in a clause that ends with what is then at hand.
    size, unpacked_size : int, optional
        Bytes; rough where the exact number is not published.
    files : tuple of RemoteFile
        Its archives; empty where nothing can be fetched automatically.
    file_list, addresses : str, tuple of str
        In place of archives: the manifest that lists its recordings, and the folders that they can be had from.
    """

    advice: str
    size: int | None = None
    unpacked_size: int | None = None
    files: tuple[RemoteFile, ...] = ()
    file_list: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Demo:
    r"""How the demo imitates a corpus: some of its files, each spoken by a synthetic voice.

    Parameters
    ----------
    rate_hz, n_channels : int
        Of the files.
    strength : float
        Exponent on every multiplier of an emotion's prosody, factor on every amount: 1 is the published rule.
    noise : float
        Standard deviation of the natural logarithm of each multiplier, drawn anew for each utterance.
    weakened, mislabelled : float
        Share of utterances with a third of the emotion, and with another one of the corpus.
    speakers : mapping
        Speaker to ``female`` or ``male``.
    file : str
        Path below the corpus's folder, with the fields ``speaker``, ``sex``, ``code`` (of `takes`), ``emotion``,
        ``take`` (from 1) and ``text``.
    takes : mapping
        Code of an emotion to how often a speaker says it; 1.5 is once and twice by turns.
    steps : tuple of int
        By how much the number of the sentence grows with each speaker, code and take.
    texts : mapping
        What the corpus calls its sentences, each with the number of the one that is spoken instead.
    renamed : mapping
        Pattern in a path so made to what takes its place, one after the other.
    intensities, rates_hz, labels : mapping
        Pattern in a stem to the factor on `strength`, the sample rate, and the label where the name holds none.
    unused_labels : mapping
        Label that is none of the task's to the emotion it is spoken with.
    """

    rate_hz: int
    strength: float
    noise: float
    weakened: float
    mislabelled: float
    speakers: Mapping[str, str]
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
        """Refuse what is no pattern or no voice."""
        _compile("demo", *self.renamed, *self.intensities, *self.rates_hz, *self.labels)
        if other := sorted(set(self.speakers.values()) - {"female", "male"}):
            raise SerabError(f"demo.speakers: {', '.join(other)}, expected female or male")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A corpus as the benchmark uses it: its fields are the keys of its TOML file.

    Parameters
    ----------
    code, name, title : str
        ``RAV`` in tables, ``ravdess`` for folders and commands, ``RAVDESS`` in text.
    language, language_code : str
        In English, and ISO 639-1.
    access : str
        ``open`` or ``restricted`` (must be asked for).
    licence, source, obtain, citation : str
        The terms, the official address, one sentence on how to get it, the full reference.
    pattern : str
        Regular expression for a whole file stem, with named groups: ``emotion``, ``speaker`` and what else a
        split goes by.
    emotions : mapping
        Code in the name to class. Their order numbers the classes, as in the release's loaders: an SVM's tied votes
        go to the lower number. (IEM4's loader numbers them in the order of a set, which changes from run to run.)
    examples : mapping
        File stem to the speaker and, where the name tells it, the class.
    speaker_format : str
        How the speaker's name is made of the pattern's groups.
    released_group : str
        The group of the pattern that the release keeps together in a split.
    released_without : tuple of str
        Classes that the release leaves out.
    excluded : mapping
        File stem to the reason why it is never used.
    other_files : mapping
        Pattern of the stems of recordings that belong to the corpus, not to the task, to the reason.
    oddities : mapping
        File stem to what is odd about it, where published results use it all the same.
    ignored_folders : tuple of str
        Folders (``fnmatch`` patterns) that hold nothing of the task.
    folder_prefix : bool
        True where some copies keep the first field of the name in the folder: ``DC/a01`` is ``DC_a01``.
    labels : str
        Format of the text files that hold the emotions, where the names do not: ``emoevaluation``.
    counts : str
        File of utterance counts among the manifests, where the list of names may not be shipped.
    shares : tuple of float
        Shares of train, validation and test.
    log_mel_statistics : tuple of float, optional
        Mean and standard deviation of the log-mel spectrograms that the release has written down.
    in_paper : bool
        True for the paper's nine.
    notes : tuple of str
        What else is odd about the corpus.
    women : tuple of str, optional
        Patterns of the names of the speakers who are women, where the corpus states it; all others are men.
    download : Download, optional
        Where it comes from.
    demo : Demo, optional
        How the demo imitates it.

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
    access: str = "restricted"
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
    labels: str = ""
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
        if self.access not in ("open", "restricted"):
            raise SerabError(f"access: {self.access!r}, expected open or restricted")
        if self.labels not in ("", "emoevaluation"):
            raise SerabError(f"labels: {self.labels!r}, expected emoevaluation, or no such key")
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

        Examples
        --------
        >>> get_task("shemo").parse("F03S02")
        ParsedName(speaker='F03', emotion='S', released_group='02')
        """
        match = re.fullmatch(self.pattern, stem)
        if match is None:
            return None
        groups = match.groupdict()
        emotion = groups.get("emotion")
        if not self.labels and emotion not in self.emotions:
            return None
        groups["speaker"] = speaker = self.speaker_format.format(**groups)
        return ParsedName(speaker, emotion, groups[self.released_group])

    def gender(self, speaker: str) -> str:
        """Tell whether a speaker is ``female`` or ``male``; ``unknown`` where the corpus does not state it.

        Examples
        --------
        >>> get_task("RAV").gender("04"), get_task("AES").gender("1")
        ('female', 'unknown')
        """
        if self.women is None:
            return "unknown"
        return "female" if any(re.fullmatch(pattern, speaker) for pattern in self.women) else "male"


def read_task(path: str | Path) -> Task:
    r"""Read a task from a TOML file, whose keys are the fields of `Task`.

    Parameters
    ----------
    path : str or Path
        Needed are ``code``, ``name``, ``pattern`` and the table ``emotions``; the rest has defaults. Such a
        task has no list of expected files: every file whose name fits belongs to it.

    Returns
    -------
    Task
        The record, not yet registered.

    Raises
    ------
    SerabError
        If the file cannot be read, or a key is missing, unknown or of the wrong kind.

    Examples
    --------
    A whole file::

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


TASKS: dict[str, Task] = read_tasks(Path(str(resources.files("serab_lib"))) / "data" / "tasks")
PAPER_TASKS: tuple[str, ...] = tuple(task.code for task in TASKS.values() if task.in_paper)


def get_task(name: str | Task) -> Task:
    """Find a task by its code or its name, in upper or lower case.

    Parameters
    ----------
    name : str or Task
        ``RAV`` or ``ravdess``, or ``path:FILE`` for a corpus of one's own that a TOML file describes; a `Task`
        is handed back as it is.

    Returns
    -------
    Task
        The record.

    Raises
    ------
    UnknownNameError
        If there is none; the message has the nearest names.

    Examples
    --------
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
