"""Worker processes that die, and runs that meet."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulting import (
    Deadly,
    assert_same_as_undisturbed,
    is_in_processes,
    is_wide,
    read_numbers,
    run,
    run_in_child,
    start_child,
)

from serab_lib.benchmark import embeddings
from serab_lib.benchmark.results import Results
from serab_lib.evaluation import protocol

BOTH = ("logmel-stats", "egemaps")
FIT, EMBED = "serab_lib.evaluation.protocol:try_candidates", "serab_lib.benchmark.embeddings:_embed_files"


def test_worker_killed_once_during_a_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker process killed during a fit: what it had begun is begun again."""
    with monkeypatch.context() as patch:
        patch.setattr(protocol, "try_candidates", Deadly(FIT, folder / "flag"))
        summary = run(folder, n_jobs=2)
    assert (folder / "flag").exists()
    assert not summary.failures
    assert len(summary.computed) == 2
    assert_same_as_undisturbed(folder)


def test_worker_killed_each_time_during_a_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fit that kills its worker each time: one line, the other extractor's cells are there."""
    with monkeypatch.context() as patch:
        patch.setattr(protocol, "try_candidates", Deadly(FIT, when=is_wide))
        summary = run(folder, BOTH, n_jobs=2)
    assert any("a worker process died" in record.getMessage() for record in caplog.records)
    (failure,) = summary.failures
    assert failure.startswith("SAV, logmel-stats: a worker process died")
    assert "\n" not in failure
    assert set(read_numbers(folder)["model"]) == {"egemaps"}
    summary = run(folder, BOTH)
    assert (len(summary.present), len(summary.computed)) == (2, 2)
    assert_same_as_undisturbed(folder, BOTH)


def test_worker_killed_once_during_extraction(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker process of a pool killed during extraction: its utterances are made again."""
    with monkeypatch.context() as patch:
        patch.setattr(embeddings, "_embed_files", Deadly(EMBED, folder / "flag"))
        summary = run(folder, ("egemaps",), n_jobs=2)
    assert (folder / "flag").exists()
    assert not summary.failures
    assert_same_as_undisturbed(folder, ("egemaps",))


def test_worker_killed_each_time_during_extraction(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extraction that kills its worker each time: one line, the other extractor's cells are there."""
    with monkeypatch.context() as patch:
        patch.setattr(embeddings, "_embed_files", Deadly(EMBED, when=is_in_processes))
        summary = run(folder, BOTH[::-1], n_jobs=2)
    (failure,) = summary.failures
    assert failure.startswith("SAV, egemaps: a worker process died while egemaps was at work")
    assert set(read_numbers(folder)["model"]) == {"logmel-stats"}
    run(folder, BOTH)
    assert_same_as_undisturbed(folder, BOTH)


@pytest.mark.parametrize("caches", [("cache", "cache"), ("cache", "another")], ids=["one cache", "two caches"])
def test_two_runs_on_one_folder(folder: Path, caches: tuple[str, str]) -> None:
    """Two runs on one --out at once: both finish, each cell is there once, and none is taken for stale."""
    children = [start_child(run_in_child, folder, cache) for cache in caches]
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0]
    assert len(read_numbers(folder)) == 10
    assert not (folder / "out" / "stale.csv").exists()
    assert len(Results(folder / "out").finished_inputs()) == 2
    assert_same_as_undisturbed(folder)
