"""Findings about the models: how BYOL-A was used beside BYOL-S, and how the two were trained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from serab_lib.audit.finding import Finding, count, join
from serab_lib.audit.measurements import compare_windows
from serab_lib.audit.sources import Sources
from serab_lib.evaluation.significance import ALPHA, exact_mcnemar
from serab_lib.extractors.registry import EXTRACTORS

_SERAB = "https://github.com/Neclow/SERAB/blob/8023cb75dc6f32a6f211bfbc83efe9491c41d8b7"
_NTT = "https://github.com/nttcslab/byol-a/blob/446c89d55204de11bce16df21d57d8fec5f73dd2"
_SAYS = "The paper says that BYOL-S and BYOL-A differ in their training data only"


def _cite(root: str, file: str, line: int) -> str:
    return f"[{file}, line {line}]({root}/{file}#L{line})"


def find_window(sources: Sources) -> Iterator[Finding]:
    """Yield that BYOL-A is evaluated through a window that it was not trained with."""
    if sources.procedure.hears_as_trained:
        return
    evidence, consequence, confidence, values = _weigh_windows(sources)
    yield Finding(
        name="byol-a-window",
        title="BYOL-A is heard through a window it was not trained with",
        says=f"{_SAYS}: architecture, pre-training and use are the same.",
        does="The release (Neclow/SERAB at 8023cb7) has one configuration for all checkpoints, with a window of 400 "
        f"samples, and 1,024 in a comment ({_cite(_SERAB, 'SERAB/config.yaml', 10)}). All spectrograms are made with "
        f"it ({_cite(_SERAB, 'SERAB/clf_benchmark.py', 184)}) and normalised with one pair of statistics per task "
        f"({_cite(_SERAB, 'SERAB/settings.py', 11)}). BYOL-A's weights come in by un-commenting their file names "
        f"({_cite(_SERAB, 'SERAB/utils.py', 112)}). NTT trained them with 1,024 (nttcslab/byol-a, "
        f"{_cite(_NTT, 'config.yaml', 6)}). The release's README asks to set the configuration for one's model, so "
        "the window may have been changed by hand; nothing there says that it was.",
        evidence=evidence,
        consequence=consequence,
        confidence=confidence,
        where="table 3, rows BYOL-A; the release's evaluation",
        values=values,
    )


def _weigh_windows(sources: Sources) -> tuple[str, str, str, dict[str, Any]]:
    """Say what the two windows gave, what follows, and how sure it is."""
    confounded = "The printed contrast of BYOL-S and BYOL-A is confounded"
    windows = sources.windows[sources.windows["task"].isin(list(sources.accuracies))]
    if windows.empty:
        evidence = "It rests on the code alone: no accuracies through both windows are in these results."
        return evidence, f"{confounded}, to an extent that has to be measured.", "likely", {"n_tasks": 0}
    table = compare_windows(windows, sources.accuracies, sources.cells)
    tasks, mean = table.drop("mean"), table.loc["mean"]
    columns = ["window_400", "window_1024", "own_statistics"]
    distances = tasks[columns].sub(tasks["printed"], axis=0).abs().mean()
    exact = tasks[columns].round(1).eq(tasks["printed"], axis=0).sum()
    described = compare_windows(windows, sources.accuracies, sources.cells, protocol="described").loc["mean"]
    evidence = (
        f"Measured on {join(list(tasks.index))} with NTT's 512-d weights under the released procedure: through 400 "
        f"samples the accuracies are {distances['window_400']:.1f} points from the printed ones on average, "
        f"{exact['window_400']} of {len(tasks)} the same to the last utterance; through 1,024 they are "
        f"{distances['window_1024']:.1f} points away and {exact['window_1024'] or 'none'} the same. "
        f"{_compare_statistics(sources, windows)}Through 1,024 BYOL-A has {mean['window_1024']:.1f} % on average, "
        f"through 400 {mean['window_400']:.1f} %; with the classifier chosen on validation, "
        f"{described['window_1024']:.1f} and {described['window_400']:.1f} %. {_describe_tests(windows)}"
    )
    values = {"n_tasks": len(tasks), "gain": float(mean["window_1024"] - mean["window_400"])}
    values |= {f"distance_{name}": float(distances[name]) for name in columns}
    values |= {f"exact_{name}": int(exact[name]) for name in columns}
    values |= {f"p_{protocol}": pool_windows(windows, protocol) for protocol in ("released", "described")}
    if distances["window_400"] >= distances["window_1024"]:
        return evidence, "The printed BYOL-A row does not look as if it was made that way.", "cannot be decided", values
    return evidence, f"{confounded}. {_weigh_lead(sources, tasks, mean)}", "very likely", values


def _weigh_lead(sources: Sources, tasks: pd.DataFrame, mean: pd.Series) -> str:
    measured = f", {mean['byol_s_measured']:.1f} % measured here" if "byol_s_measured" in mean else ""
    shifts = (tasks["own_statistics"] - tasks["window_1024"]).abs()
    return (
        f"On {count(len(tasks), 'task')} BYOL-S 512 leads the printed BYOL-A 512 by "
        f"{mean['byol_s_printed'] - mean['printed']:.1f} points on average; through 1,024 BYOL-A gains "
        f"{mean['window_1024'] - mean['window_400']:.1f}, or {mean['own_statistics'] - mean['window_400']:.1f} with "
        f"statistics measured through that window. BYOL-A 512 then has {mean['window_1024']:.1f} or "
        f"{mean['own_statistics']:.1f} %, BYOL-S 512 {mean['byol_s_printed']:.1f} % in the paper{measured}. These are "
        f"{len(tasks)} tasks of {len(sources.tasks)} and one size of three, and a cell moves as far for less: other "
        f"statistics alone change {shifts.idxmax()} by {shifts.max():.1f} points. So the lead is not turned round but "
        "open: it has to be measured again."
    )


def _compare_statistics(sources: Sources, windows: pd.DataFrame) -> str:
    """Say which window the release's constants were measured through, where that is known."""
    released = {task.code: task.log_mel_statistics[0] for task in sources.tasks if task.log_mel_statistics}
    own = windows[windows["task"].isin(list(released))].drop_duplicates("task")
    if own.empty:
        return ""
    off = own[["mean_400", "mean_1024"]].sub(own["task"].map(released), axis=0).abs()
    return (
        f"The release's mean log-mel levels of these tasks are those through 400 samples, within "
        f"{off['mean_400'].max():.3f}; through 1,024 the training parts have others, by {off['mean_1024'].min():.1f} "
        f"to {off['mean_1024'].max():.1f}. "
    )


