"""Tables that describe the benchmark: its tasks, their splits, its extractors, each beside the paper's."""

from __future__ import annotations

import pandas as pd

from serab_lib.corpora.manifests import list_utterances
from serab_lib.corpora.splits import PARTS, PROTOCOLS, measure_speaker_overlap, split
from serab_lib.corpora.task import TASKS, get_task
from serab_lib.evaluation.paper import read_datasets, read_models
from serab_lib.extractors.registry import EXTRACTORS, Entry
from serab_lib.extractors.weights import CHECKPOINTS

_MILLION = 1e6


def describe_tasks() -> pd.DataFrame:
    """Recompute the paper's table 1 from the file lists.

    Returns
    -------
    pandas.DataFrame
        One row per task of the paper, indexed by code: `title`, `language`, `access`, and for classes,
        utterances, speakers, mean duration (s) and total duration (h) a column `..., paper` and one
        `..., lists`. NaN where the list does not say.
    """
    printed = read_datasets().set_index("code")
    rows = {}
    for code, paper in printed.iterrows():
        task, utterances = get_task(str(code)), list_utterances(str(code))
        known = utterances["duration_s"].dropna()
        rows[code] = {
            "title": task.title,
            "language": task.language,
            "access": task.access,
            "classes, paper": paper["classes"],
            "classes, lists": utterances["emotion"].nunique(),
            "utterances, paper": paper["utterances"],
            "utterances, lists": len(utterances),
            "speakers, paper": paper["speakers"],
            "speakers, lists": utterances["speaker"].nunique(),
            "mean s, paper": paper["mean_duration_s"],
            "mean s, lists": known.mean(),
            "total h, paper": paper["total_duration_h"],
            "total h, lists": known.sum() / 3600 if len(known) else float("nan"),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("task")


def describe_splits() -> pd.DataFrame:
    """Count utterances and speakers of each part, under both protocols.

    Returns
    -------
    pandas.DataFrame
        One row per task and protocol: utterances per part, speakers per part, and `shared`, the share of the
        test utterances whose speaker is in train or validation too.
    """
    rows = []
    for code, task in TASKS.items():
        utterances = list_utterances(code)
        for protocol in PROTOCOLS:
            parts = split(utterances, task, protocol)
            counts = parts["part"].value_counts()
            speakers = parts.groupby("part")["speaker"].nunique()
            row: dict[str, object] = {"task": code, "protocol": protocol}
            row |= {part: int(counts[part]) for part in PARTS}
            row |= {f"{part} speakers": int(speakers[part]) for part in PARTS}
            rows.append(row | {"shared": float(measure_speaker_overlap(parts))})
    return pd.DataFrame(rows).set_index(["task", "protocol"])


def count_classes() -> pd.DataFrame:
    """Count the utterances of each class: emotions by tasks, from the file lists."""
    counts = {code: list_utterances(code)["emotion"].value_counts() for code in TASKS}
    return pd.DataFrame(counts).fillna(0).astype(int).sort_index().rename_axis(columns="task")


def describe_extractors() -> pd.DataFrame:
    """Recompute the paper's table 2 from the networks.

    Returns
    -------
    pandas.DataFrame
        One row per row of the paper's table, in its order, indexed by the command line's name: `title`,
        parameters in millions and embedding sizes, `..., paper` beside `..., measured`, `difference` in words,
        and `licence`. NaN where the paper or we have no number.
    """
    printed = read_models()
    entries = [entry for entry in EXTRACTORS.values() if entry.paper_row]
    rows = {}
    for (_, paper), entry in zip(printed.iterrows(), entries, strict=True):
        measured = None if entry.n_parameters is None else entry.n_parameters / _MILLION
        rows[entry.name] = {
            "title": entry.title,
            "parameters (M), paper": paper["parameters_millions"],
            "parameters (M), measured": measured,
            "size, paper": int(paper["embedding_size"]),
            "size, measured": entry.embedding_size,
            "difference": _compare(paper, entry, measured),
            "licence": entry.licence,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def _compare(paper: pd.Series, entry: Entry, measured: float | None) -> str:
    if int(paper["embedding_size"]) != entry.embedding_size:
        return "other size"
    if measured is None:
        return "not measured: the model needs TensorFlow"
    if pd.isna(paper["parameters_millions"]):
        return "no trained parameters" if not measured else "the paper has none"
    gap = measured - paper["parameters_millions"]
    return "none after rounding" if abs(gap) <= 0.05 + 1e-9 else f"{gap:+.1f} M"


def describe_modern_extractors() -> pd.DataFrame:
    """List the extractors that the paper does not have: parameters in millions, size, licence."""
    rows = {
        entry.name: {
            "title": entry.title,
            "parameters (M)": (entry.n_parameters or 0) / _MILLION,
            "size": entry.embedding_size,
            "licence": entry.licence,
        }
        for entry in EXTRACTORS.values()
        if not entry.paper_row
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def list_corpus_licences() -> pd.DataFrame:
    """List each corpus's access, licence, source and how to get it."""
    rows = {
        task.title: {
            "access": task.access,
            "licence": task.licence,
            "source": f"[{_host(task.source)}]({task.source})",
            "how to get it": task.obtain,
        }
        for task in TASKS.values()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("corpus")


def list_weight_licences() -> pd.DataFrame:
    """List each checkpoint's file, licence and source."""
    rows = {
        name: {
            "file": checkpoint.file,
            "licence": checkpoint.licence,
            "source": f"[{_host(checkpoint.url)}]({checkpoint.url})" if checkpoint.url else "–",
        }
        for name, (checkpoint, *_) in CHECKPOINTS.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("extractor")


def _host(address: str) -> str:
    return address.removeprefix("https://").removeprefix("http://").partition("/")[0]
