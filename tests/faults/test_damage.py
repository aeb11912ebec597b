"""Files that are not what was written: noticed, and made again; never a number that only looks right."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from faulting import KEY, assert_same_as_undisturbed, read_numbers, run
from typer.testing import CliRunner

from serab_lib.benchmark.embeddings import EmbeddingCache
from serab_lib.benchmark.results import Results
from serab_lib.cli import app
from serab_lib.core import SerabError
from serab_lib.extractors.registry import load_extractor


def find_shard(folder: Path) -> Path:
    (shard,) = (folder / "cache").rglob("*.npz")
    return shard


def truncate(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-100])


def empty(shard: Path) -> None:
    shard.write_bytes(b"")


def flip(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 4
    shard.write_bytes(content)


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


@pytest.mark.parametrize("damage", [truncate, empty, flip, pickle, bomb])
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
    # All of the archive's headers, and a sample of the numbers.
    positions = [*range(300), *range(300, len(content) - 1500, 997), *range(len(content) - 1500, len(content))]
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


def test_changed_digit_in_the_accuracies(folder: Path) -> None:
    """A digit of cells.csv that was changed: `serab table` refuses it, the next run computes that cell alone."""
    run(folder)
    path = folder / "out" / "cells.csv"
    lines = path.read_text().splitlines(keepends=True)
    assert "described" in lines[2]
    lines[2] = lines[2].replace("0.", "0.0", 1) if ",0." in lines[2] else lines[2].replace("1.000000", "0.900000", 1)
    path.write_text("".join(lines))
    result = CliRunner().invoke(app, ["table", "--results", str(folder / "out")])
    assert result.exit_code == 1
    assert "is not as it was written" in result.output
    summary = run(folder)
    assert summary.computed == [KEY]
    assert any("not as it was written" in warning for warning in summary.warnings)
    assert_same_as_undisturbed(folder)


@pytest.mark.parametrize("count", ["", "abc", "1e999"])
def test_changed_count_makes_no_other_cell_suspect(folder: Path, count: str) -> None:
    """A number of cells.csv that is gone changes how its column is read: the other cells stay finished."""
    run(folder)
    path = folder / "out" / "cells.csv"
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = re.sub(r",28,14,14,", f",{count},14,14,", lines[2])
    path.write_text("".join(lines))
    assert run(folder).computed == [KEY]
    assert_same_as_undisturbed(folder)


def test_truncated_accuracies(folder: Path) -> None:
    """A cells.csv that was cut off: what is not whole is computed again."""
    run(folder)
    path = folder / "out" / "cells.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    summary = run(folder)
    assert len(summary.computed) == 2
    assert_same_as_undisturbed(folder)


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x80 garbage", b"a,b\n1,2\n"])
@pytest.mark.parametrize("name", ["cells.csv", "provenance.json"])
def test_garbage_in_place_of_results(folder: Path, name: str, content: bytes) -> None:
    """Garbage in place of cells.csv or provenance.json: one line that says which; moved away, the run goes on."""
    run(folder)
    (folder / "out" / name).write_bytes(content)
    with pytest.raises(SerabError, match=name) as caught:
        run(folder)
    assert "move it away" in str(caught.value)
    assert "\n" not in str(caught.value)
    (folder / "out" / name).unlink()
    assert not run(folder).failures
    assert_same_as_undisturbed(folder)


@pytest.mark.parametrize("damage", [truncate, empty, flip])
def test_damaged_predictions(folder: Path, damage: Callable[[Path], None]) -> None:
    """Damaged predictions: the cell is computed again, the other is left alone."""
    run(folder)
    path = folder / "out" / "predictions" / "SAV-logmel-stats-described.parquet"
    if damage is truncate:
        path.write_bytes(path.read_bytes()[:-20])
    else:
        damage(path)
    summary = run(folder)
    assert summary.computed == [KEY]
    assert any(path.name in warning for warning in summary.warnings)
    assert_same_as_undisturbed(folder)


def test_missing_predictions(folder: Path) -> None:
    """Deleted predictions: the cell is computed again."""
    run(folder)
    (folder / "out" / "predictions" / "SAV-logmel-stats-described.parquet").unlink()
    assert run(folder).computed == [KEY]
    assert_same_as_undisturbed(folder)


def test_exported_results_are_checked(folder: Path) -> None:
    """A prediction that was changed in exported results is noticed, too."""
    run(folder)
    Results(folder / "out").export(folder / "text")
    assert not Results(folder / "text").find_damaged()
    assert len(Results(folder / "text").finished_inputs()) == 2
    (path,) = (folder / "text" / "predictions").glob("*described.csv")
    path.write_text(path.read_text().replace("anger", "fear", 1))
    assert set(Results(folder / "text").find_damaged()) == {KEY}


def test_audio_that_changed_between_runs(folder: Path) -> None:
    """A corpus whose file changed between runs: its cells are computed anew, the old ones are kept as stale."""
    run(folder)
    before = Results(folder / "out").read_cells()
    soundfile.write(folder / "data" / "savee" / "DC_a01.wav", np.full(16_000, 0.1), 16_000)
    summary = run(folder)
    assert len(summary.computed) == 2
    assert sum("computed anew" in warning for warning in summary.warnings) == 2
    stale = pd.read_csv(folder / "out" / "stale.csv").sort_values(["protocol", "classifier"], ignore_index=True)
    pd.testing.assert_frame_equal(stale, before, check_dtype=False)
    assert_same_as_undisturbed(folder)


def test_audio_that_changes_during_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes between being hashed and being read: no cell, no cache entry; the next run is right."""
    from serab_lib.extractors.logmel_stats import LogMelStats

    prepare = LogMelStats.prepare
    file = folder / "data" / "savee" / "DC_a01.wav"

    def change(self, waveform):
        soundfile.write(file, np.full(16_000, 0.1), 16_000)
        return prepare(self, waveform)

    with monkeypatch.context() as patch:
        patch.setattr(LogMelStats, "prepare", change)
        (failure,) = run(folder).failures
    assert "DC_a01.wav changed while it was read" in failure
    assert not list((folder / "cache").rglob("*.npz"))
    assert read_numbers(folder).empty
    run(folder)
    assert_same_as_undisturbed(folder)
