"""Roughly how long the grid takes and how much room it needs, from what was measured on one machine.

These are for deciding whether to wait or to come back tomorrow, not for comparing anything.
"""

from __future__ import annotations

import functools
import math
import os

from serab_lib.corpora.file_lists import list_utterances
from serab_lib.corpora.splits import split
from serab_lib.corpora.tasks import Task, get_task
from serab_lib.extractors.registry import Entry

BASIS = (
    "estimated from a machine with 2 CPU cores, on RAVDESS; scaled by seconds of audio, training utterances, embedding "
    "size and workers"
)
GPU_BASIS = "; no GPU was measured, one is faster"
DOWNLOAD_BASIS = "at 10 MB per second"

_BYTES_PER_SECOND = 10e6
_N_CORES = 2
# Seconds of audio per second, decoding and resampling from 48 kHz included, by family.
_SPEEDS = {
    "logmel_stats:LogMelStats": 360.0,
    "opensmile:OpenSmile": 19.0,
    "vggish:VggishExtractor": 11.0,
    "yamnet:YamnetExtractor": 39.0,
    "byol:ByolExtractor": 90.0,
    "cvt:CvtExtractor": 95.0,
}
# Never measured: as slow as the slowest that was.
_SLOWEST = min(_SPEEDS.values())
_USUAL_DURATION_S = 4.0
_N_FITTED = 1140


def estimate_download_s(n_bytes: int) -> float:
    """Seconds that a download takes."""
    return n_bytes / _BYTES_PER_SECOND


def estimate_extraction_s(entry: Entry, task: Task, *, n_jobs: int | None = None) -> float:
    """Seconds that the embeddings of a task take on the CPU.

    Parameters
    ----------
    entry : Entry
    task : Task
    n_jobs : int, optional
        Workers; one per core if None.
    """
    return _measure_audio_s(task.code) / _SPEEDS.get(entry.family, _SLOWEST) * _per_core(n_jobs)


def estimate_classifiers_s(entry: Entry, task: Task, protocols: tuple[str, ...], *, n_jobs: int | None = None) -> float:
    """Seconds that the five classifiers take with their search, on a task's embeddings.

    Parameters
    ----------
    entry : Entry
    task : Task
    protocols : tuple of str
        Those that split the task alike share their fits.
    n_jobs : int, optional
        Workers; one per core if None.
    """
    # Measured: 27 s at 128 numbers, 35 at 512, 56 at 1,024, 95 at 6,373; random forests take most of it.
    once_s = 20 + math.sqrt(entry.embedding_size)
    return sum(once_s * (n_fitted / _N_FITTED) ** 1.2 for n_fitted in _count_fitted(task.code, protocols)) * _per_core(
        n_jobs
    )


def estimate_cache_bytes(entry: Entry, task: Task) -> int:
    """Bytes that the embeddings of a task take in the cache."""
    return 4 * entry.embedding_size * _count_utterances(task.code)


@functools.cache
def _measure_audio_s(code: str) -> float:
    """Seconds of audio of a task; recordings of unknown duration count as the others' mean."""
    durations_s = list_utterances(code)["duration_s"].astype(float)
    mean_s = durations_s.mean()
    return float(durations_s.fillna(_USUAL_DURATION_S if math.isnan(mean_s) else mean_s).sum())


@functools.cache
def _count_utterances(code: str) -> int:
    return len(list_utterances(code))


@functools.cache
def _count_fitted(code: str, protocols: tuple[str, ...]) -> tuple[int, ...]:
    """Count train and validation utterances, once for protocols that split the task alike."""
    utterances, task = list_utterances(code), get_task(code)
    fits: dict[tuple[str, ...], int] = {}
    for protocol in protocols:
        parts = split(utterances, task, protocol)
        fits[tuple(parts["stem"] + parts["part"])] = int((parts["part"] != "test").sum())
    return tuple(fits.values())


def _per_core(n_jobs: int | None) -> float:
    return _N_CORES / min(n_jobs or os.cpu_count() or 1, os.cpu_count() or 1)
