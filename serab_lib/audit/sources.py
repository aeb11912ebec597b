"""What the audit reads: the paper's tables, the lists of files, the release's procedure, and what was measured."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from serab_lib.audit.arithmetic import check_means
from serab_lib.audit.corpora import hash_audio, is_transductive, read_digests, wrap_full_scale
from serab_lib.audit.denominators import compare_readings, list_readings, recover_sizes
from serab_lib.audit.measurements import NO_ROWS, read_measurement, read_windows
from serab_lib.audit.speakers import compare_speakers, describe_normalisation
from serab_lib.benchmark.results import Results
from serab_lib.corpora.corpus import find_corpus, find_data
from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.task import PAPER_TASKS, Task, get_task
from serab_lib.evaluation.paper import read_accuracies, read_datasets, read_models
from serab_lib.evaluation.protocol import select
from serab_lib.extractors.registry import EXTRACTORS


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """How results were made, as far as no table shows it.

    Attributes
    ----------
    selects_on : {"test", "validation"}
        Where the reported classifier is the best.
    transductive : bool
        Whether a test utterance is normalised with the help of others.
    fixed_class_order : bool
        Whether the classes of every task are numbered the same way in every build of its data set.
    crops_anywhere : bool
        Whether pre-training crops begin at random places of a clip.
    keeps_full_scale : bool
        Whether openSMILE receives samples of full scale as they are.
    hears_as_trained : bool
        Whether every model is evaluated through the window that it was trained with.
    same_recipe : bool
        Whether BYOL-S was trained as BYOL-A was, but for the data.
    """

    selects_on: str = "validation"
    transductive: bool = False
    fixed_class_order: bool = True
    crops_anywhere: bool = True
    keeps_full_scale: bool = True
    hears_as_trained: bool = True
    same_recipe: bool = True


def place_crop(n_samples: int, n_crop: int, rng: np.random.Generator, *, reversed_sign: bool = False) -> int:
    """Choose where a training crop begins.

    Parameters
    ----------
    n_samples, n_crop : int
        Length of the clip and of the crop.
    rng : numpy.random.Generator
    reversed_sign : bool
        Take the spare length with the wrong sign, as the first public version of BYOL-A does.

    Returns
    -------
    int
        First sample. A spare length that is not positive leaves the beginning as the only choice.
    """
    spare = n_crop - n_samples if reversed_sign else n_samples - n_crop
    return int(rng.integers(0, spare)) if spare > 0 else 0


def probe_release(*, rng: np.random.Generator | int = 0) -> Procedure:
    """Try out what the release does, on small examples, with the library's own copy of each step.

    Parameters
    ----------
    rng : numpy.random.Generator or int

    Returns
    -------
    Procedure
        All but two are tried. `same_recipe`, and that the release's loader of IEM4 numbers its classes in the order of
        a Python set of strings, can only be read in its code.
    """
    rng = np.random.default_rng(rng)
    scores = pd.DataFrame(
        {"classifier": ["LDA", "SVC"], "validation_accuracy": [0.8, 0.7], "test_accuracy": [0.7, 0.8]}
    )
    starts = {place_crop(160_000, 15_200, rng, reversed_sign=True) for _ in range(100)}
    return Procedure(
        selects_on="test" if select(scores, "released") == "SVC" else "validation",
        transductive=is_transductive(rng=rng),
        fixed_class_order=False,
        crops_anywhere=len(starts) > 1,
        keeps_full_scale=bool(wrap_full_scale([32767])[0] > 0),
        hears_as_trained=all(entry.under("released") == entry for entry in EXTRACTORS.values()),
        same_recipe=False,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Sources:
    """Everything that the audit reads; what is derived from it is computed once.

    Attributes
    ----------
    tasks : tuple of Task
    utterances : mapping
        Task code to utterances, as from `serab_lib.corpora.manifests.list_utterances`.
    accuracies, datasets, models : pandas.DataFrame
        The paper's tables 3, 1 and 2.
    readings : pandas.DataFrame
        As from `serab_lib.audit.denominators.list_readings`.
    procedure : Procedure
    n_parameters : mapping
        Extractor to number of parameters, as measured.
    digests : mapping
        Task code to `file` and `sha256` of the released files, where known.
    sounds : mapping
        Task code to a table as from `serab_lib.audit.corpora.hash_audio`, of corpora on disk; may be empty.
    cells : pandas.DataFrame
        Measured cells; may be empty.
    orders : pandas.DataFrame
        What `benchmarks/label_order.py` measured; may be empty.
    leaks : pandas.DataFrame
        What `benchmarks/speaker_leak.py` measured; may be empty.
    resamplers : pandas.DataFrame
        What `benchmarks/resampler.py` measured; may be empty.
    windows : pandas.DataFrame
        As from `serab_lib.audit.measurements.read_windows`; may be empty.
    embeddings : mapping
        (task code, model) to one row per utterance of `utterances`; may be empty.
    n_draws : int
        Of each simulation.
    seed : int
    """

    tasks: tuple[Task, ...]
    utterances: Mapping[str, pd.DataFrame]
    accuracies: pd.DataFrame
    datasets: pd.DataFrame
    models: pd.DataFrame
    readings: pd.DataFrame
    procedure: Procedure
    n_parameters: Mapping[str, int | None]
    digests: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    sounds: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    cells: pd.DataFrame = field(default_factory=pd.DataFrame)
    orders: pd.DataFrame = field(default_factory=lambda: NO_ROWS)
    leaks: pd.DataFrame = field(default_factory=lambda: NO_ROWS)
    resamplers: pd.DataFrame = field(default_factory=lambda: NO_ROWS)
    windows: pd.DataFrame = field(default_factory=lambda: NO_ROWS)
    embeddings: Mapping[tuple[str, str], np.ndarray] = field(default_factory=dict)
    n_draws: int = 10_000
    seed: int = 0

    @classmethod
    def read(cls, *, data: str | Path | None = None, results: str | Path | None = None) -> Sources:
        """Read the paper and the lists that come with the package, and what there is on disk.

        Parameters
        ----------
        data : str or Path, optional
            Folder of corpora, whose sound is then hashed to find recordings that are there twice; nothing is looked
            for if None.
        results : str or Path, optional
            Folder that `serab run` wrote.
        """
        tasks = tuple(get_task(code) for code in PAPER_TASKS)
        digests = {task.code: table for task in tasks if (table := read_digests(task)) is not None}
        return cls(
            tasks=tasks,
            utterances={task.code: list_utterances(task) for task in tasks},
            accuracies=read_accuracies(),
            datasets=read_datasets(),
            models=read_models(),
            readings=list_readings(),
            procedure=probe_release(),
            n_parameters={name: entry.n_parameters for name, entry in EXTRACTORS.items()},
            digests=digests,
            sounds={} if data is None else hash_corpora(tasks, data),
            **({} if results is None else _read_measured(Results(results))),
        )

    @functools.cached_property
    def comparison(self) -> pd.DataFrame:
        """The paper's columns against the test size of every reading."""
        return compare_readings(self.accuracies, self.readings, n_draws=self.n_draws, rng=self.seed)

    @functools.cached_property
    def sizes(self) -> pd.Series:
        """Task to the test size that its column was most probably made with."""
        return recover_sizes(self.comparison)

    @functools.cached_property
    def means(self) -> pd.DataFrame:
        """The three means of every row, recomputed."""
        return check_means(self.accuracies, self.sizes)

    @functools.cached_property
    def speakers(self) -> pd.DataFrame:
        """Speakers of each part, and shared ones."""
        return compare_speakers(self.utterances, self.tasks)

    @functools.cached_property
    def normalisation(self) -> pd.DataFrame:
        """The groups by which embeddings are standardised."""
        return describe_normalisation(self.utterances, self.tasks)

    def task(self, code: str) -> Task:
        """Find one of the tasks by its code."""
        return next(task for task in self.tasks if task.code == code)

    def read_printed(self, code: str) -> dict[str, float]:
        """Map each extractor that has a row in the paper to its printed accuracy on a task, percent; none elsewhere."""
        if code not in self.accuracies:
            return {}
        rows = {name: entry.paper_row for name, entry in EXTRACTORS.items() if entry.paper_row}
        return {name: float(self.accuracies.loc[row, code]) for name, row in rows.items()}


def hash_corpora(tasks: tuple[Task, ...], data: str | Path) -> dict[str, pd.DataFrame]:
    """Hash the sound of every real corpus in a folder.

    Parameters
    ----------
    tasks : tuple of Task
    data : str or Path

    Returns
    -------
    dict
        Task code to a table as from `serab_lib.audit.corpora.hash_audio`; corpora of the demo are passed over.
    """
    folder = find_data(data)
    there = [task for task in tasks if os.path.isdir(folder / task.name)]
    return {task.code: hash_audio(task, data) for task in there if not find_corpus(task, data).synthetic}


def _read_measured(results: Results) -> dict[str, pd.DataFrame]:
    return {
        "cells": results.read_cells(),
        "orders": read_measurement(results, "label_order"),
        "leaks": read_measurement(results, "speaker_leak"),
        "resamplers": read_measurement(results, "resampler"),
        "windows": read_windows(results),
    }
