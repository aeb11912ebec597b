"""Worker processes that die, and runs that meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

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
from serab_lib.evaluation import protocol

BOTH = ("logmel-stats", "egemaps")
FIT, EMBED = "serab_lib.evaluation.protocol:try_candidates", "serab_lib.benchmark.embeddings:_embed_files"


@pytest.mark.parametrize(
    ("module", "function", "model"),
    [(protocol, FIT, "logmel-stats"), (embeddings, EMBED, "egemaps")],
    ids=["fit", "extraction"],
)
def test_worker_killed_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, function: str, model: str
) -> None:
    """A worker process killed during a fit or an extraction: what it had begun is begun again."""
    with monkeypatch.context() as patch:
        patch.setattr(module, function.split(":")[1], Deadly(function, folder / "flag"))
        summary = run(folder, (model,), n_jobs=2)
    assert (folder / "flag").exists()
    assert (summary.failures, len(summary.computed)) == ([], 2)
    assert_same_as_undisturbed(folder, (model,))


@pytest.mark.parametrize(
    ("module", "function", "when", "model"),
    [(protocol, FIT, is_wide, "logmel-stats"), (embeddings, EMBED, is_in_processes, "egemaps")],
    ids=["fit", "extraction"],
)
def test_worker_killed_each_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, function: str, when: Callable, model: str
) -> None:
    """A fit or an extraction that kills its worker each time: one line, the other extractor's cells are there."""
    with monkeypatch.context() as patch:
        patch.setattr(module, function.split(":")[1], Deadly(function, when=when))
        summary = run(folder, (model, *({*BOTH} - {model})), n_jobs=2)
    (failure,) = summary.failures
    assert failure.startswith(f"SAV, {model}: a worker process died") and "\n" not in failure
    assert set(read_numbers(folder)["model"]) == {*BOTH} - {model}
    summary = run(folder, BOTH)
    assert (len(summary.present), len(summary.computed)) == (2, 2)
    assert_same_as_undisturbed(folder, BOTH)


def test_two_runs_on_one_folder(folder: Path) -> None:
    """Two runs on one --out at once, each with a cache of its own: each cell is there once, and none is stale."""
    children = [start_child(run_in_child, folder, cache) for cache in ("cache", "another")]
    for child in children:
        child.join(120)
    assert [child.exitcode for child in children] == [0, 0]
    assert len(read_numbers(folder)) == 10
    assert not (folder / "out" / "stale.csv").exists()
    assert_same_as_undisturbed(folder)
