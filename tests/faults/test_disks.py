"""Disks that are full and folders that cannot be written."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest
from asserting import one_line
from faulting import KEY, assert_same_as_undisturbed, fill, mounted, read_numbers, run

from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError


def test_full_disk_under_results(folder: Path) -> None:
    """A full disk under --out: one line; the finished cells stay, and the same command goes on."""
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
        assert_same_as_undisturbed(folder)


@pytest.mark.parametrize("name", ["*.parquet", "provenance.json", "cells.csv"])
def test_disk_that_fills_up_while_results_are_written(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A disk that fills up in the middle of a cell's files: the cell is not there, or there whole."""
    run(folder, protocols=("described",))
    with monkeypatch.context() as patch:
        replace = os.replace

        def full(source: str | Path, target: str | Path) -> None:
            if Path(target).match(name):
                raise OSError(errno.ENOSPC, "No space left on device")
            replace(source, target)

        patch.setattr("os.replace", full)
        with pytest.raises(SerabError, match="No space left"):
            run(folder)
    assert set(Results(folder / "out").finished_inputs()) == {KEY}
    assert not [file for file in (folder / "out").rglob(".*") if file.name != ".lock"]
    run(folder)
    assert_same_as_undisturbed(folder)


def test_full_disk_under_the_cache(folder: Path) -> None:
    """A full disk under the cache: a warning, and the numbers all the same."""
    with mounted(folder / "cache", "64k") as cache:
        fill(cache)
        summary = run(folder)
        assert any("not kept" in warning and "No space left" in warning for warning in summary.warnings)
        assert_same_as_undisturbed(folder)


@pytest.mark.parametrize("filled", [True, False])
def test_read_only_cache(folder: Path, filled: bool) -> None:
    """A read-only cache is read if it holds the embeddings; if not: a warning, and the numbers all the same."""
    with mounted(folder / "cache", "4m") as cache:
        if filled:
            run(folder, out="other")
        subprocess.run(["mount", "-o", "remount,ro", str(cache)], check=True)
        warnings = run(folder).warnings
        assert any("not kept" in each and "Read-only" in each for each in warnings) == (not filled)
        n_read = Results(folder / "out").read_provenance()["/".join(KEY)]["embeddings_from_cache"]
        assert n_read == (56 if filled else 0)
        assert_same_as_undisturbed(folder)


def test_read_only_results(folder: Path) -> None:
    """A read-only folder of results: one line before any work is done, and nothing of it changes."""
    with mounted(folder / "out", "4m") as out:
        run(folder, protocols=("described",))
        before = read_numbers(folder)
        subprocess.run(["mount", "-o", "remount,ro", str(out)], check=True)
        with pytest.raises(SerabError, match="--out"):
            run(folder)
        assert read_numbers(folder).equals(before)
