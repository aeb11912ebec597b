"""From audio files to one matrix of embeddings: in parallel, in batches, cached by content; log-mel statistics."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import multiprocessing
import os
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from joblib.externals.loky import ProcessPoolExecutor

from serab_lib.audio import AudioError, load_audio
from serab_lib.core import Progress, SerabError, cache_folder, digest, hash_files, remove_leftovers, replaced
from serab_lib.corpora.corpus import Corpus
from serab_lib.corpora.splits import find_training
from serab_lib.extractors.base import Extractor, Statistics, StatisticsExtractor, length_sorted_batches

logger = logging.getLogger(__name__)

# Embeddings in memory before they are written to the cache: what an interruption can lose.
_UTTERANCES_PER_SHARD = 128


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of a list of files."""

    matrix: np.ndarray  # (n_files, embedding_size): float32; NaN in the rows of files that could not be used
    unusable: dict[int, str]  # row of such a file to the reason
    sample_rates: dict[str, int]  # rate in Hz to number of files, the rarest last; without headers that cannot be read
    n_cached: int  # rows that were read from the cache
    not_kept: str | None  # why the other rows could not be written to the cache, if they could not
    provenance: dict[str, Any] = field(default_factory=dict)  # how they were made, as far as it is to be kept


class EmbeddingCache:
    """Embeddings on disk, by content of the audio, under one extractor with one set of statistics.

    A shard is a zip, which carries checksums of what is in it. One that is damaged is left aside and what it held is
    made again; a folder that cannot be written, or a full disk, costs time and no result.
    """

    def __init__(self, cache: Path, extractor: Extractor) -> None:
        self.folder = cache / "embeddings" / f"{extractor.name}-{digest(extractor.identify())[:16]}"
        self.problem: str | None = None

    def read(self, hashes: Sequence[str]) -> dict[str, np.ndarray]:
        """Read what is there of the given contents: hash to vector."""
        wanted, found = set(hashes), {}
        for shard in sorted(self.folder.glob("*.npz")):
            try:
                with np.load(shard, allow_pickle=False) as content:
                    vectors = zip(content["hashes"].astype(str), content["embeddings"], strict=True)
                    found |= {name: vector for name, vector in vectors if name in wanted}
            except Exception as error:  # a damaged archive raises nearly anything
                logger.warning("%s cannot be read and is made again (%s)", shard, type(error).__name__)
                if not isinstance(error, OSError):  # the disk may be away for a while
                    with contextlib.suppress(OSError):
                        shard.unlink()
        return found

    def write(self, vectors: dict[str, np.ndarray]) -> None:
        """Add some embeddings, where the folder can be written; `problem` says why it cannot."""
        if not vectors or self.problem:
            return
        names, matrix = np.array(list(vectors), dtype="S64"), np.stack(list(vectors.values()))
        try:
            with replaced(self.folder / f"{uuid.uuid4().hex}.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, hashes=names, embeddings=matrix)
            remove_leftovers(self.folder)
        except SerabError as error:
            self.problem = f"embeddings are not kept for the next run: {error}"


def extract_corpus(
    corpus: Corpus,
    extractor: Extractor,
    *,
    hashes: Sequence[str] | None = None,
    cache: Path | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Embeddings:
    """Make one embedding for each utterance of a corpus, in the order of `corpus.utterances`; options of `extract`.

    An extractor that normalises its input is given one pair of statistics per task and window, whatever the protocol,
    so that all share their embeddings. The release has constants for the paper's nine tasks, which hold for its window
    of 400 samples; for other corpora, and other windows, they are measured on the training speakers of the described
    split.
    """
    utterances, options = corpus.utterances, {"n_jobs": n_jobs, "progress": progress}
    provenance: dict[str, Any] = {}
    if isinstance(extractor, StatisticsExtractor):
        if published := corpus.find_statistics(extractor.window_samples):
            statistics, source = Statistics(*published), "published"
        else:
            train = list(utterances["path"][find_training(utterances, corpus.task)])
            statistics = measure_statistics(train, extractor, **options)
            source = "measured on the training speakers of the described split"
        extractor.with_statistics(statistics)
        provenance["log_mel_statistics"] = dataclasses.asdict(statistics) | {"source": source}
    made = extract(list(utterances["path"]), extractor, hashes=hashes, cache=cache, **options)
    return dataclasses.replace(made, provenance=provenance)


def extract(
    paths: Sequence[str],
    extractor: Extractor,
    *,
    hashes: Sequence[str] | None = None,
    cache: Path | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Embeddings:
    """Make the embeddings of files, reading from the cache what is there.

    `hashes` are the files' contents, where they are known. A cache that cannot be written is read all the same. Audio
    is streamed: what is held at a time is a few batches for each of `n_jobs` workers, one per core if None. What was
    made is in the cache when the work is interrupted, and the next call goes on from there. SerabError if an embedding
    is not finite, which no audio file should cause, or a worker process dies.
    """
    cache = cache or cache_folder()
    hashes = hashes or hash_files(paths, cache=cache)
    headers = [_read_header(path) for path in paths]
    store = EmbeddingCache(cache, extractor)
    vectors: dict[str, np.ndarray | str] = dict(store.read(hashes))
    todo = {
        content: (path, int(n_samples / max(rate, 1) * extractor.sample_rate) // 160)
        for content, path, (n_samples, rate) in zip(hashes, paths, headers, strict=True)
        if content not in vectors
    }
    _embed_missing(todo, extractor, store, vectors, n_jobs, progress)
    unusable = {row: vectors[content] for row, content in enumerate(hashes) if isinstance(vectors[content], str)}
    nothing = np.full(extractor.embedding_size, np.nan, dtype=np.float32)
    return Embeddings(
        matrix=np.stack([nothing if row in unusable else vectors[content] for row, content in enumerate(hashes)]),
        unusable=unusable,
        sample_rates=dict(Counter(str(rate) for _, rate in headers if rate).most_common()),
        n_cached=sum(content not in todo for content in hashes),
        not_kept=store.problem,
    )


def _read_header(path: str) -> tuple[int, int]:
    """Samples and rate of a file; zeros where it has no header that can be read."""
    try:
        info = soundfile.info(os.fsencode(path))
    except (soundfile.LibsndfileError, OSError, RuntimeError):
        return 0, 0
    return info.frames, info.samplerate


def _embed_missing(
    todo: Mapping[str, tuple[str, int]],
    extractor: Extractor,
    store: EmbeddingCache,
    vectors: dict[str, np.ndarray | str],
    n_jobs: int | None,
    progress: Progress | None,
) -> None:
    """Add to `vectors`, and in shards to the cache, what the file of each content gives, or why it gives nothing."""
    fresh: dict[str, np.ndarray] = {}
    try:
        for n_done, (content, vector) in enumerate(_embed_in_batches(todo, extractor, n_jobs), start=1):
            if not isinstance(vector, str):
                if not np.isfinite(vector).all():
                    raise SerabError(
                        f"{todo[content][0]}: {extractor.name} gave numbers that are not finite: "
                        "check the file and the checkpoint"
                    )
                fresh[content] = vector
            vectors[content] = vector
            if progress:
                progress(f"embeddings by {extractor.title}", n_done, len(todo))
            if len(fresh) >= _UTTERANCES_PER_SHARD:
                store.write(fresh)
                fresh = {}
    finally:
        store.write(fresh)


def _embed_in_batches(
    todo: Mapping[str, tuple[str, int]], extractor: Extractor, n_jobs: int | None
) -> Iterator[tuple[str, np.ndarray | str]]:
    """Yield each content with the vector of its file, or why there is none; frames only order the work."""
    contents, paths, n_frames = list(todo), [path for path, _ in todo.values()], [n for _, n in todo.values()]
    on_cpu = extractor.device.type == "cpu"
    pending: deque[tuple[list[int], Future]] = deque()
    with _workers(extractor, n_jobs) as (pool, n_workers):
        batches = length_sorted_batches(n_frames, extractor.max_frames)
        while batches or pending:
            # A short queue keeps the workers busy and the memory bounded.
            while batches and len(pending) <= 2 * n_workers:
                batch = batches.pop(0)
                pending.append((batch, pool.submit(_embed_files, extractor, [paths[i] for i in batch], on_cpu)))
            batch, future = pending.popleft()
            outcome = future.result() if on_cpu else _encode(extractor, future.result())
            yield from zip([contents[i] for i in batch], outcome, strict=True)


def _embed_files(extractor: Extractor, paths: Sequence[str], encode: bool) -> list[np.ndarray | torch.Tensor | str]:
    """In a worker: vectors on the CPU; for other devices what the main thread will encode."""
    prepared = [_prepare(extractor, path) for path in paths]
    return _encode(extractor, prepared) if encode else prepared


def _prepare(extractor: Extractor, path: str) -> torch.Tensor | str:
    """What an extractor makes of a file before it encodes batches, or why the file cannot be used."""
    try:
        return extractor.prepare(load_audio(path, sample_rate=extractor.sample_rate))
    except AudioError as error:
        return str(error)


def _encode(extractor: Extractor, prepared: list[torch.Tensor | str]) -> list[np.ndarray | str]:
    usable = [each for each in prepared if not isinstance(each, str)]
    with torch.inference_mode():
        vectors = iter(extractor.encode(usable).numpy() if usable else ())
    return [each if isinstance(each, str) else next(vectors) for each in prepared]


def measure_statistics(
    paths: Sequence[str], extractor: Extractor, *, n_jobs: int | None = None, progress: Progress | None = None
) -> Statistics:
    """Average the means and the standard deviations of utterances' log-mel spectrograms, as the release does."""
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
    spectrogram = _prepare(extractor, path)
    return None if isinstance(spectrogram, str) else (float(spectrogram.mean()), float(spectrogram.std()))


@contextlib.contextmanager
def _workers(extractor: Extractor, n_jobs: int | None) -> Iterator[tuple[Executor, int]]:
    """Threads, or processes where threads would wait for each other; each with one computing thread."""
    n_workers = n_jobs or os.cpu_count() or 1
    # A worker of a cluster may start no processes of its own.
    in_processes = extractor.needs_processes and n_workers > 1 and not multiprocessing.current_process().daemon
    pool = (_process_pool if in_processes else _thread_pool)(n_workers)
    try:
        yield pool, n_workers
        if not in_processes:
            pool.shutdown()
    except BaseException as error:
        _process_pool.cache_clear()
        pool.shutdown(wait=False, **{"kill_workers" if in_processes else "cancel_futures": True})
        if isinstance(error, BrokenProcessPool):
            raise SerabError(
                f"a worker process died while {extractor.name} was at work (killed, or out of memory): the same "
                "command goes on from there, with fewer --jobs it needs less memory"
            ) from error
        raise


_ONE_THREAD: dict[str, Any] = {"initializer": torch.set_num_threads, "initargs": (1,)}
_thread_pool = functools.partial(ThreadPoolExecutor, **_ONE_THREAD)
# Kept from one task to the next, since a worker takes seconds to start; it ends after a minute of idleness.
_process_pool = functools.lru_cache(maxsize=1)(functools.partial(ProcessPoolExecutor, timeout=60, **_ONE_THREAD))
