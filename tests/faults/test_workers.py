from functools import partial

import pytest
from faulting import BOTH, Deadly, assert_undisturbed, is_in_processes, is_wide, read_numbers, run, start_child

FIT, EMBED = "serab_lib.evaluation.protocol:try_candidates", "serab_lib.benchmark.embeddings:_embed_files"
fit_or_extraction = pytest.mark.parametrize(
    ("function", "model", "when"),
    [(FIT, "logmel-stats", is_wide), (EMBED, "egemaps", is_in_processes)],
    ids=["fit", "extraction"],
)


@fit_or_extraction
def test_what_a_worker_killed_once_had_begun_is_begun_again(folder, monkeypatch, function, model, when):
    with monkeypatch.context() as patch:
        patch.setattr(function.replace(":", "."), Deadly(function, folder / "flag"))
        summary = run(folder, (model,), n_jobs=2)
    assert (folder / "flag").exists()
    assert (summary.failures, len(summary.computed)) == ([], 2)
    assert_undisturbed(folder, (model,))


@fit_or_extraction
def test_a_worker_killed_each_time_leaves_one_line_and_the_other_cells(folder, monkeypatch, function, model, when):
    (other,) = {*BOTH} - {model}
    with monkeypatch.context() as patch:
        patch.setattr(function.replace(":", "."), Deadly(function, when=when))
        (failure,) = run(folder, (model, other), n_jobs=2).failures
    assert failure.startswith(f"SAV, {model}: a worker process died") and "\n" not in failure
    assert set(read_numbers(folder)["model"]) == {other}
    summary = run(folder, BOTH)
    assert (len(summary.present), len(summary.computed)) == (2, 2)
    assert_undisturbed(folder, BOTH)


def test_of_two_runs_on_one_folder_each_cell_is_there_once(folder):
    children = [start_child(partial(run, cache=cache), folder) for cache in ("cache", "another")]
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0]
    assert len(read_numbers(folder)) == 10
    assert not (folder / "out" / "stale.csv").exists()
    assert_undisturbed(folder)
