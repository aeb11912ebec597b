"""From audio files to one matrix of embeddings: in parallel, in batches, cached by content; log-mel statistics."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import multiprocessing
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from joblib.externals.loky import BrokenProcessPool, ProcessPoolExecutor

from serab_lib.audio import AudioError, load_audio
from serab_lib.core import SerabError, cache_folder, digest, hash_files, remove_leftovers, replaced
from serab_lib.corpora.corpus import Corpus
from serab_lib.corpora.splits import find_training
from serab_lib.extractors.base import Extractor, Statistics, StatisticsExtractor, length_sorted_batches

logger = logging.getLogger(__name__)


class EmbeddingCache:
    """Embeddings on disk, by content of the audio, under one extractor with one set of statistics.

    Parameters
    ----------
    cache : Path
        Folder of caches.
    extractor : Extractor

    Attributes
    ----------
    problem : str or None
        Why embeddings could not be written; the first reason is kept, and nothing more is written.

    Notes
    -----
    A shard is a zip, which carries checksums of what is in it. One that is damaged is left aside and what it held is
    made again; a folder that cannot be written, or a full disk, costs time and no result.
    """

    def __init__(self, cache: Path, extractor: Extractor) -> None:
        self.cache = cache
        self.folder = cache / "embeddings" / f"{extractor.name}-{digest(extractor.identify())[:16]}"
        self.embedding_size = extractor.embedding_size
        self.problem: str | None = None

    def read(self, hashes: Sequence[str]) -> dict[str, np.ndarray]:
        """Read what is there of the given contents: hash to vector."""
        wanted, found = set(hashes), {}
        for shard in sorted(self.folder.glob("*.npz")):
            names, vectors = self._read_shard(shard)
            found |= {name: vectors[i] for i, name in enumerate(names) if name in wanted}
        return found

    def _read_shard(self, shard: Path) -> tuple[np.ndarray, np.ndarray]:
        nothing = np.empty(0, dtype=str), np.empty((0, self.embedding_size), dtype=np.float32)
        try:
            with np.load(shard, allow_pickle=False) as content:
                names, vectors = content["hashes"], content["embeddings"]
        except OSError as error:
            # Nothing is known of the content: another run may have removed it, or the disk may be away.
            logger.warning("%s cannot be read (%s) and is left aside", shard, error.strerror or error)
            return nothing
        except Exception:  # a damaged archive raises nearly anything, from the zip's headers to the array's
            logger.warning("%s is damaged and is made again", shard)
            with contextlib.suppress(OSError):
                shard.unlink()
            return nothing
        if vectors.shape != (len(names), self.embedding_size) or not np.isfinite(vectors).all():
            logger.warning("%s does not hold this extractor's embeddings and is left aside", shard)
            return nothing
        return names.astype(str), vectors

    def write(self, vectors: dict[str, np.ndarray]) -> None:
        """Add some embeddings, where the folder can be written."""
        if not vectors or self.problem:
            return
        names, matrix = np.array(list(vectors), dtype="S64"), np.stack(list(vectors.values()))
        try:
            with (
                replaced(self.folder / f"{uuid.uuid4().hex}.npz") as temporary,
                temporary.open("wb") as file,
            ):
                np.savez(file, hashes=names, embeddings=matrix)
            remove_leftovers(self.folder)
        except SerabError as error:
            self.problem = f"embeddings are not kept for the next run: {error}"


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


def set_statistics(
    extractor: Extractor, corpus: Corpus, *, n_jobs: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Give an extractor the log-mel statistics of a corpus: the published ones, or measured on train.

    Parameters
    ----------
    extractor : Extractor
        Changed in place, if it is one that normalises its input.
    corpus : Corpus
    n_jobs : int
    progress : callable, optional

    Returns
    -------
    dict
        For the provenance: the statistics and where they come from; empty for other extractors.

    Notes
    -----
    One pair per task and window, whatever the protocol, so that both share their embeddings. The release has constants
    for the paper's nine tasks, which hold for its window of 400 samples; for other corpora, and other windows, they are
    measured on the training speakers of the described split.
    """
    if not isinstance(extractor, StatisticsExtractor):
        return {}
    if published := corpus.find_statistics(extractor.window_samples):
        extractor.with_statistics(Statistics(*published))
        source = "published"
    else:
        train = list(corpus.utterances["path"][find_training(corpus.utterances, corpus.task)])
        extractor.with_statistics(measure_statistics(train, extractor, n_jobs=n_jobs, progress=progress))
        source = "measured on the training speakers of the described split"
    return {"log_mel_statistics": dataclasses.asdict(extractor.statistics) | {"source": source}}


def extract_corpus(
    corpus: Corpus, extractor: Extractor, *, n_jobs: int | None = None, progress: Progress | None = None
) -> np.ndarray:
    """Extract one vector per utterance of a corpus.

    Parameters
    ----------
    corpus : Corpus
    extractor : Extractor
    n_jobs : int, optional
        Workers; one per core if None.
    progress : callable, optional

    Returns
    -------
    np.ndarray [shape=(n_utterances, embedding_size)]
        float32, in the order of `corpus.utterances`. Cached by content in the user's cache folder.

    Raises
    ------
    SerabError
        If a file cannot be used.
    """
    paths, cache = list(corpus.utterances["path"]), cache_folder()
    set_statistics(extractor, corpus, n_jobs=n_jobs or 1, progress=progress)
    made = extract(paths, hash_files(paths, cache=cache), extractor, cache=cache, n_jobs=n_jobs, progress=progress)
    for reason in made.unusable.values():
        raise SerabError(reason)
    return made.matrix
