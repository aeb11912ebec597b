"""The tables that the chapters show: tasks, splits, extractors, licences, and the accuracy grid beside the paper's."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from serab_lib.audit.tables import check_parameters
from serab_lib.benchmark.contributed import Contribution, read_contribution
from serab_lib.corpora.check import describe_copies
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import PARTS, PROTOCOLS, ROTATED, measure_speaker_overlap, split
from serab_lib.corpora.task import PAPER_TASKS, TASKS, get_task
from serab_lib.evaluation.paper import read_accuracies, read_datasets
from serab_lib.evaluation.protocol import summarise_tasks
from serab_lib.evaluation.significance import wilson_interval
from serab_lib.extractors.registry import EXTRACTORS, Entry

_MILLION = 1e6
# What readers see of an extractor: its name is for the command line.
TITLES = {name: entry.title for name, entry in EXTRACTORS.items()}


def describe_tasks() -> pd.DataFrame:
    """Set the paper's table 1 beside the file lists: durations in seconds, totals in hours, NaN where not all known."""
    printed = read_datasets().set_index("code")
    printed = printed.rename(columns={"mean_duration_s": "mean s", "total_duration_h": "total h"})
    rows = {}
    for code, paper in printed.iterrows():
        task, utterances = get_task(str(code)), list_utterances(str(code))
        counted = {
            "classes": utterances["emotion"].nunique(),
            "utterances": len(utterances),
            "speakers": utterances["speaker"].nunique(),
            "mean s": utterances["duration_s"].mean(),
            "total h": utterances["duration_s"].sum(skipna=False) / 3600,
        }
        rows[code] = {"title": task.title, "language": task.language, "access": task.access}
        for name, value in counted.items():
            rows[code] |= {f"{name}, paper": paper[name], f"{name}, lists": value}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("task")


def describe_splits() -> pd.DataFrame:
    """Count utterances and speakers of each part; of test, who is in another part, and the most frequent emotion."""
    rows = []
    for code, task in TASKS.items():
        for protocol in PROTOCOLS:
            parts = split(list_utterances(code), task, protocol)
            counts, speakers = parts["part"].value_counts(), parts.groupby("part")["speaker"].nunique()
            row = {"task": code, "protocol": protocol} | {part: int(counts[part]) for part in PARTS}
            row |= {f"{part} speakers": int(speakers[part]) for part in PARTS}
            row |= {"majority": parts.loc[parts["part"] == "test", "emotion"].value_counts(normalize=True).max()}
            rows.append(row | {"shared": float(measure_speaker_overlap(parts))})
    return pd.DataFrame(rows).set_index(["task", "protocol"])


def count_classes() -> pd.DataFrame:
    """Count the utterances of each class: emotions by tasks, from the file lists."""
    counts = {code: list_utterances(code)["emotion"].value_counts() for code in TASKS}
    return pd.DataFrame(counts).fillna(0).astype(int).sort_index().rename_axis(columns="task")


def describe_extractors() -> pd.DataFrame:
    """Set the paper's table 2 beside the networks: parameters in millions, NaN where there is no number."""
    table = check_parameters().set_index("extractor").rename_axis("name")
    entries = [EXTRACTORS[name] for name in table.index]
    printed, measured = table["printed_millions"], table["n_parameters"].astype(float) / _MILLION
    said = (measured - printed).map("{:+.1f} M".format).mask(table["agrees"].eq(True), "none after rounding")
    said = said.mask(printed.isna(), "no trained parameters")
    columns = {
        "title": [entry.title for entry in entries],
        "parameters (M), paper": printed,
        "parameters (M), measured": measured,
        "size, paper": table["embedding_size"],
        "size, measured": [entry.embedding_size for entry in entries],
        "difference": said.mask(measured.isna(), "not measured: the model needs TensorFlow"),
        "trained on": [_write_training(entry) for entry in entries],
        "licence": [entry.licence for entry in entries],
    }
    return pd.DataFrame(columns)


def describe_modern_extractors() -> pd.DataFrame:
    """List the extractors that the paper does not have: parameters in millions, size, licence."""
    entries = [entry for entry in EXTRACTORS.values() if not entry.paper_row]
    rows = [(each.name, each.title, (each.n_parameters or 0) / _MILLION, each.embedding_size) for each in entries]
    table = pd.DataFrame(rows, columns=["name", "title", "parameters (M)", "size"]).set_index("name")
    training = [_write_training(each) for each in entries]
    return table.assign(**{"trained on": training}, licence=[each.licence for each in entries])