def _describe_tests(windows: pd.DataFrame) -> str:
    """Say whether the utterances tell the two windows apart."""
    pooled = [pool_windows(windows, protocol) for protocol in ("released", "described")]
    own = windows[windows["protocol"] == "released"]
    by_task = [exact_mcnemar(row.only_400, row.only_1024) for row in own.itertuples()]
    return (
        f"Over {own['n_test'].sum():,} test utterances that is {'a' if max(pooled) < ALPHA else 'no'} significant "
        f"difference (exact McNemar test: p = {pooled[0]:.2f} and {pooled[1]:.2f}; under the released procedure "
        f"{min(by_task):.2f} to {max(by_task):.2f} by task)."
    )


def pool_windows(windows: pd.DataFrame, protocol: str) -> float:
    """Test the two windows on the utterances of all tasks together: the p-value of the exact McNemar test."""
    own = windows[windows["protocol"] == protocol]
    return exact_mcnemar(int(own["only_400"].sum()), int(own["only_1024"].sum()))


def find_recipe(sources: Sources) -> Iterator[Finding]:
    """Yield that BYOL-S was not trained as BYOL-A was."""
    if sources.procedure.same_recipe:
        return
    files = {name: own.checkpoints[0].file for name, own in EXTRACTORS.items() if name.startswith("byol-s-")}
    batches = {name: int(re.search(r"-bs(\d+)-", file)[1]) for name, file in files.items()}
    usual = min(batches.values())
    larger = [name for name, size in batches.items() if size != usual]
    yield Finding(
        name="training-recipe",
        title="BYOL-S differs from BYOL-A in more than its training data",
        says=f"{_SAYS}.",
        does="The release trains through a window of 400 samples where NTT's configuration has 1,024; with AdamW "
        f"({_cite(_SERAB, 'SERAB/train.py', 166)}) where NTT has Adam ({_cite(_NTT, 'train.py', 78)}); and on "
        f"spectrograms by torchaudio ({_cite(_SERAB, 'SERAB/train.py', 199)}), while NTT notes that its published "
        f"weights were trained on those of librosa ({_cite(_NTT, 'byol_a/dataset.py', 24)}), whose mel scale is "
        "another by default.",
        evidence=f"By their file names {len(batches) - len(larger)} of {len(batches)} released BYOL-S checkpoints were "
        f"trained in batches of {usual}, as BYOL-A was, {join(larger)} in batches of "
        f"{join(sorted({str(batches[name]) for name in larger}))}.",
        consequence="A difference between BYOL-S and BYOL-A need not be due to speech, nor one between sizes of "
        "BYOL-S/CvT to their size. What each change is worth was not measured.",
        confidence="very likely",
        where="tables 2 and 3, rows BYOL-S; the release's pre-training",
        values={"n_checkpoints": len(batches), "other_batches": {name: batches[name] for name in larger}},
    )
