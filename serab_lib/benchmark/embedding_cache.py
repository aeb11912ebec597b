"""Embeddings on disk, by content: written whole, checked when read, never needed for a result."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serab_lib.core import SerabError, digest, remove_leftovers, replaced
from serab_lib.extractors.base import Extractor

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
