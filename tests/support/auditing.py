"""A made-up benchmark in which everything adds up, to plant deviations in."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from serab_lib.audit.denominators import list_readings
from serab_lib.audit.sources import Procedure, Sources
from serab_lib.corpora.task import Task
from serab_lib.evaluation.protocol import summarise_tasks

N_MODELS = 13


def make_task(code: str = "ONE", **changes: Any) -> Task:
    fields: dict[str, Any] = {
        "code": code,
        "name": f"made-up-{code.lower()}",
        "title": f"Made-up {code}",
        "language": "none",
        "language_code": "und",
        "access": "open",
        "licence": "none",
        "source": "none",
        "obtain": "none",
        "citation": "none",
        "pattern": r"(?P<speaker>s\d\d)-(?P<emotion>[abc])-(?P<number>\d\d)",
        "emotions": {"a": "anger", "b": "boredom", "c": "calm"},
        "examples": {},
    }
    return Task(**fields | changes)


def make_utterances(task: Task, *, n_speakers: int, n_takes: int) -> pd.DataFrame:
    stems = [
        f"s{speaker:02d}-{emotion}-{take:02d}"
        for speaker in range(n_speakers)
        for emotion in "abc"
        for take in range(n_takes)
    ]
    names = [task.parse(stem) for stem in stems]
    return pd.DataFrame(
        {
            "stem": stems,
            "speaker": [name.speaker for name in names],
            "emotion": [task.emotions[name.emotion] for name in names],
            "released_group": [name.released_group for name in names],
            "duration_s": 2.0,
        }
    )


def make_accuracies(sizes: dict[str, int], *, seed: int = 0) -> pd.DataFrame:
    """Print a table from whole numbers of right answers, with means of the same."""
    rng = np.random.default_rng(seed)
    rows = {}
    for model in range(N_MODELS):
        exact = {code: 100 * rng.integers(n // 2, n) / n for code, n in sizes.items()}
        means = summarise_tasks(list(exact.values()), list(sizes.values()))
        rows[f"model {model}"] = {name: round(value, 1) for name, value in (exact | means).items()}
    return pd.DataFrame(rows).T.rename_axis("model")


def make_sources(
    *, tasks: tuple[Task, ...] | None = None, n_speakers: int = 30, n_takes: int = 5, **changes: Any
) -> Sources:
    """A clean benchmark of two tasks, or one with changes; its table is made with the released splits."""
    tasks = tasks or (make_task("ONE"), make_task("TWO"))
    utterances = {
        task.code: make_utterances(task, n_speakers=n_speakers + 5 * i, n_takes=n_takes) for i, task in enumerate(tasks)
    }
    readings = list_readings(utterances, tasks)
    released = readings[readings["reading"] == "released"].set_index("task")["n_test"]
    datasets = pd.DataFrame(
        {
            "code": task.code,
            "classes": 3,
            "utterances": len(utterances[task.code]),
            "speakers": utterances[task.code]["speaker"].nunique(),
            "mean_duration_s": 2.0,
            "total_duration_h": round(2.0 * len(utterances[task.code]) / 3600, 1),
        }
        for task in tasks
    )
    models = pd.DataFrame(
        {"row": ["BYOL-S, 512"], "model": ["BYOL-S"], "parameters_millions": [0.6], "embedding_size": [512]}
    )
    sources = Sources(
        tasks=tasks,
        utterances=utterances,
        accuracies=make_accuracies({code: int(n) for code, n in released.items()}),
        datasets=datasets,
        models=models,
        readings=readings,
        procedure=Procedure(),
        n_parameters={"byol-s-512": 600_192},
        digests={task.code: make_digests(utterances[task.code]) for task in tasks},
        n_draws=500,
    )
    return dataclasses.replace(sources, **changes)


def make_digests(utterances: pd.DataFrame) -> pd.DataFrame:
    files = [f"audio/{stem}.wav" for stem in utterances["stem"]]
    return pd.DataFrame({"file": files, "sha256": [f"{number:064x}" for number in range(len(files))]})
