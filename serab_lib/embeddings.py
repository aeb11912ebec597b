"""From audio files to one matrix of embeddings: in parallel, in batches, cached by content."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from joblib.externals.loky import ProcessPoolExecutor

from serab_lib.audio import AudioError, load_audio
from serab_lib.errors import SerabError
from serab_lib.extractors.base import Extractor, Statistics, StatisticsExtractor, length_sorted_batches
from serab_lib.fingerprints import digest
from serab_lib.storage import replaced

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
# Embeddings kept in memory before they are written to the cache: what an interruption can lose.
_UTTERANCES_PER_SHARD = 128


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
    """

    matrix: np.ndarray
    unusable: dict[int, str]
    n_cached: int


class EmbeddingCache:
    """Embeddings on disk, by content of the audio, under one extractor with one set of statistics.

    Parameters
    ----------
    cache : Path
        Folder of caches.
    extractor : Extractor
    """

    def __init__(self, cache: Path, extractor: Extractor) -> None:
        parts = [extractor.fingerprint]
        if isinstance(extractor, StatisticsExtractor):
            parts.append(f"{extractor.statistics.mean:.6f} {extractor.statistics.std:.6f}")
        self.folder = cache / "embeddings" / f"{extractor.name}-{digest(parts)[:16]}"
        self.embedding_size = extractor.embedding_size

    def read(self, hashes: Sequence[str]) -> dict[str, np.ndarray]:
        """Read what is there of the given contents: hash to vector."""
        wanted, found = set(hashes), {}
        for shard in sorted(self.folder.glob("*.npz")):
            try:
                with np.load(shard, allow_pickle=False) as content:
                    names, vectors = content["hashes"].astype(str), content["embeddings"]
            except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
                logger.warning("%s is damaged and is left aside", shard)
                with contextlib.suppress(OSError):
                    shard.unlink()
                continue
            if vectors.shape != (len(names), self.embedding_size) or not np.isfinite(vectors).all():
                logger.warning("%s does not hold this extractor's embeddings and is left aside", shard)
                continue
            found |= {name: vectors[i] for i, name in enumerate(names) if name in wanted}
        return found

    def write(self, vectors: dict[str, np.ndarray]) -> None:
        """Add some embeddings."""
        if not vectors:
            return
        with (
            replaced(self.folder / f"{uuid.uuid4().hex}.npz") as temporary,
            temporary.open("wb") as file,
        ):
            np.savez(file, hashes=np.array(list(vectors), dtype="S64"), embeddings=np.stack(list(vectors.values())))


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
        If an embedding is not finite, which no audio file should cause.

    Notes
    -----
    Audio is streamed: what is held at a time is a few batches per worker, whatever the corpus's size. What
    was made is in the cache when the work is interrupted, and the next call goes on from there.
    """
    store = EmbeddingCache(cache, extractor)
    known = store.read(hashes)
    n_cached = sum(value in known for value in hashes)
    todo = list({value: i for i, value in enumerate(hashes) if value not in known}.values())
    fresh: dict[str, np.ndarray] = {}
    unusable: dict[str, str] = {}
    n_done, n_total = 0, len(todo)
    try:
        for positions, outcome in _run(extractor, [paths[i] for i in todo], n_jobs):
            for position, vector in zip(positions, outcome, strict=True):
                index = todo[position]
                if isinstance(vector, str):
                    unusable[hashes[index]] = vector
                elif not np.isfinite(vector).all():
                    raise SerabError(
                        f"{paths[index]}: {extractor.name} gave numbers that are not finite: "
                        "check the file and the checkpoint"
                    )
                else:
                    fresh[hashes[index]] = vector
            n_done += len(positions)
            if progress:
                progress(f"embeddings by {extractor.title}", n_done, n_total)
            if len(fresh) >= _UTTERANCES_PER_SHARD:
                store.write(fresh)
                known |= fresh
                fresh = {}
    finally:
        store.write(fresh)
        known |= fresh
    missing = np.full(extractor.embedding_size, np.nan, dtype=np.float32)
    matrix = np.stack([known.get(value, missing) for value in hashes])
    reasons = {i: unusable[value] for i, value in enumerate(hashes) if value in unusable}
    return Embeddings(matrix, reasons, n_cached)


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
    if extractor.needs_processes and n_workers > 1:
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
