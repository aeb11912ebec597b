"""What a demo corpus consists of: the real one's folders, file names and classes, and some of its speakers.

Each keeps oddities that the code around it has to cope with: several sample rates (in one task two), FLAC and two
channels in EMOVO, labels outside the file name and left-out labels in IEMOCAP, unequal classes, and utterance numbers
that repeat over classes and speakers in ShEMO.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

from serab_lib.core import SerabError
from serab_lib.corpora.task import Demo, Task

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One utterance to be spoken; `label` is what only label files tell, `sentence` may run past the last one."""

    file: str
    speaker: str
    emotion: str
    sentence: int
    intensity: float
    rate_hz: int
    label: str

    @property
    def stem(self) -> str:
        """Name of the file without its suffix."""
        return PurePosixPath(self.file).stem


def list_lines(task: Task, demo: Demo) -> list[Line]:
    """List a demo corpus's utterances, in the order in which they are spoken."""
    lines, texts = [], list(demo.texts.items())
    for i, (speaker, sex) in enumerate(demo.speakers.items()):
        for j, (code, n_takes) in enumerate(demo.takes.items()):
            for k in range(int(n_takes + (i + j) % 2 / 2)):
                number = sum(step * position for step, position in zip(demo.steps, (i, j, k), strict=True))
                text, sentence = texts[number % len(texts)] if texts else ("", number)
                fields = {"speaker": speaker, "sex": sex, "code": code, "take": k + 1, "text": text}
                lines.append(_make_line(task, demo, fields | {"emotion": task.emotions.get(code)}, sentence))
    return lines


def _make_line(task: Task, demo: Demo, fields: Mapping[str, Any], sentence: int) -> Line:
    """Name an utterance's file; its name says the rest, as in the real corpus."""
    try:
        file = demo.file.format(**fields)
    except (LookupError, ValueError) as error:
        raise SerabError(f"{task.title}: demo.file is {demo.file!r}, in which {error} cannot be filled in") from error
    for pattern, new in demo.renamed.items():
        file = re.sub(pattern, new, file)
    stem = PurePosixPath(file).stem
    if (name := task.parse(stem)) is None:
        raise SerabError(f"{task.title}: demo.file makes {file!r}, which the task's pattern does not know")
    label = _find(demo.labels, stem, "")
    return Line(
        file=file,
        speaker=name.speaker,
        emotion=demo.unused_labels.get(label) or task.emotions[label or name.emotion],
        sentence=sentence,
        intensity=_find(demo.intensities, stem, 1.0),
        rate_hz=_find(demo.rates_hz, stem, demo.rate_hz),
        label=label,
    )


def _find(values: Mapping[str, T], stem: str, default: T) -> T:
    """Find the value of the first pattern that is in a stem."""
    return next((value for pattern, value in values.items() if re.search(pattern, stem)), default)


def write_emoevaluation(durations_s: Mapping[Line, float]) -> Iterator[tuple[str, str]]:
    """Yield path and text of IEMOCAP's label files: of each turn its line, and one of a single rater to be skipped."""
    texts: dict[str, str] = {}
    start_s = 2.0
    for line, duration_s in durations_s.items():
        session, *_, dialogue, _ = line.file.split("/")
        file = f"{session}/dialog/EmoEvaluation/{dialogue}.txt"
        end_s = start_s + duration_s
        texts.setdefault(file, "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n")
        texts[file] += f"[{start_s:.4f} - {end_s:.4f}]\t{line.stem}\t{line.label}\t[3.0000, 3.0000, 3.0000]\n"
        texts[file] += f"C-E1:\t{line.emotion.title()};\t()\n\n"
        start_s = end_s + 0.5
    yield from texts.items()
