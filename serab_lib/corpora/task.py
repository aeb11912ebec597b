"""What a task is: a corpus as the benchmark uses it, with what the names of its files say."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from serab_lib.core import SerabError

# The mel window of the release's configuration, for which its log-mel statistics hold.
RELEASED_WINDOW_SAMPLES = 400


class ParsedName(NamedTuple):
    """What a file's name says; `emotion` is the code in the name, or None where the name holds none."""

    speaker: str
    emotion: str | None
    released_group: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """A corpus as the benchmark uses it.

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
    labels : callable, optional
        Reads stem to emotion code out of the corpus's text files, where the names do not say.
    counts : str, optional
        File of utterance counts among the manifests, where the list of names may not be shipped.
    shares : tuple of float
        Shares of train, validation and test.
    log_mel_statistics : tuple of float, optional
        Mean and standard deviation of the log-mel spectrograms that the release has written down.
    in_paper : bool
        False for what is not one of the paper's nine.
    examples : mapping
        File stem to the speaker and emotion it stands for; the emotion is None where `labels` has it.
    notes : tuple of str
        What else is odd about the corpus.

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
    title: str
    language: str
    language_code: str
    access: str
    licence: str
    source: str
    obtain: str
    citation: str
    pattern: str
    emotions: Mapping[str, str]
    examples: Mapping[str, tuple[str, str | None]]
    speaker_format: str = "{speaker}"
    released_group: str = "speaker"
    released_without: tuple[str, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    other_files: Mapping[str, str] = field(default_factory=dict)
    oddities: Mapping[str, str] = field(default_factory=dict)
    ignored_folders: tuple[str, ...] = ()
    folder_prefix: bool = False
    labels: Callable[[Iterable[str | Path]], dict[str, str]] | None = None
    counts: str | None = None
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2)
    log_mel_statistics: tuple[float, float] | None = None
    in_paper: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a record whose parts contradict each other."""
        # Both end up in the names of folders and files.
        if not all(re.fullmatch(r"\w[\w-]*", text) for text in (self.code, self.name)):
            raise SerabError(f"task {self.code!r}, {self.name!r}: use letters, digits, - and _ only")
        if len(self.classes) < 2:
            raise SerabError(f"task {self.code}: {len(self.classes)} class, expected at least two")
        try:
            groups = set(re.compile(self.pattern).groupindex)
        except re.error as error:
            raise SerabError(f"task {self.code}: its pattern is no regular expression ({error})") from error
        wanted = set(re.findall(r"{(\w+)}", self.speaker_format))
        wanted |= {self.released_group} - {"speaker"}
        wanted |= set() if self.labels else {"emotion"}
        if wanted - groups:
            raise SerabError(
                f"task {self.code}: its pattern has no group {', '.join(sorted(wanted - groups))}: "
                "name it there as (?P<name>...)"
            )
        if self.access not in ("open", "restricted"):
            raise SerabError(f"task {self.code}: access {self.access!r}, expected open or restricted")
        if len(self.shares) != 3 or min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise SerabError(f"task {self.code}: shares {self.shares}, expected three that sum to 1")

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, each once, in the order of the record."""
        return tuple(dict.fromkeys(self.emotions.values()))

    def parse(self, stem: str) -> ParsedName | None:
        """Read a file stem; None if it is not one of this task's.

        Examples
        --------
        >>> from serab_lib.corpora.tasks import get_task
        >>> get_task("shemo").parse("F03S02")
        ParsedName(speaker='F03', emotion='S', released_group='02')
        """
        match = re.fullmatch(self.pattern, stem)
        if match is None:
            return None
        groups = match.groupdict()
        emotion = groups.get("emotion")
        if self.labels is None and emotion not in self.emotions:
            return None
        speaker = self.speaker_format.format(**groups)
        return ParsedName(
            speaker, emotion, speaker if self.released_group == "speaker" else groups[self.released_group]
        )


# What a record of one's own may leave out.
_OWN_DEFAULTS: dict[str, Any] = {
    "language": "not stated",
    "language_code": "und",
    "access": "restricted",
    "licence": "not stated",
    "source": "not stated",
    "obtain": "A corpus of your own.",
    "citation": "not stated",
    "examples": {},
    "in_paper": False,
}


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
        If the file cannot be read, or has a key too few or too many.

    Examples
    --------
    A whole file::

        code = "OWN"
        name = "own"
        pattern = '(?P<speaker>\w+)-(?P<emotion>\w+)-\d+'
        emotions = {ang = "anger", sad = "sadness"}
    """
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = str(error).replace("\n", " ")
        raise SerabError(f"cannot read the task file {path}: {reason}") from error
    fields = {entry.name for entry in dataclasses.fields(Task)} - {"labels", "counts"}
    if unknown := sorted(set(found) - fields):
        raise SerabError(f"{path}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(fields))}")
    if lacking := [key for key in ("code", "name", "pattern", "emotions") if key not in found]:
        raise SerabError(f"{path}: key {', '.join(lacking)} is missing")
    lists = {key: tuple(value) for key, value in found.items() if isinstance(value, list)}
    try:
        return Task(**{**_OWN_DEFAULTS, "title": found["name"], **found, **lists})
    except (TypeError, ValueError, AttributeError) as error:
        raise SerabError(f"{path}: a value is not of the kind that its key needs ({error})") from error
