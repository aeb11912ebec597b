import io
import re
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from faulting import BOTH, assert_undisturbed, count_cached, fill, mounted, read_numbers, run
from making import one_line

from serab_lib.benchmark import embeddings, grid
from serab_lib.extractors import logmel_stats, registry


def pickle(shard: Path) -> None:
    """An array that could run code when it is read."""
    np.savez(shard, hashes=np.array([{"a": 1}], dtype=object), embeddings=np.zeros((1, 128)))


def bomb(shard: Path) -> None:
    """A header that promises more memory than there is."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**6)})
    with zipfile.ZipFile(shard, "w") as archive:
        for name in ("hashes.npy", "embeddings.npy"):
            archive.writestr(name, header.getvalue())


def forget(memory: Path) -> None:
    """Hashes that are cut off in the memory of hashes."""
    memory.write_text(re.sub(r'": "[0-9a-f]{8}', '": "', memory.read_text()))


@pytest.mark.parametrize(("damage", "name"), [(pickle, "*.npz"), (bomb, "*.npz"), (forget, "fingerprints/*")])
def test_a_damaged_cache_or_memory_of_hashes_is_made_again(folder, damage, name):
    run(folder, out="other")
    for file in (folder / "cache").rglob(name):
        damage(file)
    assert not run(folder).failures
    assert count_cached(folder) == (0 if name == "*.npz" else 56)
    assert_undisturbed(folder)


def test_of_any_flipped_bit_of_embeddings_what_is_read_is_what_was_written_or_nothing(folder):
    run(folder)
    (shard,) = (folder / "cache").rglob("*.npz")
    content = shard.read_bytes()
    with np.load(shard) as arrays:
        written = dict(zip(arrays["hashes"].astype(str), arrays["embeddings"], strict=True))
    cache = embeddings.EmbeddingCache(folder / "cache", registry.load_extractor("logmel-stats"))
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


def test_audio_that_changes_between_hash_and_reading_makes_no_cell(folder, monkeypatch):
    hash_files = grid.hash_files

    def change(*arguments, **options):
        hashes = hash_files(*arguments, **options)
        soundfile.write(folder / "data" / "savee" / "DC_a01.wav", np.full(16_000, 0.1), 16_000)
        return hashes

    with monkeypatch.context() as patch:
        patch.setattr(grid, "hash_files", change)
        (failure,) = run(folder).failures
    assert "not what was hashed before" in failure
    assert not list((folder / "cache").rglob("*.npz"))
    assert read_numbers(folder).empty
    run(folder)
    assert_undisturbed(folder)


@pytest.mark.parametrize("value", [np.nan, pytest.param(-np.inf, marks=pytest.mark.nightly)])
def test_embeddings_that_are_no_numbers_make_no_cell_and_others_stay(folder, monkeypatch, value):
    encode, n_left = logmel_stats.LogMelStats.encode, [20]

    def spoil(self, prepared):
        vectors = encode(self, prepared).clone()
        n_left[0] -= len(prepared)
        if n_left[0] < 0 <= n_left[0] + len(prepared):
            vectors[0, 7] = value
        return vectors

    with monkeypatch.context() as patch:
        patch.setattr(logmel_stats.LogMelStats, "encode", spoil)
        (failure,) = run(folder, BOTH).failures
    assert "not finite" in failure and "\n" not in failure
    assert set(read_numbers(folder)["model"]) == {"egemaps"}
    assert all(np.isfinite(np.load(shard)["embeddings"]).all() for shard in (folder / "cache").rglob("*.npz"))
    run(folder, BOTH)
    assert_undisturbed(folder, BOTH)


@pytest.mark.parametrize(("pattern", "said"), [("*", "serab check savee"), ("*_d*", "cannot be learnt")])
def test_where_all_audio_or_that_of_a_class_is_damaged_there_are_no_numbers(folder, pattern, said):
    for file in (folder / "data" / "savee").glob(pattern):
        file.write_text("no audio of " + file.stem)
    (failure,) = run(folder).failures
    assert said in failure and "\n" not in failure
    assert read_numbers(folder).empty


def test_silence_and_a_single_sample_have_finite_numbers(folder):
    for name, n_samples in (("DC_a01", 16_000), ("JE_a01", 1)):
        soundfile.write(folder / "data" / "savee" / f"{name}.wav", np.zeros(n_samples), 16_000)
    assert not run(folder, BOTH).failures
    assert np.isfinite(read_numbers(folder)["test_accuracy"]).all()


def test_a_full_disk_under_results_is_one_line_and_the_same_command_goes_on(folder):
    with mounted(folder / "out", "256k") as out:
        run(folder, protocols=("described",))
        before = (out / "cells.csv").read_bytes()
        filling = fill(out)
        with one_line("No space left"):
            run(folder)
        assert (out / "cells.csv").read_bytes() == before
        filling.unlink()
        summary = run(folder)
        assert (len(summary.present), len(summary.computed)) == (1, 1)
        assert_undisturbed(folder)


def test_a_full_disk_under_the_cache_is_a_warning(folder):
    with mounted(folder / "cache", "64k") as cache:
        fill(cache)
        summary = run(folder)
        assert any("not kept" in warning and "No space left" in warning for warning in summary.warnings)
        assert_undisturbed(folder)


@pytest.mark.parametrize("filled", [True, False])
def test_a_read_only_cache_is_read_if_filled_and_a_warning_if_not(folder, filled):
    with mounted(folder / "cache", "4m") as cache:
        if filled:
            run(folder, out="other")
        subprocess.run(["mount", "-o", "remount,ro", str(cache)], check=True)
        warnings = run(folder).warnings
        assert any("not kept" in each and "Read-only" in each for each in warnings) == (not filled)
        assert count_cached(folder) == (56 if filled else 0)
        assert_undisturbed(folder)


def test_read_only_results_are_one_line_before_any_work_is_done(folder):
    with mounted(folder / "out", "4m") as out:
        run(folder, protocols=("described",))
        before = read_numbers(folder)
        subprocess.run(["mount", "-o", "remount,ro", str(out)], check=True)
        with one_line("--out"):
            run(folder)
        assert read_numbers(folder).equals(before)
