"""Nine small corpora spoken by eSpeak NG: what the benchmark runs on when no recordings are at hand.

Each has the layout, the file names and the classes of the real corpus, with a few of its speakers, and takes
the same way through the library. The prosody follows published rules (`serab_lib.corpora.synthetic.prosody`);
results on these corpora exercise the pipeline and say nothing about people.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
import tempfile
import threading
import time
import tomllib
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache
from importlib import resources
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import soundfile
from scipy import signal

from serab_lib.core import SerabError, unknown_name
from serab_lib.corpora.synthetic.espeak import Synthesizer, find_espeak
from serab_lib.corpora.synthetic.plans import PLANS, Line, Plan, write_emoevaluation
from serab_lib.corpora.synthetic.prosody import Voice, colour, make_voice, plan_delivery
from serab_lib.corpora.task import Task

GENERATOR_VERSION = 1
MARKER = "SYNTHETIC.json"
NOTICE = "Spoken by eSpeak NG for testing; results on these files say nothing about people."
STALE_AFTER_S = 3600

logger = logging.getLogger(__name__)


class _Stopped(Exception):
    """Another corpus failed, or the user interrupted: give up without a word."""


def generate(
    root: str | Path,
    *,
    tasks: Iterable[str | Task] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the demo corpora below a folder; those that are there already are left as they are.

    Parameters
    ----------
    root : str or Path
        Each corpus goes to ``root/<task name>/``.
    tasks : iterable of str or Task, optional
        Codes or names; all nine by default.
    seed : int
        0 or more. The same seed gives the same bytes, whichever other corpora are generated.
    progress : function, optional
        Called in this thread with the number of utterances done and their total, over the corpora to be made.

    Raises
    ------
    SerabError
        If a task does not exist, if a corpus's folder holds anything that this function has not written, if
        ``espeakng-loader`` is not installed, or if the files cannot be written.

    Notes
    -----
    A corpus is built in a hidden folder beside its own and moved there when it is whole, so an interrupted
    generation leaves nothing that could be taken for a corpus. ``SYNTHETIC.json`` marks it as synthetic and
    holds the SHA-256 of every file.
    """
    if seed < 0:
        raise SerabError(f"seed {seed}, expected 0 or more: choose another")
    seed, root = int(seed), Path(root).absolute()
    plans = [plan for plan in choose_plans(tasks) if not is_current(root / plan.name, seed=seed)]
    if not plans:
        return
    find_espeak()
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(root)
    except OSError as error:
        raise _unwritable(root, error) from error

    total = sum(len(plan.lines) for plan in plans)
    finished: SimpleQueue[None] = SimpleQueue()
    stop = threading.Event()
    n_done = 0

    def report() -> None:
        nonlocal n_done
        while not finished.empty():
            finished.get()
            n_done += 1
            if progress is not None:
                progress(n_done, total)

    with ThreadPoolExecutor(max_workers=min(len(plans), os.cpu_count() or 1, 4)) as executor:
        try:
            pending: set[Future[None]] = {
                executor.submit(_build, plan, root, seed=seed, finished=finished, stop=stop) for plan in plans
            }
            while pending:
                done, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
                report()
                for future in done:
                    future.result()
        except BaseException:
            stop.set()
            executor.shutdown(cancel_futures=True)
            raise


def choose_plans(tasks: Iterable[str | Task] | None) -> list[Plan]:
    """Find the plans of some tasks by code or name, in the paper's order, each once.

    Raises
    ------
    SerabError
        If there is no such demo corpus.
    """
    if tasks is None:
        return list(PLANS.values())
    by_name = {name.casefold(): plan for plan in PLANS.values() for name in (plan.code, plan.name)}
    chosen = set()
    for task in [tasks] if isinstance(tasks, (str, Task)) else tasks:
        name = task.code if isinstance(task, Task) else task.strip()
        if name.casefold() not in by_name:
            known = [known for plan in PLANS.values() for known in (plan.code, plan.name)]
            raise unknown_name("synthetic task", name, known, listing="serab tasks")
        chosen.add(by_name[name.casefold()].code)
    return [plan for plan in PLANS.values() if plan.code in chosen]


def is_current(folder: Path, *, seed: int) -> bool:
    """Tell whether a folder holds the demo corpus of this generator and seed, whole.

    Parameters
    ----------
    folder : Path
        Of one corpus; it need not exist.
    seed : int
        Of the wanted corpus.

    Returns
    -------
    bool
        False means that the corpus may be (re)written.

    Raises
    ------
    SerabError
        If writing the corpus would destroy a file that no demo generation has written.
    """
    if not folder.exists():
        return False
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    marker = read_marker(folder)
    if marker is not None and (marker["generator"], marker["seed"]) == (GENERATOR_VERSION, seed):
        if all(
            file in files and hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
            for file, digest in marker["files"].items()
        ):
            return True
    known = {MARKER, *marker["files"]} if marker is not None else set()
    strange = sorted(file for file in files - known if not file.rpartition("/")[2].startswith("."))
    if strange or not folder.is_dir():
        what = f"holds {len(strange)} files of another origin ({strange[0]!r})" if strange else "is no folder"
        raise SerabError(f"{folder} {what} and is left alone: choose another place for synthetic corpora")
    return False


