"""From audio files to one matrix of embeddings: in parallel, in batches, cached by content."""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

from serab_lib.audio import AudioError, load_audio
from serab_lib.benchmark.embedding_cache import EmbeddingCache
from serab_lib.core import SerabError, hash_files
from serab_lib.extractors.base import Extractor, Statistics, length_sorted_batches

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
# Embeddings kept in memory before they are written to the cache: what an interruption can lose.
_UTTERANCES_PER_SHARD = 128
# How often utterances are begun again whose worker process died.
_RETRIES = 1


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of a list of files.

    Attributes
    ----------
    matrix : np.ndarray [shape=(n_files, embedding_size)]
        float32; NaN in the rows of files that could not be used.
    unusable : dict of int to str
        Position of such a file to the reason.
    n_cached : int
        Rows that were read from the cache.
    not_kept : str or None
        Why the other rows could not be written to the cache, if they could not.
    """

    matrix: np.ndarray
    unusable: dict[int, str]
    n_cached: int
    not_kept: str | None = None


def extract(
    paths: Sequence[str],
    hashes: Sequence[str],
    extractor: Extractor,
    *,
    cache: Path,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Embeddings:
    """Make the embeddings of files, reading from the cache what is there.

    Parameters
    ----------
    paths : sequence of str
    hashes : sequence of str
        Content hash of each file.
    extractor : Extractor
        On its device.
    cache : Path
        Folder of caches.
    n_jobs : int, optional
        Workers; one per core if None.
    progress : callable, optional
        Told what is done, how many utterances are, and how many there are.

    Returns
    -------
    Embeddings

    Raises
    ------
    SerabError
        If an embedding is not finite, which no audio file should cause; if a file changes meanwhile; if worker
        processes die twice.

    Notes
    -----
    Audio is streamed: what is held at a time is a few batches per worker, whatever the corpus's size. What
    was made is in the cache when the work is interrupted, and the next call goes on from there. A cache that
    cannot be written is read all the same.
    """
    store = EmbeddingCache(cache, extractor)
    known = store.read(hashes)
    n_cached = sum(value in known for value in hashes)
    unusable: dict[str, str] = {}
    for attempt in range(1 + _RETRIES):
        done = known.keys() | unusable.keys()
        todo = {value: path for value, path in zip(hashes, paths, strict=True) if value not in done}
        try:
            _make(todo, extractor, store, known, unusable, n_jobs=n_jobs, progress=progress)
            break
        except BrokenProcessPool as error:
            if attempt == _RETRIES:
                raise SerabError(
                    f"worker processes died {attempt + 1} times while {extractor.name} was at work (killed, or out of "
                    "memory): the same command goes on from there, with fewer --jobs it needs less memory"
                ) from error
            logger.warning("a worker process died while %s was at work: its utterances are made again", extractor.name)
    missing = np.full(extractor.embedding_size, np.nan, dtype=np.float32)
    matrix = np.stack([known.get(value, missing) for value in hashes])
    reasons = {i: unusable[value] for i, value in enumerate(hashes) if value in unusable}
    return Embeddings(matrix, reasons, n_cached, store.problem)


def _make(
    todo: dict[str, str],
    extractor: Extractor,
    store: EmbeddingCache,
    known: dict[str, np.ndarray],
    unusable: dict[str, str],
    *,
    n_jobs: int | None,
    progress: Progress | None,
) -> None:
    """Add to `known` and `unusable` what the files of the contents in `todo` give, and to the cache."""
    contents, paths = list(todo), list(todo.values())
    fresh: dict[str, np.ndarray] = {}
    n_done = 0
    try:
        for positions, outcome in _run(extractor, paths, n_jobs):
            for position, vector in zip(positions, outcome, strict=True):
                if isinstance(vector, str):
                    unusable[contents[position]] = vector
                elif not np.isfinite(vector).all():
                    raise SerabError(
                        f"{paths[position]}: {extractor.name} gave numbers that are not finite: "
                        "check the file and the checkpoint"
                    )
                else:
                    fresh[contents[position]] = vector
            n_done += len(positions)
            if progress:
                progress(f"embeddings by {extractor.title}", n_done, len(paths))
            if len(fresh) >= _UTTERANCES_PER_SHARD:
                _keep(fresh, todo, store, known)
                fresh = {}
    finally:
        _keep(fresh, todo, store, known)


def _keep(
    fresh: dict[str, np.ndarray], todo: dict[str, str], store: EmbeddingCache, known: dict[str, np.ndarray]
) -> None:
    """Take new vectors over, unless their files are no longer what was hashed."""
    paths = [todo[content] for content in fresh]
    for path, before, now in zip(paths, fresh, hash_files(paths, cache=store.cache), strict=True):
        if before != now:
            raise SerabError(f"{path} changed while it was read: nothing of it is kept, run the same command again")
    store.write(fresh)
    known |= fresh


def measure_statistics(
    paths: Sequence[str], extractor: Extractor, *, n_jobs: int | None = None, progress: Progress | None = None
) -> Statistics:
    """Measure the statistics that log-mel spectrograms are normalised with.

    Parameters
    ----------
    paths : sequence of str
        The training utterances.
    extractor : Extractor
        Whose `prepare` makes the spectrograms.
    n_jobs : int, optional
    progress : callable, optional

    Returns
    -------
    Statistics
        The average of the utterances' own means, and of their own standard deviations, as in the release.

    Raises
    ------
    SerabError
        If no utterance can be decoded.
    """
    moments: list[tuple[float, float]] = []
    with _workers(extractor, n_jobs) as (pool, _):
        for n_done, outcome in enumerate(pool.map(_moments, [extractor] * len(paths), paths), start=1):
            if outcome is not None:
                moments.append(outcome)
            if progress:
                progress("log-mel statistics", n_done, len(paths))
    if not moments:
        raise SerabError("none of the training utterances can be decoded: run `serab check`")
    means, stds = np.mean(moments, axis=0)
    return Statistics(float(means), float(stds))


def _moments(extractor: Extractor, path: str) -> tuple[float, float] | None:
    try:
        spectrogram = extractor.prepare(load_audio(path, sample_rate=extractor.sample_rate))
    except AudioError:
        return None
    return float(spectrogram.mean()), float(spectrogram.std())


def _run(
    extractor: Extractor, paths: Sequence[str], n_jobs: int | None
) -> Iterator[tuple[list[int], list[np.ndarray | str]]]:
    """Yield batches of positions and, for each, its vector or why there is none."""
    batches = length_sorted_batches(
        [_n_frames(path, extractor.sample_rate) for path in paths], extractor.batch_frames[extractor.device.type]
    )
    with _workers(extractor, n_jobs) as (pool, n_workers):
        pending: list[tuple[list[int], Future]] = []
        for batch in batches:
            pending.append((batch, pool.submit(_embed_files, extractor, [paths[i] for i in batch])))
            # A short queue keeps the workers busy and the memory bounded.
            while len(pending) > 2 * n_workers or (pending and pending[0][1].done()):
                yield _finish(extractor, *pending.pop(0))
        for batch, future in pending:
            yield _finish(extractor, batch, future)


def _embed_files(extractor: Extractor, paths: Sequence[str]) -> list[np.ndarray | torch.Tensor | str]:
    """In a worker: vectors on the CPU; for other devices what the main thread will encode."""
    outcome: list[np.ndarray | torch.Tensor | str] = []
    for path in paths:
        try:
            outcome.append(extractor.prepare(load_audio(path, sample_rate=extractor.sample_rate)))
        except AudioError as error:
            outcome.append(str(error))
    return _encode(extractor, outcome) if extractor.device.type == "cpu" else outcome


def _encode(extractor: Extractor, prepared: list[np.ndarray | torch.Tensor | str]) -> list[np.ndarray | str]:
    usable = [i for i, item in enumerate(prepared) if isinstance(item, torch.Tensor)]
    outcome: list[np.ndarray | str] = list(prepared)
    if usable:
        with torch.inference_mode():
            vectors = extractor.encode([prepared[i] for i in usable]).numpy()
        for i, vector in zip(usable, vectors, strict=True):
            outcome[i] = vector
    return outcome


def _finish(extractor: Extractor, batch: list[int], future: Future) -> tuple[list[int], list[np.ndarray | str]]:
    outcome = future.result()
    return batch, outcome if extractor.device.type == "cpu" else _encode(extractor, outcome)


def _n_frames(path: str, sample_rate: int) -> int:
    """Estimate the log-mel frames of a file from its header; only the order of the work depends on it."""
    try:
        info = soundfile.info(os.fsencode(path))
    except (soundfile.LibsndfileError, OSError, RuntimeError):
        return 0
    return int(info.frames / max(info.samplerate, 1) * sample_rate) // 160


@contextlib.contextmanager
def _workers(extractor: Extractor, n_jobs: int | None) -> Iterator[tuple[Executor, int]]:
    """Threads, or processes where threads would wait for each other; each with one computing thread."""
    n_workers = n_jobs or os.cpu_count() or 1
    # A worker of a cluster may start no processes of its own.
    if extractor.needs_processes and n_workers > 1 and not multiprocessing.current_process().daemon:
        pool = _process_pool(n_workers)
        try:
            yield pool, n_workers
        except BaseException:
            _process_pool.cache_clear()
            pool.shutdown(wait=False, kill_workers=True)
            raise
    else:
        with ThreadPoolExecutor(n_workers, initializer=_use_one_thread) as threads:
            try:
                yield threads, n_workers
            except BaseException:
                threads.shutdown(wait=True, cancel_futures=True)
                raise


@functools.lru_cache(maxsize=1)
def _process_pool(n_workers: int) -> ProcessPoolExecutor:
    # Kept from one task to the next, since a worker takes seconds to start; it ends after a minute of idleness.
    return ProcessPoolExecutor(max_workers=n_workers, initializer=_use_one_thread, timeout=60)


def _use_one_thread() -> None:
    torch.set_num_threads(1)