def _write_training(entry: Entry | Contribution) -> str:
    return f"[{entry.trained_on}]({entry.trained_on_source})" if entry.trained_on else "–"


def list_corpus_licences() -> pd.DataFrame:
    """List each corpus's access, licence, source and how to get it."""
    rows = [(each.title, each.access, each.licence, _link(each.source), each.obtain) for each in TASKS.values()]
    return pd.DataFrame(rows, columns=["corpus", "access", "licence", "source", "how to get it"]).set_index("corpus")


def list_weight_licences() -> pd.DataFrame:
    """List each checkpoint's file, licence and source."""
    known = {name: entry for name, entry in EXTRACTORS.items() if entry.checkpoints}
    files = {name: entry.checkpoints[0] for name, entry in known.items()}
    rows = [(name, files[name].file, entry.licence, _link(files[name].url)) for name, entry in known.items()]
    return pd.DataFrame(rows, columns=["extractor", "file", "licence", "source"]).set_index("extractor")


def _link(address: str | None) -> str:
    return f"[{address.split('/')[2]}]({address})" if address else "–"


def accuracy_grid(cells: pd.DataFrame, protocol: str, column: str = "test_accuracy") -> pd.DataFrame:
    """Arrange the reported accuracies, or another column of the cells, as models by tasks.

    Parameters
    ----------
    cells : pandas.DataFrame
        As `cells.csv` holds them.
    protocol : str
    column : str

    Returns
    -------
    pandas.DataFrame
        Percent; one row per model, sorted by UM as in the paper, or by name where it is unknown. UM, WM and
        GM are over the measured tasks, and only given where there are several and every row has the same ones.
    """
    chosen = cells[(cells["protocol"] == protocol) & cells["selected"].astype(bool)]
    if chosen.empty:
        return pd.DataFrame()
    grid = 100 * chosen.pivot(index="model", columns="task", values=column)
    grid = grid[sorted(grid, key=lambda code: [*TASKS, code].index(code))]
    if grid.shape[1] > 1 and not grid.isna().any(axis=None):
        grid = _add_means(grid, chosen.groupby("task")["n_test"].max()[grid.columns])
    return grid.rename(index=TITLES).rename_axis("model")


