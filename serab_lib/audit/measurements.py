"""What the audit takes from real recordings: tables in the results folder, and the sound of corpora on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import soundfile

from serab_lib.benchmark.results import CELL_KEY, Results
from serab_lib.corpora.corpus import find_corpus, find_root, list_utterances, read_content
from serab_lib.corpora.task import PAPER_TASKS, Task, get_task
from serab_lib.evaluation.paper import read_accuracies

NO_ROWS = pd.DataFrame(columns=CELL_KEY)


def read_measurement(results: Results, name: str) -> pd.DataFrame:
    """Read a table that was measured apart from the grid, by its name; empty where there is none."""
    path = results.folder / "audit" / f"{name}.csv"
    return pd.read_csv(path, converters={"best_params": json.loads, "speaker": str}) if path.is_file() else NO_ROWS


def compare_windows(windows: pd.DataFrame, cells: pd.DataFrame, protocol: str = "released") -> pd.DataFrame:
    """Put accuracies through both windows, percent by task and `mean`, beside the printed rows of BYOL-A and BYOL-S.

    `windows` is the measurement `byol_a_window`, by task and protocol: `window_400` and `window_1024` (percent, of the
    classifier that the protocol selects, with the release's log-mel statistics); `only_400` and `only_1024` (utterances
    that are right through that window alone); `own_statistics` (percent, window 1,024 with statistics measured through
    it); `mean_400` and `mean_1024`, of the log-mel spectrograms of the training part.
    """
    table = windows[windows["protocol"] == protocol].set_index("task")[["window_400", "window_1024", "own_statistics"]]
    printed = read_accuracies()[table.index]
    table = table.assign(printed=printed.loc["BYOL-A, 512"], byol_s_printed=printed.loc["BYOL-S, 512"])
    own = cells[(cells["model"] == "byol-s-512") & (cells["protocol"] == protocol)]
    own = own[own["selected"].astype(bool) & ~own["synthetic"].astype(bool)].set_index("task")
    table["byol_s_measured"] = 100 * own["test_accuracy"].astype(float)
    table.loc["mean"] = table.mean(skipna=False)
    return table


def hash_corpora(data: Path) -> dict[str, pd.DataFrame]:
    """Hash the decoded sound of every real corpus in a folder, so that two formats of one recording count as equal.

    By task, one row per utterance: `sha256` of 16-bit samples and rate (empty: cannot be decoded) and `emotion`.
    """
    tables = {}
    for task in map(get_task, PAPER_TASKS):
        if not find_root(task, data).is_dir() or (corpus := find_corpus(task, data)).synthetic:
            continue
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            hashed = list(pool.map(_hash_sound, corpus.utterances["path"]))
        table = pd.DataFrame({"sha256": hashed}, index=corpus.utterances["stem"])
        tables[task.code] = table.assign(emotion=corpus.utterances["emotion"].to_numpy())
    return tables


def _hash_sound(path: str) -> str:
    try:
        samples, rate = soundfile.read(os.fsencode(path), dtype="int16", always_2d=True)
    except (soundfile.SoundFileError, OSError):
        return ""
    return hashlib.sha256(samples.tobytes() + str(rate).encode()).hexdigest()


def find_duplicates(task: Task, sounds: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Find recordings that are in a corpus twice, by the list of its release, or as `hash_corpora` found them."""
    # Of what is on disk the files that the task never uses are not hashed: the released list knows more.
    if content := read_content(task.name):
        hashes = pd.Series({stem: sha256 for stem, (sha256, _) in content.items()}, name="sha256").to_frame()
        table = hashes.join(list_utterances(task, excluded=True).set_index("stem")["emotion"])
    else:
        table = sounds.get(task.code, pd.DataFrame(columns=["sha256", "emotion"]))
    twice = table[(table["sha256"] != "") & table.duplicated("sha256", keep=False)].sort_index()
    rows = []
    for _, same in twice.groupby("sha256"):
        n_used = sum(stem not in task.excluded for stem in same.index)
        rows.append((tuple(same.index), tuple(same["emotion"]), same["emotion"].nunique() > 1, n_used))
    found = pd.DataFrame(rows, columns=["files", "emotions", "contradicting", "n_used"])
    return found.sort_values("files", ignore_index=True)


def list_odd_files() -> pd.DataFrame:
    """List the files that no task uses, and those that are odd and used all the same, with the reason."""
    rows = []
    for task in map(get_task, PAPER_TASKS):
        for used, reasons in ((False, task.excluded), (True, task.oddities)):
            rows += [(task.code, stem, reason, used) for stem, reason in sorted(reasons.items())]
    return pd.DataFrame(rows, columns=["task", "file", "reason", "used"])
