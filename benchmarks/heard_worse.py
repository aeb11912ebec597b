"""Who is heard worse: accuracy and recall by sex, and by what file names tell, from the predictions of measured cells.

    python benchmarks/heard_worse.py [--results results] [--protocol released]

Writes RESULTS/audit/heard_worse.csv: each task as asked, or under `rotated` where that was measured, else `described`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import run
from scipy import stats

from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError, replaced
from serab_lib.corpora.task import Task, get_task
from serab_lib.evaluation.significance import read_reported, t_interval

# What is known of an utterance beside its speaker and emotion: from the task's record, and from the file names.
FACTS = ("sex", "intensity", "sentence")


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--protocol")
    options = parser.parse_args()
    results, tables = Results(options.results), []
    for code, own in results.read_cells().query("not synthetic").groupby("task"):
        best = next((each for each in ("rotated", "described") if each in set(own["protocol"])), "")
        protocol = options.protocol or best
        tables.append(break_down(results, get_task(code), protocol).assign(task=code, protocol=protocol))
    table = pd.concat(tables) if tables else pd.DataFrame()
    if table.empty:
        raise SerabError(f"no measured cell in {results.folder} of which more is known: make some with `serab run`")
    with replaced(results.folder / "audit" / "heard_worse.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f")
    print(f"{len(table)} levels, tasks {', '.join(table['task'].unique())}")


def break_down(results: Results, task: Task, protocol: str) -> pd.DataFrame:
    """Ask who is heard worse: accuracy and recall by sex, and by what file names tell.

    Returns
    -------
    pandas.DataFrame
        One row for each `model` (and ``mean`` of all), each of `FACTS` that is told, and each `level`: `accuracy`, the
        mean of the speakers' own, with its 95 % t-interval over them (`low`, `high`); `recall`, the mean over emotions;
        `difference` of the accuracy from that of the other levels, with its own interval (`difference_low`,
        `difference_high`): speaker by speaker, or between speakers (Welch) where each has one level. Percent. Only
        emotions that occur at every level count. No rows where nothing is told.
    """
    right = {}
    for cell, predictions in read_reported(results):
        if (cell.task, cell.protocol) == (task.code, protocol):
            known = predictions.set_index("stem")
            right[cell.model] = 100.0 * (known["emotion"] == known[cell.classifier])
    if not right:
        return pd.DataFrame()
    table = known[["speaker", "emotion"]].join(pd.DataFrame(right).assign(mean=lambda own: own.mean(axis=1)))
    matches = [re.fullmatch(task.pattern, stem) for stem in table.index]
    told = pd.DataFrame([match.groupdict() if match else {} for match in matches], index=table.index)
    told["sex"] = table["speaker"].map(task.gender).replace("unknown", pd.NA)
    rows = []
    for fact in FACTS:
        own = table.assign(level=told.get(fact)).dropna(subset="level")
        everywhere = own.groupby("emotion")["level"].nunique() == own["level"].nunique()
        own = own[own["emotion"].map(everywhere).astype(bool)]
        for model in (*right, "mean") if own["level"].nunique() > 1 else ():
            rows += [{"model": model, "fact": fact, **row} for row in _compare_levels(own, model)]
    return pd.DataFrame(rows)


def _compare_levels(table: pd.DataFrame, model: str) -> Iterator[dict[str, object]]:
    """Set each level of a fact against the others."""
    by_speaker = table.pivot_table(model, "speaker", "level")
    recalls = table.pivot_table(model, "emotion", "level").mean()
    for level in by_speaker:
        own, others = by_speaker[level].dropna(), by_speaker.drop(columns=level).mean(axis=1).dropna()
        row = {"level": level, "accuracy": own.mean(), "recall": recalls[level], "n_speakers": len(own)}
        row |= dict(zip(("low", "high"), np.clip(t_interval(own), 0, 100), strict=True))
        paired = (own - others).dropna()
        if len(paired):
            difference, ends = paired.mean(), t_interval(paired)
        else:
            difference = own.mean() - others.mean()
            ends = stats.ttest_ind(own, others, equal_var=False).confidence_interval()
        yield row | {"difference": difference, "difference_low": ends[0], "difference_high": ends[1]}


if __name__ == "__main__":
    run(main)
