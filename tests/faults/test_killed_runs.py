import faulting
import numpy as np
import pandas as pd
import pytest
import soundfile
from faulting import assert_undisturbed, call_in_child, count_cached, read_numbers, run
from making import write_savee

from serab_lib.benchmark.results import Results

both_moments = pytest.mark.parametrize("moment", ["in", "after"])


def test_killed_during_extraction_what_was_made_is_not_made_again(tmp_path):
    write_savee(tmp_path / "data", n_takes=6)
    assert call_in_child(faulting.die_extracting, tmp_path, 150) == -9
    assert read_numbers(tmp_path).empty
    run(tmp_path)
    assert 100 <= count_cached(tmp_path) < 168
    assert_undisturbed(tmp_path)


def test_killed_during_a_fit_no_half_of_a_cell_is_there(folder):
    assert call_in_child(faulting.die_fitting, folder, "RF") == -9
    assert read_numbers(folder).empty
    assert len(run(folder).computed) == 2
    assert_undisturbed(folder)


@both_moments
@pytest.mark.parametrize("pattern", ["SAV-*.csv", "provenance.json", "cells.csv"])
def test_killed_while_the_second_cell_is_written_the_first_stays(folder, pattern, moment):
    assert call_in_child(faulting.die_writing, folder, pattern, moment, 1) == -9
    n_there = len(Results(folder / "out").finished_inputs())
    assert n_there == (2 if (pattern, moment) == ("cells.csv", "after") else 1)
    summary = run(folder)
    assert (len(summary.present), len(summary.computed)) == (n_there, 2 - n_there)
    if n_there == 1:
        assert {file.name for file in (folder / "out").rglob(".*")} <= {".lock"}
    assert_undisturbed(folder)
    assert not (folder / "out" / "stale.csv").exists()


@both_moments
def test_killed_while_embeddings_are_written_a_half_shard_is_never_read(folder, moment):
    assert call_in_child(faulting.die_writing, folder, "*.npz", moment) == -9
    run(folder)
    assert count_cached(folder) == (56 if moment == "after" else 0)
    assert_undisturbed(folder)


@pytest.mark.parametrize("pattern", ["stale.csv", "SAV-*.csv", "provenance.json", "cells.csv"])
def test_killed_while_a_cell_is_replaced_old_accuracies_never_pass_for_new_ones(folder, pattern):
    run(folder)
    before = Results(folder / "out").read_cells()
    soundfile.write(folder / "data" / "savee" / "DC_a01.wav", np.full(16_000, 0.1), 16_000)
    assert call_in_child(faulting.die_writing, folder, pattern, "after") == -9
    summary = run(folder)
    # What is replaced leaves the file of accuracies first, and it was killed there at the latest.
    assert not summary.present and len(summary.computed) == 2
    assert_undisturbed(folder)
    stale = pd.read_csv(folder / "out" / "stale.csv").sort_values(["protocol", "classifier"], ignore_index=True)
    pd.testing.assert_frame_equal(stale, before, check_dtype=False)
