"""Files that are not what was written: noticed, and made again; never a number that only looks right."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from asserting import one_line
from faulting import KEY, assert_same_as_undisturbed, read_numbers, run

from serab_lib.benchmark import grid
from serab_lib.benchmark.embeddings import EmbeddingCache
from serab_lib.benchmark.results import Results
from serab_lib.extractors.registry import load_extractor


def find_shard(folder: Path) -> Path:
    (shard,) = (folder / "cache").rglob("*.npz")
    return shard


def pickle(shard: Path) -> None:
    """An array that could run code when it is read."""
    np.savez(shard, hashes=np.array([{"a": 1}], dtype=object), embeddings=np.zeros((1, 128)))


def bomb(shard: Path) -> None:
    """A header that promises more memory than there is."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**6)})
    with zipfile.ZipFile(shard, "w") as archive:
        archive.writestr("hashes.npy", header.getvalue())
        archive.writestr("embeddings.npy", header.getvalue())


@pytest.mark.parametrize("damage", [pickle, bomb])
def test_damaged_embeddings(folder: Path, damage: Callable[[Path], None]) -> None:
    """A damaged cache entry is made again."""
    run(folder, out="other")
    damage(find_shard(folder))
    assert not run(folder).failures
    assert Results(folder / "out").read_provenance()["/".join(KEY)]["embeddings_from_cache"] == 0
    assert_same_as_undisturbed(folder)


def test_any_flipped_byte_of_embeddings(folder: Path) -> None:
    """A flipped bit anywhere in a cache entry: what is read is what was written, or nothing."""
    run(folder)
    shard = find_shard(folder)
    content = shard.read_bytes()
    with np.load(shard) as arrays:
        written = dict(zip(arrays["hashes"].astype(str), arrays["embeddings"], strict=True))
    cache = EmbeddingCache(folder / "cache", load_extractor("logmel-stats"))
    n_noticed = 0
    # A sample of the archive's headers and of the numbers.
    positions = [*range(0, 300, 7), *range(300, len(content) - 1500, 997), *range(len(content) - 1500, len(content), 7)]
    for position in positions:
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        shard.write_bytes(changed)
        found = cache.read(list(written))
        n_noticed += not found
        for name, vector in found.items():
            np.testing.assert_array_equal(vector, written[name], err_msg=f"byte {position}")
    assert n_noticed > len(positions) / 4


def test_damaged_memory_of_hashes(folder: Path) -> None:
    """A damaged memory of content hashes is made anew."""
    run(folder, out="other")
    for file in (folder / "cache" / "fingerprints").iterdir():
        file.write_text(re.sub(r'": "[0-9a-f]{8}', '": "', file.read_text()))
    assert not run(folder).failures
    assert_same_as_undisturbed(folder)


def test_garbage_in_place_of_results(folder: Path) -> None:
    """Garbage in place of results: one line that says which; moved away, the run goes on."""
    run(folder)
    file = folder / "out" / "provenance.json"
    file.write_bytes(b"\x00\xff\x80 garbage")
    with one_line("provenance.json.*move it away"):
        run(folder)
    file.unlink()
    assert not run(folder).failures
    assert_same_as_undisturbed(folder)


def test_audio_that_changes_before_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes between being hashed and being read: no cell, no cache entry; the next run is right."""
    file = folder / "data" / "savee" / "DC_a01.wav"
    hash_files = grid.hash_files

    def change(*arguments, **options):
        hashes = hash_files(*arguments, **options)
        soundfile.write(file, np.full(16_000, 0.1), 16_000)
        return hashes

    with monkeypatch.context() as patch:
        patch.setattr(grid, "hash_files", change)
        (failure,) = run(folder).failures
    assert "not what was hashed before" in failure
    assert not list((folder / "cache").rglob("*.npz"))
    assert read_numbers(folder).empty
    run(folder)
    assert_same_as_undisturbed(folder)