def paper_grid(cells: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Give the paper's numbers for the same models and tasks; empty cells where it has none."""
    grid = accuracy_grid(cells, protocol)
    rows = {entry.title: entry.paper_row for entry in EXTRACTORS.values()}
    tasks = [name for name in grid if name not in summarise_tasks([1], [1])]
    return read_accuracies().reindex(index=grid.index.map(rows.get), columns=tasks).set_axis(grid.index)


def recompute_paper_grid() -> pd.DataFrame:
    """Give the paper's printed accuracies with UM, WM (by the `released` test sizes) and GM computed from them."""
    return _add_means(read_accuracies()[list(PAPER_TASKS)].astype(float), count_test_utterances("released"))


def count_test_utterances(protocol: str) -> pd.Series:
    """Count the test utterances of the paper's tasks under a protocol, from the file lists."""
    parts = {code: split(list_utterances(code), get_task(code), protocol)["part"] for code in PAPER_TASKS}
    return pd.Series({code: int((part == "test").sum()) for code, part in parts.items()})


def _add_means(grid: pd.DataFrame, sizes: pd.Series) -> pd.DataFrame:
    means = pd.DataFrame([summarise_tasks(row, sizes) for _, row in grid.iterrows()], index=grid.index)
    return grid.join(means).sort_values("UM")


def mark_best(grid: pd.DataFrame) -> pd.DataFrame:
    """Write a grid as text with one decimal, the best of each column in bold."""
    text = _format_percent(grid)
    return text.mask(grid.round(1) == grid.round(1).max(), "**" + text + "**")


def render(grid: pd.DataFrame, form: str) -> str:
    """Write a grid in percent as `markdown`, `csv` or `latex`."""
    if form == "csv":
        return grid.to_csv(float_format="%.1f").rstrip("\n")
    text = _format_percent(grid)
    if form == "latex":
        return text.to_latex(column_format="l" + "r" * len(grid.columns)).rstrip("\n")
    return text.to_markdown(stralign="right", disable_numparse=True)


def _format_percent(grid: pd.DataFrame) -> pd.DataFrame:
    return grid.map(lambda value: "–" if pd.isna(value) else f"{value:.1f}")


def compare_with_paper(cells: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Set every cell of the paper's grid beside the measured one.

    Parameters
    ----------
    cells : pandas.DataFrame
        As `cells.csv` holds them.
    protocol : str

    Returns
    -------
    pandas.DataFrame
        One row per cell of the paper's grid: `task`, `model`, `paper` and `ours`, each with its 95 % interval,
        `difference` (points), and `state`: measured, or why it is empty. Percent.
        Measured cells come first; cells of synthetic corpora count for nothing here.
    """
    printed, sizes = read_accuracies(), count_test_utterances("released")
    kept = (cells["protocol"] == protocol) & cells["selected"].astype(bool) & ~cells["synthetic"].astype(bool)
    chosen = cells[kept].set_index(["task", "model"])
    rows = []
    for entry, code in itertools.product((each for each in EXTRACTORS.values() if each.paper_row), PAPER_TASKS):
        paper, ours, span = float(printed.loc[entry.paper_row, code]), float("nan"), "–"
        if (code, entry.name) in chosen.index:
            cell = chosen.loc[(code, entry.name)]
            ours, span = 100 * cell["test_accuracy"], _write_interval(cell["test_accuracy"], cell["n_test"])
            state = "measured" if cell["complete"] else "measured on an incomplete corpus"
        else:
            state = "not measured yet"
            state += "; the corpus must be asked for" if get_task(code).access == "restricted" else ""
            state += "; the weights have a licence to accept" if entry.needs_consent else ""
        row = {"task": code, "model": entry.title, "paper": paper}
        row |= {"paper, 95 %": _write_interval(paper / 100, sizes[code]), "ours": ours, "ours, 95 %": span}
        rows.append(row | {"difference": ours - paper, "state": state})
    return pd.DataFrame(rows).sort_values("ours", na_position="last", kind="stable", ignore_index=True)


def _write_interval(accuracy: float, n: int) -> str:
    low, high = wilson_interval(round(accuracy * n), int(n))
    return f"{100 * low:.1f}–{100 * high:.1f}"


def list_measured(cells: pd.DataFrame, entries: Mapping[str, Any] = EXTRACTORS) -> pd.DataFrame:
    """List the selected cells of all protocols: accuracy, interval, UAR, macro-F1, validation accuracy, classifier."""
    chosen = cells[cells["selected"].astype(bool)]
    table = pd.DataFrame(
        {
            "task": chosen["task"],
            "model": [_name_model(entries, *each) for each in zip(chosen["model"], chosen["task"], strict=True)],
            "protocol": chosen["protocol"],
            "accuracy": 100 * chosen["test_accuracy"],
            "interval": [
                _write_interval(*each) for each in zip(chosen["test_accuracy"], chosen["n_test"], strict=True)
            ],
            "UAR": 100 * chosen["test_uar"],
            "macro-F1": 100 * chosen["test_macro_f1"],
            "validation": 100 * chosen["validation_accuracy"],
            "classifier": chosen["classifier"],
            "n test": chosen["n_test"].astype(int),
            "as released": [_count_originals(cell) for _, cell in chosen.iterrows()],
        }
    )
    return table.sort_values(["task", "protocol", "accuracy"], ascending=[True, True, False])


def _name_model(entries: Mapping[str, Any], name: str, task: str) -> str:
    """An extractor's title, marked where the task's corpus is part of what it was trained on."""
    entry = entries.get(name)
    mark = " (heard the corpus before)" if entry and task in entry.heard else ""
    return f"{entry.title if entry else name}{mark}"


def list_contributed(results: str | Path) -> pd.DataFrame:
    """List the cells that others contributed to a folder of results as `list_measured` does, with source and who."""
    tables = []
    for folder in sorted(Path(results, "contributed").glob("*/")):
        about, cells = read_contribution(folder)
        more = {"trained on": _write_training(about), "source": _link(about.source), "by": about.by}
        tables.append(list_measured(cells, {folder.name: about}).assign(**more))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _count_originals(cell: pd.Series) -> str:
    """How many of a cell's recordings are as they were released."""
    if pd.isna(cell["n_originals"]):
        return "–"
    parts = ["n_test"] if cell["protocol"] == ROTATED else ["n_train", "n_validation", "n_test"]
    n_originals, n_all = int(cell["n_originals"]), int(cell[parts].sum())
    return "all" if n_originals == n_all else f"{n_originals:,} of {n_all:,}"


def list_copies(provenance: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """List as Markdown the corpora of unknown content of which results were made from resampled copies."""
    lines = {}
    for key, origin in provenance.items():
        code = key.split("/")[0]
        if code in TASKS and (said := describe_copies(TASKS[code], origin.get("sample_rates_hz", {}))):
            lines[f"- {TASKS[code].title}: {said}."] = None
    return list(lines)
