"""Whether a corpus is complete, decodable and what was released: every file is decoded, what is wrong is explained."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from serab_lib.core import SerabError, cache_folder, explain_no_audio, hash_file, printable
from serab_lib.corpora import corpus as corpora
from serab_lib.corpora.corpus import Corpus, find_corpus, hash_samples, list_utterances, mark_originals, read_content
from serab_lib.corpora.task import Task

SILENCE_DBFS = -80.0
DURATION_TOLERANCE_S = 0.05
LOSSY_TOLERANCE_S = 0.1  # a lossy codec may add or take some frames at the ends
LOWEST_RATE_HZ = 16_000

# Below one step of 16 bits: what padding is made of.
_NOTHING = 1 / 32768
_LOSSLESS = ("PCM", "FLOAT", "DOUBLE", "ALAC")
_UNUSABLE = "a run leaves it out and marks its results as incomplete"

# Why a file is left out, to kind, consequence and whether results are affected.
_LEFT_OUT = {
    "strange": ("extra", "a run stops until it is moved away", True),
    "conflict": ("in doubt", "nothing tells which was released, a run stops", True),
    "broken link": ("undecodable", _UNUSABLE, True),
    **dict.fromkeys(
        ("unexpected", "other", "copy", "unlabelled"), ("extra", "not used, results stay as they are", False)
    ),
}


@dataclass(frozen=True)
class Problem:
    """Something wrong with a corpus.

    Attributes
    ----------
    kind : str
        ``missing``, ``extra``, ``in doubt``, ``undecodable``, ``cut off``, ``empty``, ``silent``, ``duplicated``,
        ``duration`` or ``sample rate``. Where the content of the released recordings is known, also what
        was done to one that is not as released: ``other content``, ``re-encoded``, or one or more of ``lossy``,
        ``resampled``, ``cut`` and ``padded``, joined by " and ".
    file : str
        The file below the corpus's folder, the stem of one that is missing, or the folder where it concerns many.
    consequence : str
        What was found and what it means for a result, in one line.
    affects_result : bool
        False where results stay comparable: files that are not used, and oddities that the released corpus has and
        every published result shares.
    """

    kind: str
    file: str
    consequence: str
    affects_result: bool = True


@dataclass(frozen=True)
class Report:
    """What checking a corpus showed; `n_originals` are as they were released, None where that is not known."""

    problems: tuple[Problem, ...]
    n_utterances: int
    n_originals: int | None


def describe_copies(task: Task, n_files: Mapping[str, int]) -> str | None:
    """Say in a line that recordings, counted by sample rate (Hz), are resampled copies; None if they are not."""
    try:
        released = list_utterances(task)["sample_rate"].dropna().astype(int).astype(str)
    except SerabError:
        return None  # a corpus of one's own
    copies = {rate: n for rate, n in n_files.items() if rate not in set(released)}
    if released.empty or not copies:
        return None
    there, original = (
        " or ".join(f"{int(rate) / 1000:g} kHz" for rate in rates) for rates in (copies, released.value_counts().index)
    )
    return (
        f"{sum(copies.values()):,} of {sum(n_files.values()):,} recordings at {there}, released at {original}: copies "
        "that somebody resampled (what is at the top of their band depends on how); measure on the released recordings "
        "where the last points matter"
    )


def summarise(problems: Iterable[Problem]) -> list[str]:
    """Write one line for each kind of problem: how many, an example, and what it means."""
    alike: defaultdict[tuple[str, bool], list[Problem]] = defaultdict(list)
    for each in problems:
        alike[each.kind, each.affects_result].append(each)
    return [
        f"{kind}: {f'{len(same):,} files, such as ' if len(same) > 1 else ''}{same[0].file}: {same[0].consequence}"
        for (kind, _), same in alike.items()
    ]


def check_corpus(
    task: str | Task,
    data: str | Path | None = None,
    *,
    n_workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Report:
    """Decode a corpus to its last sample and name what is wrong with it.

    First comes what concerns the list of files, then what decoding them showed, by file. `n_workers` threads, by
    default one per core and at most 8; `progress` is told the number of files done and their total.
    """
    corpus = find_corpus(task, data, strict=False)
    probes: list[dict[str, Any]] = []
    with ThreadPoolExecutor(n_workers or min(8, os.cpu_count() or 1)) as pool:
        try:
            for probe in pool.map(_probe, corpus.utterances["path"]):
                probes.append(probe)
                if progress is not None:
                    progress(len(probes), len(corpus.utterances))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # on an interrupt, what waits in the queue is dropped
            raise
    files = corpus.utterances.join(pd.DataFrame(probes))
    files["file"] = [os.path.relpath(path, corpus.root) for path in files["path"]]
    files["is_original"] = originals = None
    if not corpus.synthetic:
        originals = mark_originals(corpus.task, files, files["digest"], cache=cache_folder())
        files["is_original"] = originals
    problems = [*_check_missing(corpus), *_check_left_out(corpus), *_check_files(corpus, files)]
    problems += _check_duplicates(corpus.task, files[files["n_frames"] > 0])
    if originals is None and not corpus.synthetic:
        rates = files.loc[(files["error"] == "") & (files["rate_hz"] >= LOWEST_RATE_HZ), "rate_hz"].astype(str)
        if said := describe_copies(corpus.task, rates.value_counts().to_dict()):
            problems.append(Problem("resampled", f"{corpus.root.name}/", said, affects_result=False))
    return Report(tuple(problems), len(files), None if originals is None else sum(originals))


def _probe(path: str) -> dict[str, Any]:
    """Decode one file; whatever is wrong with it ends up in `error`."""
    found = {"digest": "", "n_bytes": 0, "n_promised": 0, "subtype": "", "rate_hz": LOWEST_RATE_HZ}
    found |= {"n_frames": 0, "n_silent": 0, "peak": 0.0, "error": ""}
    try:
        # As bytes: soundfile cannot encode a name that is not valid UTF-8.
        raw = os.fsencode(path)
        found |= {"n_bytes": os.path.getsize(raw), "digest": hash_file(path)}
        with open(raw, "rb") as stream:
            head = stream.read(64)
        # Encoders that write to a pipe leave the largest number there is, which promises nothing.
        if head.startswith(b"RIFF") and (n_promised := int.from_bytes(head[4:8], "little")) < 0x7FFFF000:
            found["n_promised"] = n_promised
        if head:
            with soundfile.SoundFile(raw) as file:
                found |= {"rate_hz": file.samplerate, "subtype": file.subtype}
                level = np.abs(file.read(dtype="float32", always_2d=True)).max(axis=1)
                if len(level) < file.frames:
                    found["error"] = f"{len(level):,} of {file.frames:,} samples decode"
            loud = np.flatnonzero(level > _NOTHING)
            # Frames at both ends that hold nothing.
            n_silent = len(level) - (int(loud[-1] - loud[0]) + 1 if len(loud) else 0)
            found |= {"n_frames": len(level), "peak": float(level.max(initial=0)), "n_silent": n_silent}
            if not np.isfinite(level).all():
                found["error"] = "samples that are not finite"
    except SerabError:
        raise  # it cannot be read, which says nothing about the recording
    except Exception as problem:  # a bad file may fail in any way, and none of them may stop the check
        reason = " ".join(str(getattr(problem, "error_string", problem)).split()).removeprefix("Error : ")
        found["error"] = explain_no_audio(path) or reason.rstrip(".") or type(problem).__name__
    return found


def _check_files(corpus: Corpus, files: pd.DataFrame) -> Iterator[Problem]:
    """Judge each file by what decoding it showed, and by what was released under its name."""
    released = pd.DataFrame(columns=["stem", "duration_s", "sample_rate"])
    if not corpus.synthetic and corpus.n_expected is not None:
        released = list_utterances(corpus.task)[list(released)]
    names: defaultdict[str, list[str]] = defaultdict(list)
    for stem, hashes in (read_content(corpus.task.name) or {}).items():
        for value in filter(None, hashes):
            names[value].append(stem)
    for file in files.merge(released, on="stem", how="left").itertuples():
        has_content = file.is_original is not None
        found = list(_judge(file, np.nan if has_content else file.duration_s))
        if file.is_original is False and not {"undecodable", "empty", "cut off"} & {kind for kind, _ in found}:
            others = sorted({*names.get(file.digest, ()), *names.get(hash_samples(file.path), ())} - {file.stem})
            found.append(_explain_change(file, others))
        for kind, consequence in found:
            known = corpus.task.oddities.get(file.stem, "") if kind == "silent" else ""
            yield _make_problem(kind, file.file, consequence, known)


def _make_problem(kind: str, file: str, consequence: str, known: str = "") -> Problem:
    if known:
        consequence = f"{consequence}; so in the released corpus, and in every published result"
    return Problem(kind, printable(file), consequence, affects_result=not known)


def _judge(file: Any, expected_s: float) -> Iterator[tuple[str, str]]:
    """Yield kind and consequence of what is wrong with one file; NaN where no duration is expected."""
    if file.error:
        yield "undecodable", f"{file.error}; {_UNUSABLE}"
        return
    if file.n_frames == 0:
        yield "empty", f"{file.n_bytes} bytes, no sample; {_UNUSABLE}"
        return
    lasts_s = file.n_frames / file.rate_hz
    if abs(lasts_s - expected_s) > DURATION_TOLERANCE_S:
        what = "cut off" if lasts_s < expected_s else "longer"
        yield (
            "duration",
            f"lasts {lasts_s:.2f} s, in the released corpus {expected_s:.2f} s; {what} or another recording, so its "
            "embedding differs",
        )
    elif np.isnan(expected_s) and file.n_promised > file.n_bytes * 1.01:
        promised = f"{file.n_bytes:,} of the {file.n_promised:,} bytes that its header promises"
        yield "cut off", f"{promised}; its embedding is made of what is left"
    is_disguised = corpora.suffix_of(file.file) not in corpora.LOSSY_SUFFIXES and not file.subtype.startswith(_LOSSLESS)
    if is_disguised and file.is_original is None:
        codec = file.subtype.replace("_", " ").title()
        yield "lossy", f"stored as {codec} under the name of a lossless file: a lossy copy, so its embedding differs"
    if file.peak < 10 ** (SILENCE_DBFS / 20):
        yield (
            "silent",
            f"no sample above {SILENCE_DBFS:.0f} dBFS; nothing in it to classify, and it counts all the same",
        )
    if file.rate_hz < LOWEST_RATE_HZ:
        lost = f"nothing above {file.rate_hz // 2} Hz is in it, so its embedding differs"
        yield "sample rate", f"{file.rate_hz} Hz, the extractors use {LOWEST_RATE_HZ} Hz; {lost}"


def _explain_change(file: Any, others: list[str]) -> tuple[str, str]:
    """Say what was done to a recording that is not as it was released: kind and consequence."""
    if others:
        return "other content", f"holds what was released as {others[0]}, so its label may be wrong"
    done = {}
    is_lossy = not file.subtype.startswith(_LOSSLESS)
    if is_lossy:
        done["lossy"] = f"stored as {file.subtype.replace('_', ' ').title()}"
    if file.rate_hz != file.sample_rate:
        done["resampled"] = f"at {file.rate_hz / 1000:g} kHz, released at {file.sample_rate / 1000:g} kHz"
    lasts_s = file.n_frames / file.rate_hz
    off_s = lasts_s - file.duration_s
    if abs(off_s) > (LOSSY_TOLERANCE_S if is_lossy else DURATION_TOLERANCE_S):
        lasts = f"lasts {lasts_s:.2f} s, released with {file.duration_s:.2f} s"
        if off_s < 0:
            done["cut"] = lasts
        elif off_s - file.n_silent / file.rate_hz < DURATION_TOLERANCE_S:
            done["padded"] = f"{lasts}, silent at its ends"
        else:
            return "other content", f"{lasts}, and what is more is not silence: another recording"
    if not done:
        return "re-encoded", "of the released rate and length with other samples: another level or a lossy copy's copy"
    return " and ".join(done), f"{', '.join(done.values())}; its embedding differs"


def _check_missing(corpus: Corpus) -> Iterator[Problem]:
    in_doubt = {os.path.splitext(os.path.basename(each.file))[0] for each in corpus.left_out if each.kind == "conflict"}
    groups = set(corpus.utterances["speaker"]) | set(corpus.utterances["released_group"])
    for stem in corpus.missing:
        if stem in in_doubt:
            continue
        name = corpus.task.parse(stem)
        consequence = "not there; results are incomplete and not comparable with the paper's"
        if name and (gone := sorted({name.speaker, name.released_group} - groups)):
            what = "speaker" if gone == [name.speaker] else "group"
            consequence = f"not there, nor any other of {what} {gone[0]}; the split itself comes out differently"
        yield Problem("missing", printable(stem), consequence)


def _check_left_out(corpus: Corpus) -> Iterator[Problem]:
    for each in corpus.left_out:
        if each.kind in _LEFT_OUT:
            kind, consequence, affects_result = _LEFT_OUT[each.kind]
            yield Problem(kind, printable(each.file), f"{each.reason}; {consequence}", affects_result)
    if corpus.task.counts and not corpus.synthetic:
        for line in corpus.unexpected:
            yield Problem("extra", line, "more than the task has; results are not comparable with the paper's")


def _check_duplicates(task: Task, files: pd.DataFrame) -> Iterator[Problem]:
    """Find byte-identical files under different names."""
    for _, same in files[files.duplicated("digest", keep=False)].groupby("digest", sort=False):
        emotions, speakers = sorted(set(same["emotion"])), sorted(set(same["speaker"]))
        consequence = "one recording counts as several"
        if len(emotions) > 1:
            consequence = f"labelled {' and '.join(emotions)}: all but one of the labels are wrong"
        elif len(speakers) > 1:
            consequence = f"under speakers {' and '.join(speakers)}: it may be in train and test at once"
        # The record of an odd file names its twin.
        known = "\n".join(task.oddities.get(stem, "") for stem in same["stem"])
        is_known = all(stem in known or stem in task.oddities for stem in same["stem"])
        yield _make_problem(
            "duplicated", " = ".join(same["file"]), f"byte-identical, {consequence}", known if is_known else ""
        )
