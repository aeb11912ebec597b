"""Where a notebook finds its corpora and its results, in each of the book's three profiles."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError, cache_folder, unknown_name
from serab_lib.corpora.corpus import Corpus, find_corpus, find_data, find_root
from serab_lib.corpora.task import PAPER_TASKS, Task, get_task
from serab_lib.extractors.registry import EXTRACTORS

PROFILES = {
    "demo": "everything computed now, on nine small corpora spoken by eSpeak NG",
    "published": "the paper's tables beside the measurements that the repository holds",
    "paper": "everything recomputed from the real corpora",
}
_APART = ("transfer.csv", "pretraining/ravdess.csv")  # what chapters read beside the cells
# What the demo profile runs: extractors that need no weights.
DEMO_MODELS = tuple(name for name, entry in EXTRACTORS.items() if entry.in_demo)


@dataclass(frozen=True)
class Profile:
    """The corpora and results of one profile."""

    name: str  # a key of `PROFILES`
    data: Path  # the folder of the corpora to work on
    results: Results  # finished cells of the grid
    measured: Results  # what chapters conclude from, on real recordings, in any profile; there may be none

    @property
    def synthetic(self) -> bool:
        """Whether the grid's numbers come from synthetic corpora."""
        return self.name == "demo"

    @property
    def origin(self) -> str:
        """What the grid's numbers come from, for captions."""
        return "SYNTHETIC corpora, not people." if self.synthetic else "Measured on real recordings."

    def find_corpus(self, task: str | Task) -> Corpus:
        """Find a corpus: the real one in the profile `paper` where it is at hand, else one that is spoken here."""
        task = get_task(task)
        data = self._choose_data(task)
        return find_corpus(task, _speak([task]) if data == _spoken() else data)

    def _choose_data(self, task: Task) -> Path:
        return self.data if find_root(task, self.data).is_dir() else _spoken()

    def read_cells(self) -> pd.DataFrame:
        """Read the finished cells of the grid; the demo profile computes first what is missing."""
        if self.synthetic:
            _speak(get_task(task) for task in PAPER_TASKS)
            _run(PAPER_TASKS, DEMO_MODELS, out=self.results.folder, data=self.data, protocols=("released", "described"))
        cells = self.results.read_cells()
        if cells.empty:
            raise SerabError(
                f"there are no results in {self.results.folder}: make some with `serab run`, or set SERAB_RESULTS"
            )
        return cells

    def run(self, task: str, models: Sequence[str]) -> pd.DataFrame:
        """Compute a task's cells under `described`, also of a corpus and of extractors of one's own, and read them."""
        code, out = get_task(task).code, cache_folder() / "demo" / "own-results"
        done = _run([task], models, out=out, data=self._choose_data(get_task(task)))
        cells = Results(out).read_cells()
        return cells[(cells["task"] == code) & cells["model"].isin([model for _, model, _ in done])]

    def read_measured(self) -> pd.DataFrame:
        """Read the cells that were measured on real recordings."""
        cells = self.measured.read_cells()
        return cells[~cells["synthetic"].astype(bool)].reset_index(drop=True)

    def show_origin(self, corpus: Corpus | None = None) -> None:
        """Say at the head of a page that its numbers are synthetic, if those of the grid, or of a corpus, are."""
        from serab_lib.book.show import show_banner

        if corpus.synthetic if corpus else self.synthetic:
            show_banner(
                "Synthetic corpora",
                "The numbers on this page come from corpora spoken by eSpeak NG, but for those that are said to be "
                "measured on real recordings. They test the pipeline and say nothing about people, about the "
                "extractors, or about the paper.",
            )


def open_profile(name: str) -> Profile:
    """Open a profile.

    ``demo`` speaks small corpora into the cache folder and computes on them. ``published`` reads the committed results
    and, where a chapter needs sound, works on a synthetic corpus. ``paper`` works on the corpora in SERAB_DATA. Results
    are in SERAB_RESULTS, else in ``results`` here or in a folder above; those of the demo are in the cache folder.
    Where SERAB_RESULTS has cells alone, it is shown in the grid, and chapters conclude from the published results.
    """
    if name not in PROFILES:
        raise unknown_name("profile", name, PROFILES, listing="serab book --help")
    results = Results(cache_folder() / "demo" / "results" if name == "demo" else _find_results())
    return Profile(name, find_data() if name == "paper" else _spoken(), results, Results(_find_results(_APART)))


def _spoken() -> Path:
    """Folder of the demo's corpora."""
    return cache_folder() / "demo" / "data"


def _speak(tasks: Iterable[Task]) -> Path:
    from serab_lib.corpora.synthetic import generate

    generate(_spoken(), tasks=list(tasks))
    return _spoken()


def _run(tasks: Sequence[str], models: Sequence[str], **settings: object) -> list[tuple[str, str, str]]:
    from serab_lib.benchmark.grid import Settings, run_grid

    summary = run_grid(tasks, models, Settings(**settings))
    if summary.failures:
        raise SerabError(summary.failures[0])
    return summary.computed + summary.present


def _find_results(files: Sequence[str] = ()) -> Path:
    """Find SERAB_RESULTS, if it has these files, else the folder of results here or above."""
    if (chosen := os.environ.get("SERAB_RESULTS")) and all(Path(chosen, file).is_file() for file in files):
        return Path(chosen)
    here = Path.cwd()
    above = (folder / "results" for folder in (here, *here.parents))
    return next((folder for folder in above if (folder / "cells.csv").is_file()), here / "results")
