"""Whether a corpus is complete, decodable and what was released: every file is decoded, what is wrong is explained."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import soundfile

from serab_lib.core import SerabError, printable
from serab_lib.corpora import files
from serab_lib.corpora.corpus import Corpus, find_corpus, read_marker
from serab_lib.corpora.manifests import list_utterances, read_content, read_manifest
from serab_lib.corpora.task import Task


def count_sample_rates(paths: Sequence[str]) -> dict[str, int]:
    """Count files by sample rate, from their headers.

    Parameters
    ----------
    paths : sequence of str

    Returns
    -------
    dict of str to int
        Rate in Hz to number of files, rarest last; files that cannot be read are left out.
    """
    rates: Counter[str] = Counter()
    for path in paths:
        try:
            rates[str(soundfile.info(os.fsencode(path)).samplerate)] += 1
        except (soundfile.LibsndfileError, OSError, RuntimeError):
            continue
    return dict(rates.most_common())


def describe_copies(task: Task, n_files: Mapping[str, int]) -> str | None:
    """Say that recordings are resampled copies, if they are.

    Parameters
    ----------
    task : Task
    n_files : mapping
        As from `count_sample_rates`.

    Returns
    -------
    str or None
        One line; None where all have a rate of the released recordings, or that rate is not known.
    """
    try:
        known = list_utterances(task)["sample_rate"].dropna()
    except SerabError:
        return None  # a corpus of one's own
    released = {str(int(rate)) for rate in known}
    copies = {rate: n for rate, n in n_files.items() if rate not in released}
    if not released or not copies:
        return None
    return (
        f"{sum(copies.values()):,} of {sum(n_files.values()):,} recordings at {_name(copies)}, released at "
        f"{_name(known.astype(int).astype(str).value_counts())}: copies that somebody resampled (what is at the "
        "top of their band depends on how); measure on the released recordings where the last points matter"
    )


def _name(rates: Mapping[str, object]) -> str:
    return " or ".join(f"{int(rate) / 1000:g} kHz" for rate in rates.keys())


SILENCE_DBFS = -80.0
DURATION_TOLERANCE_S = 0.05
LOWEST_RATE_HZ = 16_000

_N_FRAMES_PER_BLOCK = 65_536
# Below one step of 16 bits: what padding is made of.
_NOTHING = 1 / 32768
_UNUSABLE = "a run leaves it out and marks its results as incomplete"


@dataclass(frozen=True)
class Problem:
    """Something wrong with a corpus.

    Parameters
    ----------
    kind : str
        ``missing``, ``extra``, ``in doubt``, ``undecodable``, ``cut off``, ``empty``, ``silent``, ``duplicated``,
        ``duration``, ``sample rate`` or ``changed``. Where the content of the released recordings is known, also what
        was done to one that is not as released: ``other content``, ``re-encoded``, or one or more of ``lossy``,
        ``resampled``, ``cut`` and ``padded``, joined by " and ".
    file : str
        The file below the corpus's folder, the stem of one that is missing, or the folder where it concerns many.
    consequence : str
        What was found and what it means for a result, in one line.
    affects_result : bool
        False where results stay comparable: files that are not used, and oddities that the released corpus
        has and every published result shares.
    """

    kind: str
    file: str
    consequence: str
    affects_result: bool = True


@dataclass(frozen=True)
class Report:
    """What checking a corpus showed.

    Attributes
    ----------
    problems : tuple of Problem
        First what concerns the list of files, then what decoding them showed, by file. Empty if all is well.
    n_utterances : int
    n_originals : int or None
        How many of them are as they were released; None where that is not known of the corpus.
    """

    problems: tuple[Problem, ...]
    n_utterances: int
    n_originals: int | None


def summarise(problems: Iterable[Problem]) -> list[str]:
    """Write one line for each kind of problem: how many, an example, and what it means."""
    alike: dict[tuple[str, bool], list[Problem]] = {}
    for each in problems:
        alike.setdefault((each.kind, each.affects_result), []).append(each)
    lines = []
    for (kind, _), same in alike.items():
        example = f"{printable(same[0].file)}: {printable(same[0].consequence)}"
        lines.append(f"{kind}: " + (f"{len(same):,} files, such as " if len(same) > 1 else "") + example)
    return lines


@dataclass(frozen=True)
class _Probe:
    """What decoding a file showed; `error` says why it could not be decoded to its end."""

    digest: str = ""
    size: int = 0
    samples: str = ""  # as `serab_lib.corpora.manifests.hash_samples`
    subtype: str = ""
    n_frames: int = 0
    n_promised: int = 0
    n_silent: int = 0  # frames at both ends that hold nothing
    rate_hz: int = 0
    peak: float = 0.0
    error: str = ""

    @property
    def duration_s(self) -> float:
        return self.n_frames / self.rate_hz if self.rate_hz else 0.0


def check_corpus(
    task: str | Task,
    data: str | Path | None = None,
    *,
    n_workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Report:
    """Decode a corpus to its last sample and name what is wrong with it.

    Parameters
    ----------
    task : str or Task
        Code, name or record.
    data : str or Path, optional
        As in `serab_lib.corpora.corpus.load_task`.
    n_workers : int, optional
        Threads; by default one per core, at most 8.
    progress : callable, optional
        Called in this thread with the number of files done and their total.

    Returns
    -------
    Report

    Raises
    ------
    SerabError
        If there is no such corpus at all; see `serab_lib.corpora.corpus.find_corpus`.

    Notes
    -----
    Files are read in blocks: memory does not grow with the corpus or with the length of a file.
    """
    corpus = find_corpus(task, data, strict=False)
    files = [os.path.relpath(path, corpus.root) for path in corpus.utterances["path"]]
    probes = []
    # Closed at once on an interrupt, so that what waits in the queue is dropped.
    with closing(_probe_all(list(corpus.utterances["path"]), n_workers)) as results:
        for probe in results:
            probes.append(probe)
            if progress is not None:
                progress(len(probes), len(files))
    problems = [*_check_missing(corpus), *_check_left_out(corpus)]
    released = _read_released(corpus)
    content = None if corpus.synthetic else read_content(corpus.task.name)
    digests = read_marker(corpus.root) or {} if corpus.synthetic else {}
    n_originals = 0
    for stem, file, probe in zip(corpus.utterances["stem"], files, probes, strict=True):
        expected = released.get(stem)
        found = list(_judge(probe, None if content else expected, digests.get(file)))
        if content and content.is_original(stem, probe.digest, probe.samples):
            n_originals += 1
        elif content and not {"undecodable", "empty", "cut off"} & {kind for kind, _ in found}:
            found.append(_explain_change(probe, expected, content.find_others(stem, probe.digest, probe.samples)))
        for kind, consequence in found:
            known = corpus.task.oddities.get(stem) if kind == "silent" else None
            problems.append(_make_problem(kind, file, consequence, known))
    problems += [*_check_duplicates(corpus, files, probes), *([] if content else _check_copies(corpus, probes))]
    return Report(tuple(problems), len(files), n_originals if content else None)


def _make_problem(kind: str, file: str, consequence: str, known: str | None = None) -> Problem:
    if known:
        consequence = f"{consequence}; so in the released corpus, and in every published result"
    return Problem(kind, printable(file), consequence, affects_result=not known)


def _probe_all(paths: list[str], n_workers: int | None) -> Iterator[_Probe]:
    pool = ThreadPoolExecutor(max_workers=n_workers or min(8, os.cpu_count() or 1))
    try:
        yield from pool.map(_probe, paths)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _probe(path: str) -> _Probe:
    """Decode one file block by block; whatever is wrong with it ends up in `error`."""
    found: dict[str, Any] = {}
    try:
        # As bytes: soundfile cannot encode a name that is not valid UTF-8.
        raw = os.fsencode(path)
        found["size"] = os.path.getsize(raw)
        with open(raw, "rb") as stream:
            head = stream.read(64)
            stream.seek(0)
            found["digest"] = hashlib.file_digest(stream, "sha256").hexdigest()
        if head.startswith(b"version https://git-lfs"):
            found["error"] = "a Git LFS pointer in place of the audio: run `git lfs pull`"
        elif found["size"]:
            with soundfile.SoundFile(raw) as file:
                _decode(file, found)
    except Exception as problem:  # a bad file may fail in any way, and none of them may stop the check
        reason = " ".join(str(getattr(problem, "error_string", problem)).split()).removeprefix("Error : ")
        error = reason.rstrip(".") or type(problem).__name__
        n_frames = found.get("n_frames", 0)
        found["error"] = error + (f", after {n_frames:,} samples" if n_frames else "")
    return _Probe(**found)


def _decode(file: soundfile.SoundFile, found: dict[str, Any]) -> None:
    """Decode a file to its end and put down what it holds."""
    found |= {"rate_hz": file.samplerate, "subtype": file.subtype, "n_frames": 0, "peak": 0.0}
    found["n_promised"] = max(file.frames, _read_data_frames(file))
    is_16_bits, samples = file.subtype == "PCM_16", hashlib.md5(usedforsecurity=False)
    first_loud, last_loud = None, 0
    while len(block := file.read(_N_FRAMES_PER_BLOCK, dtype="int16" if is_16_bits else "float32", always_2d=True)):
        if is_16_bits:
            samples.update(block.astype("<i2").tobytes())
            block = block / np.float32(32768)
        level = np.abs(block).max(axis=1)
        loud = np.flatnonzero(level > _NOTHING)
        if len(loud):
            first_loud = found["n_frames"] + int(loud[0]) if first_loud is None else first_loud
            last_loud = found["n_frames"] + int(loud[-1]) + 1
        found["n_frames"] += len(block)
        found["peak"] = max(found["peak"], float(level.max()))
        if not np.isfinite(level).all():
            found["error"] = "samples that are not finite"
    found["n_silent"] = (first_loud or 0) + found["n_frames"] - last_loud
    if is_16_bits:
        found["samples"] = samples.hexdigest()
    if found["n_frames"] < file.frames:
        found["error"] = f"{found['n_frames']:,} of {file.frames:,} samples decode"


def _read_data_frames(file: soundfile.SoundFile) -> int:
    """Read how many frames the header of a .wav promises; 0 where that agrees with the file's size.

    libsndfile cuts the number down to what is there, and says so in its log only.
    """
    for line in file.extra_info.splitlines():
        if line.startswith("data :") and "should be" in line:
            n_bytes = int(line.split()[2])
            # Encoders that write to a pipe leave the largest number there is, which promises nothing.
            n_bytes = n_bytes if n_bytes < 0x7FFFF000 else 0
            widths = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
            return n_bytes // (file.channels * widths[file.subtype]) if file.subtype in widths else 0
    return 0


def _judge(probe: _Probe, expected: tuple[float, int] | None, digest: str | None) -> Iterator[tuple[str, str]]:
    """Yield kind and consequence of what is wrong with one file."""
    if probe.error:
        yield "undecodable", f"{probe.error}; {_UNUSABLE}"
        return
    if probe.n_frames == 0:
        yield "empty", f"{probe.size} bytes, no sample; {_UNUSABLE}"
        return
    expected_s = expected[0] if expected else None
    off_s = None if expected_s is None else probe.duration_s - expected_s
    if off_s is not None and abs(off_s) > DURATION_TOLERANCE_S:
        yield (
            "duration",
            f"lasts {probe.duration_s:.2f} s, in the released corpus {expected_s:.2f} s; "
            f"{'cut off' if off_s < 0 else 'longer'} or another recording, so its embedding differs",
        )
    elif expected_s is None and probe.n_promised > probe.n_frames * 1.01:
        yield (
            "cut off",
            f"{probe.n_frames:,} of the {probe.n_promised:,} samples that its header promises; "
            "its embedding is made of what is left",
        )
    elif digest is not None and digest != probe.digest:
        yield "changed", "not the bytes that were written (SHA-256 differs); its embedding may differ"
    if probe.peak < 10 ** (SILENCE_DBFS / 20):
        yield (
            "silent",
            f"no sample above {SILENCE_DBFS:.0f} dBFS; nothing in it to classify, and it counts all the same",
        )
    if probe.rate_hz < LOWEST_RATE_HZ:
        yield (
            "sample rate",
            f"{probe.rate_hz} Hz, the extractors use {LOWEST_RATE_HZ} Hz; "
            f"nothing above {probe.rate_hz // 2} Hz is in it, so its embedding differs",
        )


def _explain_change(probe: _Probe, expected: tuple[float, int] | None, others: list[str]) -> tuple[str, str]:
    """Say what was done to a recording that is not as it was released: kind and consequence."""
    if others:
        return "other content", f"holds what was released as {others[0]}, so its label may be wrong"
    done = {}
    is_lossy = not probe.subtype.startswith(("PCM", "FLOAT", "DOUBLE", "ALAC"))
    if is_lossy:
        done["lossy"] = f"stored as {probe.subtype.replace('_', ' ').title()}"
    if expected and probe.rate_hz != expected[1]:
        done["resampled"] = f"at {probe.rate_hz / 1000:g} kHz, released at {expected[1] / 1000:g} kHz"
    off_s = probe.duration_s - expected[0] if expected else 0.0
    if abs(off_s) > (files.LOSSY_TOLERANCE_S if is_lossy else DURATION_TOLERANCE_S):
        lasts = f"lasts {probe.duration_s:.2f} s, released with {probe.duration_s - off_s:.2f} s"
        if off_s < 0:
            done["cut"] = lasts
        elif off_s - probe.n_silent / probe.rate_hz < DURATION_TOLERANCE_S:
            done["padded"] = f"{lasts}, silent at its ends"
        else:
            return "other content", f"{lasts}, and what is more is not silence: another recording"
    if not done:
        return "re-encoded", "of the released rate and length with other samples: another level or a lossy copy's copy"
    return " and ".join(done), f"{', '.join(done.values())}; its embedding differs"


def _check_missing(corpus: Corpus) -> Iterator[Problem]:
    in_doubt = {
        os.path.splitext(os.path.basename(each.file))[0] for each in corpus.left_out if each.kind == files.CONFLICT
    }
    parsed = {stem: corpus.task.parse(stem) for stem in corpus.missing if stem not in in_doubt}
    groups = set(corpus.utterances["speaker"]) | set(corpus.utterances["released_group"])
    for stem, name in parsed.items():
        consequence = "not there; results are incomplete and not comparable with the paper's"
        gone = [] if name is None else sorted({name.speaker, name.released_group} - groups)
        if gone:
            what = "speaker" if gone == [name.speaker] else "group"
            consequence = f"not there, nor any other of {what} {gone[0]}; the split itself comes out differently"
        yield Problem("missing", printable(stem), consequence)


def _check_left_out(corpus: Corpus) -> Iterator[Problem]:
    for each in corpus.left_out:
        if each.kind == files.STRANGE:
            yield _make_problem("extra", each.file, f"{each.reason}; a run stops until it is moved away")
        elif each.kind == files.CONFLICT:
            yield _make_problem("in doubt", each.file, f"{each.reason}; nothing tells which was released, a run stops")
        elif each.kind == files.BROKEN_LINK:
            yield _make_problem("undecodable", each.file, f"{each.reason}; {_UNUSABLE}")
        elif each.kind in (files.UNEXPECTED, files.OTHER, files.COPY, files.UNLABELLED):
            consequence = f"{each.reason}; not used, results stay as they are"
            yield Problem("extra", printable(each.file), consequence, affects_result=False)
    if corpus.n_expected is not None and not any(each.kind == files.UNEXPECTED for each in corpus.left_out):
        for line in corpus.unexpected:
            yield Problem("extra", line, "more than the task has; results are not comparable with the paper's")


def _check_duplicates(corpus: Corpus, files: list[str], probes: list[_Probe]) -> Iterator[Problem]:
    """Find byte-identical files under different names."""
    rows_of: dict[str, list[int]] = {}
    for row, probe in enumerate(probes):
        if probe.n_frames and not probe.error:
            rows_of.setdefault(probe.digest, []).append(row)
    for rows in rows_of.values():
        if len(rows) == 1:
            continue
        same = corpus.utterances.iloc[rows]
        emotions, speakers = sorted(set(same["emotion"])), sorted(set(same["speaker"]))
        if len(emotions) > 1:
            consequence = f"labelled {' and '.join(emotions)}: all but one of the labels are wrong"
        elif len(speakers) > 1:
            consequence = f"under speakers {' and '.join(speakers)}: it may be in train and test at once"
        else:
            consequence = "one recording counts as several"
        # The record of an odd file names its twin.
        known = "\n".join(corpus.task.oddities.get(stem, "") for stem in same["stem"])
        n_unknown = sum(stem not in known and stem not in corpus.task.oddities for stem in same["stem"])
        names = " = ".join(files[row] for row in rows)
        yield _make_problem("duplicated", names, f"byte-identical, {consequence}", "" if n_unknown else known)


def _check_copies(corpus: Corpus, probes: list[_Probe]) -> Iterator[Problem]:
    """Find that the recordings are resampled copies: results are close to those of the originals, not the same."""
    rates = Counter(str(probe.rate_hz) for probe in probes if probe.rate_hz >= LOWEST_RATE_HZ and not probe.error)
    if not corpus.synthetic and (said := describe_copies(corpus.task, rates)):
        yield Problem("resampled", f"{corpus.root.name}/", said, affects_result=False)


def _read_released(corpus: Corpus) -> dict[str, tuple[float, int]]:
    """Durations (s) and sample rates (Hz) of the released recordings, by stem, as far as they are known."""
    manifest = None if corpus.synthetic else read_manifest(f"{corpus.task.name}.csv")
    if manifest is None:
        return {}
    rows = zip(manifest["file"], manifest["duration_s"], manifest["sample_rate"], strict=True)
    return {PurePosixPath(file).stem: (float(seconds), int(rate)) for file, seconds, rate in rows if seconds and rate}