def read_marker(folder: Path) -> dict | None:
    """Read a demo corpus's marker: ``generator``, ``seed`` and ``files`` (path below the folder to SHA-256).

    Returns
    -------
    dict or None
        None where there is no marker.

    Raises
    ------
    SerabError
        If there is one that cannot be read.
    """
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        files = {str(file): str(digest) for file, digest in marker["files"].items()}
        return {"generator": int(marker["generator"]), "seed": int(marker["seed"]), "files": files}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SerabError(f"{folder / MARKER} is damaged: delete {folder} and generate it anew") from error


def _build(plan: Plan, root: Path, *, seed: int, finished: SimpleQueue[None], stop: threading.Event) -> None:
    """Speak one corpus in a staging folder and move it to its place."""
    staging = None
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{plan.name}-", suffix=".partial", dir=root))
        folder = staging / plan.name
        digests, durations_s = {}, {}
        for line, content, duration_s in speak_lines(plan, seed=seed):
            if stop.is_set():
                raise _Stopped
            digests[line.file] = _write(folder / line.file, content)
            durations_s[line.file] = duration_s
            finished.put(None)
        if plan.code == "IEM":
            for file, text in write_emoevaluation(plan.lines, durations_s):
                digests[file] = _write(folder / file, text.encode())
        files = dict(sorted(digests.items()))
        marker = {"generator": GENERATOR_VERSION, "seed": seed, "notice": NOTICE, "files": files}
        _write(folder / MARKER, (json.dumps(marker, indent=1, ensure_ascii=False) + "\n").encode())
        _move(folder, root / plan.name, staging / "old", seed=seed)
        logger.info("%s: %d synthetic utterances in %s", plan.code, len(durations_s), root / plan.name)
    except OSError as error:
        raise _unwritable(root, error) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def speak_lines(plan: Plan, *, seed: int) -> Iterator[tuple[Line, bytes, float]]:
    """Speak one corpus, utterance by utterance, from a fresh eSpeak NG.

    Parameters
    ----------
    plan : Plan
        The corpus.
    seed : int
        0 or more.

    Yields
    ------
    tuple of Line, bytes and float
        What was spoken, its audio file, and its duration in seconds.
    """
    voices = _make_voices(plan, seed=seed)
    language = _read_sentences()[plan.language]
    with Synthesizer() as engine:
        for line in plan.lines:
            # A generator of its own for each utterance, so that adding one changes no other one's settings.
            rng = _make_rng(seed, plan.code, line.file)
            emotion = line.emotion
            if rng.random() < plan.difficulty.mislabelled:
                emotion = str(rng.choice([other for other in plan.emotions if other != emotion]))
            voice = voices[line.speaker]
            delivery = plan_delivery(emotion, voice, plan.difficulty, rng, intensity=line.intensity)
            text = language["sentences"][line.sentence % len(language["sentences"])]
            samples = engine.speak(
                text + delivery.ending,
                voice=f"{language['voice']}+{voice.variant}",
                words_per_minute=delivery.words_per_minute,
                volume=delivery.volume,
                pitch=delivery.pitch,
                pitch_range=delivery.pitch_range,
            )
            waveform = colour(samples / 32768, delivery, voice, rng, rate_hz=engine.sample_rate)
            rate_hz = line.rate_hz or plan.rate_hz
            waveform = _resample(waveform, engine.sample_rate, rate_hz)
            channels = [waveform, 0.9 * np.roll(waveform, 8)][: plan.n_channels]
            pcm = np.round(np.clip(np.stack(channels, axis=1), -1, 1) * 32767).astype(np.int16)
            content = io.BytesIO()
            container = line.file.rpartition(".")[2].upper()
            soundfile.write(content, pcm, rate_hz, format=container, subtype="PCM_16")
            yield line, content.getvalue(), len(pcm) / rate_hz


def _make_voices(plan: Plan, *, seed: int) -> dict[str, Voice]:
    voices, n_of_sex = {}, {"f": 0, "m": 0}
    for speaker, sex in plan.speakers.items():
        voices[speaker] = make_voice(sex, n_of_sex[sex], _make_rng(seed, plan.code, speaker))
        n_of_sex[sex] += 1
    return voices


def _make_rng(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32("/".join(names).encode())])


def _resample(waveform: np.ndarray, rate_hz: int, target_hz: int) -> np.ndarray:
    if rate_hz == target_hz:
        return waveform
    divisor = np.gcd(rate_hz, target_hz)
    return signal.resample_poly(waveform, target_hz // divisor, rate_hz // divisor)


@cache
def _read_sentences() -> dict[str, dict]:
    text = (resources.files("serab_lib") / "data" / "sentences.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _write(path: Path, content: bytes) -> str:
    """Write a file, and return its SHA-256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _move(folder: Path, target: Path, old: Path, *, seed: int) -> None:
    """Put a finished corpus in its place, and what was there (an earlier demo corpus) out of the way."""
    if target.exists():
        if is_current(target, seed=seed):  # another process was quicker
            return
        target.rename(old)
    try:
        folder.rename(target)
    except OSError:
        if not is_current(target, seed=seed):
            raise


def _remove_leftovers(root: Path) -> None:
    """Delete staging folders of generations that were killed long ago; a younger one may be at work."""
    for plan in PLANS.values():
        for staging in root.glob(f".{plan.name}-*.partial"):
            if time.time() - staging.stat().st_mtime > STALE_AFTER_S:
                shutil.rmtree(staging, ignore_errors=True)


def _unwritable(root: Path, error: OSError) -> SerabError:
    reason = error.strerror or error
    return SerabError(f"cannot write below {root} ({reason}): choose another folder, or free some space")
