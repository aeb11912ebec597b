"""Where a notebook finds its corpora and its results, in each of the book's three profiles."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError, cache_folder, unknown_name
from serab_lib.corpora.corpus import Corpus, find_corpus, find_data
from serab_lib.corpora.task import PAPER_TASKS, Task, get_task
from serab_lib.extractors.registry import EXTRACTORS

PROFILES = {
    "demo": "everything computed now, on nine small corpora spoken by eSpeak NG",
    "published": "the paper's tables beside the measurements that the repository holds",
    "paper": "everything recomputed from the real corpora",
}
# What the demo profile runs: extractors that need no weights.
DEMO_MODELS = tuple(name for name, entry in EXTRACTORS.items() if entry.in_demo)

SYNTHETIC_TITLE = "Synthetic corpora"
SYNTHETIC_TEXT = (
    "The numbers on this page come from corpora spoken by eSpeak NG. They test the pipeline and say nothing about "
    "people, about the extractors, or about the paper."
)


@dataclass(frozen=True)
class Profile:
    """The corpora and results of one profile.

    Attributes
    ----------
    profile : str
        A key of `PROFILES`.
    data : Path
        Folder of the corpora to work on.
    results : Results
        Folder of finished cells.
    """

    profile: str
    data: Path
    results: Results

    @property
    def synthetic(self) -> bool:
        """Whether the grid's numbers come from synthetic corpora."""
        return self.profile == "demo"

    @property
    def origin(self) -> str:
        """What the grid's numbers come from, for captions."""
        return "SYNTHETIC corpora, not people." if self.synthetic else "Measured on real recordings."

    def find_corpus(self, task: str | Task) -> Corpus:
        """Find a corpus: the real one in the profile `paper` where it is at hand, else one that is spoken here."""
        task = get_task(task)
        data = self._choose_data(task)
        if data == _demo_folder() / "data":
            _speak([task], data)
        return find_corpus(task, data)

    def _choose_data(self, task: Task) -> Path:
        """Where a corpus is: among the real ones in the profile `paper` if it is at hand, else among those spoken."""
        if self.profile == "paper" and (self.data / task.name).is_dir():
            return self.data
        return _demo_folder() / "data"

    def read_cells(self, *, tasks: Sequence[str] = PAPER_TASKS, models: Sequence[str] = DEMO_MODELS) -> pd.DataFrame:
        """Read the finished cells; the demo profile computes first what is missing of the tasks and models.

        Raises
        ------
        SerabError
            If there are none.
        """
        if self.profile == "demo":
            self._fill(tasks, models)
        cells = self.results.read_cells()
        if cells.empty:
            raise SerabError(
                f"there are no results in {self.results.folder}: make some with `serab run`, or set SERAB_RESULTS"
            )
        return cells

    def run(self, task: str | Task, models: Sequence[str]) -> pd.DataFrame:
        """Compute a task's cells with some extractors, under `described`; read them from the cache when there.

        Parameters
        ----------
        task : str or Task
            Also ``path:FILE``, a corpus of one's own.
        models : sequence of str
            Also ``hear:MODULE`` and ``path:FILE``.
        """
        from serab_lib.benchmark.grid import Settings, run_grid

        settings = Settings(out=_demo_folder() / "own-results", data=self._choose_data(get_task(task)))
        summary = run_grid([task], models, settings)
        if summary.failures:
            raise SerabError(summary.failures[0])
        cells = Results(settings.out).read_cells()
        done = {key for key in [*summary.computed, *summary.present]}
        return cells[[key in done for key in zip(cells["task"], cells["model"], cells["protocol"], strict=True)]]

    @property
    def measured(self) -> Results:
        """Results on real recordings, in any profile; they may be empty."""
        return Results(_find_results())

    def read_measured(self) -> pd.DataFrame:
        """Read the cells that were measured on real recordings, in any profile; empty where none are at hand."""
        cells = self.measured.read_cells()
        return cells[~cells["synthetic"].astype(bool)].reset_index(drop=True)

    def show_origin(self, corpus: Corpus | None = None) -> None:
        """Say at the head of a page that its numbers are synthetic, if those of the grid, or of a corpus, are."""
        from serab_lib.book.show import show_banner

        if corpus.synthetic if corpus else self.synthetic:
            show_banner(SYNTHETIC_TITLE, SYNTHETIC_TEXT, kind="synthetic")

    def speak_samples(self) -> dict[str, str]:
        """Speak the demo's corpora and choose one utterance of anger from each: what it is to its file."""
        _speak([get_task(code) for code in PAPER_TASKS], _demo_folder() / "data")
        samples = {}
        for code in PAPER_TASKS:
            task = get_task(code)
            utterances = find_corpus(task, _demo_folder() / "data").utterances
            samples[f"{task.title} ({task.language}), anger"] = utterances.query("emotion == 'anger'")["path"].iloc[0]
        return samples

    def _fill(self, tasks: Sequence[str], models: Sequence[str]) -> None:
        from serab_lib.benchmark.grid import Settings, run_grid

        _speak([get_task(task) for task in tasks], self.data)
        settings = Settings(out=self.results.folder, data=self.data, protocols=("released", "described"))
        summary = run_grid(tasks, models, settings)
        if summary.failures:
            raise SerabError(summary.failures[0])


def open_profile(profile: str) -> Profile:
    """Open the profile of a profile.

    Parameters
    ----------
    profile : str
        ``demo`` speaks small corpora into the cache folder and computes on them. ``published`` reads the
        committed results and, where a chapter needs sound, works on a synthetic corpus. ``paper`` works on the
        corpora in SERAB_DATA.

    Returns
    -------
    Profile
        Results are in SERAB_RESULTS, else in ``results`` here or in a folder above; those of the demo are in
        the cache folder.

    Raises
    ------
    UnknownNameError
        If there is no such profile.
    """
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES, listing="serab book --help")
    data = find_data() if profile == "paper" else _demo_folder() / "data"
    results = _demo_folder() / "results" if profile == "demo" else _find_results()
    return Profile(profile, data, Results(results))


def _demo_folder() -> Path:
    return cache_folder() / "demo"


def _speak(tasks: Iterable[Task], data: Path) -> None:
    from serab_lib.corpora.synthetic.speech import generate

    generate(data, tasks=list(tasks))


def _find_results() -> Path:
    chosen = os.environ.get("SERAB_RESULTS")
    if chosen:
        return Path(chosen)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "results" / "cells.csv").is_file():
            return folder / "results"
    return here / "results"
