"""A run that is killed at any moment: the same command goes on, and the numbers are those of a run left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from faulting import (
    KEY,
    assert_same_as_undisturbed,
    call_in_child,
    die_extracting,
    die_fitting,
    die_writing,
    read_numbers,
    run,
)
from making import write_savee

from serab_lib.benchmark.results import Results


def test_killed_during_extraction(tmp_path: Path) -> None:
    """Killed during extraction: what was made is not made again."""
    write_savee(tmp_path / "data", n_takes=6)
    assert call_in_child(die_extracting, tmp_path, 150) == -9
    assert read_numbers(tmp_path).empty
    run(tmp_path)
    origin = Results(tmp_path / "out").read_provenance()["/".join(KEY)]
    assert 100 <= origin["embeddings_from_cache"] < 168
    assert_same_as_undisturbed(tmp_path)


def test_killed_during_a_fit(folder: Path) -> None:
    """Killed during a fit: no half of a cell is there."""
    assert call_in_child(die_fitting, folder, "RF") == -9
    assert read_numbers(folder).empty
    assert len(run(folder).computed) == 2
    assert_same_as_undisturbed(folder)


@pytest.mark.parametrize("moment", ["in", "after"])
@pytest.mark.parametrize("pattern", ["*.parquet", "provenance.json", "cells.csv"])
def test_killed_while_a_result_is_written(folder: Path, pattern: str, moment: str) -> None:
    """Killed while the second cell's predictions, provenance or accuracies are written: the first cell stays."""
    assert call_in_child(die_writing, folder, pattern, moment, 1) == -9
    n_there = len(Results(folder / "out").finished_inputs())
    assert n_there == (2 if (pattern, moment) == ("cells.csv", "after") else 1)
    summary = run(folder)
    assert (len(summary.present), len(summary.computed)) == (n_there, 2 - n_there)
    if n_there == 1:
        assert {file.name for file in (folder / "out").rglob(".*")} <= {".lock"}
    assert_same_as_undisturbed(folder)
    assert not (folder / "out" / "stale.csv").exists()


@pytest.mark.parametrize("moment", ["in", "after"])
def test_killed_while_embeddings_are_written(folder: Path, moment: str) -> None:
    """Killed while embeddings are written to the cache: a half shard is never read."""
    assert call_in_child(die_writing, folder, "*.npz", moment) == -9
    run(folder)
    origin = Results(folder / "out").read_provenance()["/".join(KEY)]
    assert origin["embeddings_from_cache"] == (56 if moment == "after" else 0)
    assert_same_as_undisturbed(folder)


@pytest.mark.parametrize("pattern", ["stale.csv", "*.parquet", "provenance.json", "cells.csv"])
def test_killed_while_a_cell_is_replaced(folder: Path, pattern: str) -> None:
    """Killed while the cell of changed audio replaces the old one: old accuracies never pass for new ones."""
    run(folder)
    before = Results(folder / "out").read_cells()
    soundfile.write(folder / "data" / "savee" / "DC_a01.wav", np.full(16_000, 0.1), 16_000)
    assert call_in_child(die_writing, folder, pattern, "after") == -9
    summary = run(folder)
    # What is replaced leaves the file of accuracies first, and it was killed there at the latest.
    assert not summary.present and len(summary.computed) == 2
    assert_same_as_undisturbed(folder)
    stale = pd.read_csv(folder / "out" / "stale.csv").sort_values(["protocol", "classifier"], ignore_index=True)
    pd.testing.assert_frame_equal(stale, before, check_dtype=False)
