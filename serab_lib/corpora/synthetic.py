"""Small corpora spoken by eSpeak NG: what the benchmark runs on when no recordings are at hand.

Each has the layout, names and classes of the real corpus, with a few of its speakers, and takes the same way through
the library. Results exercise the pipeline and say nothing about people.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import soundfile
from filelock import FileLock
from scipy import signal

from serab_lib.core import SerabError, hash_file
from serab_lib.corpora.corpus import MARKER, read_marker
from serab_lib.corpora.espeak import RATE_HZ, EspeakError, Request, find_espeak, speak
from serab_lib.corpora.prosody import SPEECH, Rule, Voice, colour, make_voice, plan_delivery
from serab_lib.corpora.task import TASKS, Demo, Task, get_task

GENERATOR_VERSION = 2
NOTICE = "Spoken by eSpeak NG for testing; results on these files say nothing about people."


def generate(
    root: str | Path,
    *,
    tasks: Iterable[str | Task] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the demo corpora below a folder, each when it is whole; those that are there already stay as they are.

    Each corpus goes to ``root/<task name>/``, with ``SYNTHETIC.json`` to mark it; all that have a demo if no tasks are
    named. The same seed, 0 or more, gives the same bytes, whichever other corpora are generated. `progress` is told the
    number of utterances done and their total. Nothing is written over what this function has not written.
    """
    if seed < 0:
        raise SerabError(f"seed {seed}, expected 0 or more: choose another")
    root = Path(root).absolute()
    chosen = [task for task in TASKS.values() if task.demo] if tasks is None else [get_task(task) for task in tasks]
    for task in chosen:
        _require_demo(task)
    try:
        if all([_is_current(root / task.name, seed) for task in chosen]):
            return
        find_espeak()
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".synthetic.lock"):  # chapters of the book may run side by side
            _build([task for task in chosen if not _is_current(root / task.name, seed)], root, seed, progress)
    except EspeakError as error:
        raise SerabError(str(error)) from error
    except (OSError, soundfile.LibsndfileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SerabError(f"cannot write below {root} ({reason}): choose another folder, or free some space") from error


def _require_demo(task: Task) -> Demo:
    """Give what the task's record says of its demo, if there are a voice and rules for it."""
    if task.demo is None:
        raise SerabError(f"{task.title} has no synthetic corpus: add [demo] to its task file, or choose other tasks")
    if unspoken := sorted({task.language_code, *task.classes} - {*SPEECH.languages, *SPEECH.rules}):
        raise SerabError(f"{task.title} has no synthetic corpus: nothing says how to speak {', '.join(unspoken)}")
    return task.demo


def _is_current(folder: Path, seed: int) -> bool:
    """Tell whether a demo corpus is there, whole; SerabError if a file is in its place that no demo has written."""
    if not folder.exists():
        return False
    written = read_marker(folder) or {}
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if written and files.issuperset(written):
        marker = json.loads((folder / MARKER).read_bytes())
        is_same = (marker.get("generator"), marker.get("seed")) == (GENERATOR_VERSION, seed)
        if is_same and all(hash_file(folder / file) == digest for file, digest in written.items()):
            return True
    strange = sorted(file for file in files - {MARKER, *written} if not file.rpartition("/")[2].startswith("."))
    if strange or not folder.is_dir():
        what = f"holds {len(strange)} files of another origin ({strange[0]!r})" if strange else "is no folder"
        raise SerabError(f"{folder} {what} and is left alone: choose another place for synthetic corpora")
    return False


def _build(tasks: list[Task], root: Path, seed: int, progress: Callable[[int, int], None] | None) -> None:
    """Speak corpora, each in a hidden folder that takes its place when it is whole."""
    total, n_done = sum(len(list_lines(task, _require_demo(task))) for task in tasks), 0
    for task in tasks:
        with tempfile.TemporaryDirectory(prefix=f".{task.name}-", dir=root) as hidden:
            folder = Path(hidden, task.name)
            for _ in _write_corpus(task, folder, seed):
                n_done += 1
                if progress is not None:
                    progress(n_done, total)
            shutil.rmtree(root / task.name, ignore_errors=True)  # an earlier or damaged demo corpus
            folder.rename(root / task.name)


def _write_corpus(task: Task, folder: Path, seed: int) -> Iterator[None]:
    """Write a corpus's files, and last its marker; yields after each utterance."""
    durations_s = {}
    for line, pcm in speak_lines(task, seed=seed):
        path = folder / line.file
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, pcm, line.rate_hz, subtype="PCM_16")
        durations_s[line] = len(pcm) / line.rate_hz
        yield
    for file, text in (write_emoevaluation(durations_s) if task.labels else {}).items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    digests = {path.relative_to(folder).as_posix(): hash_file(path) for path in folder.rglob("*") if path.is_file()}
    marker = {"generator": GENERATOR_VERSION, "seed": seed, "notice": NOTICE, "files": dict(sorted(digests.items()))}
    (folder / MARKER).write_text(json.dumps(marker, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def speak_lines(task: Task, *, seed: int = 0) -> Iterator[tuple[Line, np.ndarray]]:
    """Speak a demo corpus from a fresh eSpeak NG: each line with its samples, int16 of shape (n, n_channels)."""
    demo, language = _require_demo(task), SPEECH.languages[task.language_code]
    sexes = list(demo.speakers.values())
    voices = {
        speaker: make_voice(sex, sexes[:i].count(sex), _make_rng(seed, task.code, speaker))
        for i, (speaker, sex) in enumerate(demo.speakers.items())
    }
    lines, requests, deliveries = list_lines(task, demo), [], []
    for line in lines:
        # A generator of its own for each utterance, so that adding one changes no other one's settings.
        rng = _make_rng(seed, task.code, line.file)
        emotion = line.emotion
        if rng.random() < demo.mislabelled:
            emotion = str(rng.choice(sorted(set(task.classes) - {emotion})))
        voice = voices[line.speaker]
        settings, rule = plan_delivery(emotion, voice, demo, rng, intensity=line.intensity)
        text = language.sentences[line.sentence % len(language.sentences)] + rule.ending
        requests.append(Request(text, f"{language.voice}+{voice.variant}", settings))
        deliveries.append((rule, voice, rng, line.rate_hz, demo.n_channels))
    with ThreadPoolExecutor() as threads:
        yield from zip(lines, threads.map(_render, speak(requests), deliveries), strict=True)


def _render(samples: bytes, how: tuple[Rule, Voice, np.random.Generator, int, int]) -> np.ndarray:
    """Make what eSpeak NG spoke an utterance of the corpus, as 16-bit samples."""
    rule, voice, rng, rate_hz, n_channels = how
    waveform = np.frombuffer(samples, dtype=np.int16) / 32768
    waveform = colour(waveform, rule, voice, rng, rate_hz=RATE_HZ)
    if rate_hz != RATE_HZ:
        divisor = np.gcd(RATE_HZ, rate_hz)
        waveform = signal.resample_poly(waveform, rate_hz // divisor, RATE_HZ // divisor)
    channels = [waveform, 0.9 * np.roll(waveform, 8)][:n_channels]
    return np.round(np.clip(np.stack(channels, axis=1), -1, 1) * 32767).astype(np.int16)


def _make_rng(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32("/".join(names).encode())])


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


def _find(values: Mapping[str, Any], stem: str, default: Any) -> Any:
    """Find the value of the first pattern that is in a stem."""
    return next((value for pattern, value in values.items() if re.search(pattern, stem)), default)


def write_emoevaluation(durations_s: Mapping[Line, float]) -> dict[str, str]:
    """Write IEMOCAP's label files, path to text: of each turn its line, and one of a single rater to be skipped."""
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
    return texts
