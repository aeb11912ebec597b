"""The audit: what does not add up. The words stand in `data/findings.toml`, the numbers are computed here."""

from __future__ import annotations

import dataclasses
import itertools
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from serab_lib.audit import measurements, selection, speakers, tables
from serab_lib.audit.measurements import NO_ROWS
from serab_lib.benchmark.results import Results
from serab_lib.core import read_toml
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.task import PAPER_TASKS, get_task
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.significance import ALPHA, exact_mcnemar

Values = dict[str, Any]
DATA = Path(str(resources.files("serab_lib"))) / "data"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that does not add up, or that a reader of the numbers should know.

    Attributes
    ----------
    name, title : str
        For code and for people.
    says, does : str
        What the paper says; what the code does, or what the tables hold.
    evidence, consequence : str
        What it rests on, in computed numbers; what it means for the results.
    code : str
        Whether what is said of code and tables was read or computed.
    table : str
        How sure it is that table 3 was made that way.
    changes : str
        A number, a ranking, or a description only.
    where : str
        Which table, column or step.
    read_at : tuple of mappings
        What was read: `repository`, `commit` or version, `file`, `line`, and a word that the line holds.
    values : mapping
        The numbers of the text, by name.
    """

    name: str
    title: str
    says: str
    does: str
    evidence: str
    consequence: str
    code: str
    table: str
    changes: str
    where: str
    read_at: tuple[Values, ...]
    values: Mapping[str, Any]

    def as_dict(self) -> Values:
        """Give all fields, ready for JSON: a number that is not known is None."""
        known = {name: None if value != value else value for name, value in self.values.items()}
        return dataclasses.asdict(self) | {"values": known}

    def as_paragraph(self) -> str:
        """Give the finding as one paragraph of plain text."""
        sure = f"Code and tables: {self.code}. Table 3 made so: {self.table}. It bears on {self.changes}."
        read = f" Read at {_list_places(self.read_at, locate)}." if self.read_at else ""
        return " ".join((self.says, self.does, self.evidence, self.consequence, sure)) + read


class Measured(NamedTuple):
    """What of the evidence was measured on real recordings; each may be empty."""

    cells: pd.DataFrame = NO_ROWS
    orders: pd.DataFrame = NO_ROWS
    windows: pd.DataFrame = NO_ROWS
    sounds: Mapping[str, pd.DataFrame] = {}
    ablations: Mapping[str, pd.DataFrame] = {}


def audit(*, results: Path | None = None, data: Path | None = None) -> list[Finding]:
    """Look for everything that does not add up.

    Parameters
    ----------
    results : Path, optional
        Folder that `serab run` wrote; nothing is needed but the paper and the lists that come with the package.
    data : Path, optional
        Folder of corpora, whose sound is then hashed to find recordings that are there twice.

    Returns
    -------
    list of Finding
        In the order of `data/findings.toml`.
    """
    measured = read_measured(results)
    if data:
        measured = measured._replace(sounds=measurements.hash_corpora(data))
    found = []
    for name, record in read_toml(DATA / "findings.toml", dict[str, dict[str, Any]]).items():
        for values in FINDERS[name](measured) if name in FINDERS else [{}]:
            found.append(_write(name, record, record.get("values", {}) | values))
    return found


def read_measured(results: Path | None) -> Measured:
    """Read what a folder of results has of the evidence; `ablations` are in `audit/ablation-NAME.csv`, by name."""
    if results is None:
        return Measured()
    folder = Results(results)
    cells = folder.read_cells()
    tables = (measurements.read_measurement(folder, name) for name in ("label_order", "byol_a_window"))
    ablations = {path.stem.partition("-")[2]: pd.read_csv(path) for path in results.glob("audit/ablation-*.csv")}
    return Measured(cells[~cells["synthetic"].astype(bool)], *tables, ablations=ablations)


def _write(name: str, record: Mapping[str, Any], values: Values) -> Finding:
    """Fill values into the words of a finding, those of the case that the values name first."""
    words = record | record.get(values.pop("case", ""), {})
    name = values.pop("name", name)
    values = {key: value.item() if hasattr(value, "item") else value for key, value in values.items()}
    filled = {key: fill(text, (), values) for key, text in words.items() if isinstance(text, str)}
    return Finding(name=name, values=values, read_at=tuple(record.get("read_at", ())), **filled)


class _Prose(string.Formatter):
    """Format strings with lists in words, a true minus, and per cent with the space that it has in the text."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, list | tuple):
            return join([self.format_field(each, format_spec) for each in value])
        text = format(value, format_spec).replace("%", " %")
        return text if isinstance(value, str) else text.replace("-", "−")


fill = _Prose().vformat


def join(items: Sequence[str]) -> str:
    """Write a list as English does: `a, b and c`, or `none`."""
    return "".join(items) or "none" if len(items) < 2 else f"{', '.join(items[:-1])} and {items[-1]}"


def write_findings(findings: list[Finding]) -> str:
    """Write findings as Markdown: an anchor and a heading each, what the paper says, what the code does, and so on."""
    sections = []
    for number, each in enumerate(findings, start=1):
        read = f"\n\n**Read at.** {_list_places(each.read_at, link)}." if each.read_at else ""
        sections.append(
            f'<a id="finding-{each.name.lower()}"></a>\n\n### {number}. {each.title}\n\n'
            f"**The paper.** {each.says}\n\n**The code and the tables.** {each.does}\n\n"
            f"**Evidence.** {each.evidence}\n\n**Consequence.** {each.consequence}\n\n**How sure.** Code and tables: "
            f"{each.code}. Table 3 made so: {each.table}. It bears on {each.changes}. Where: {each.where}.{read}"
        )
    return "\n\n".join(sections)


def link(place: Mapping[str, Any]) -> str:
    """Link to a line of a repository as it was."""
    path = f"{place['repository']}/blob/{place['commit']}/{place['file']}#L{place['line']}"
    return f"[{locate(place)}](https://github.com/{path})"


def locate(place: Mapping[str, Any]) -> str:
    """Name a line of a file."""
    return f"{place['file']}, line {place['line']}"


def _list_places(places: Sequence[Mapping[str, Any]], write: Callable[[Mapping[str, Any]], str]) -> str:
    """Write places by repository and commit."""
    groups = itertools.groupby(places, lambda place: f"{place['repository']} at {place['commit'][:7]}")
    return "; ".join(f"{name}: {', '.join(map(write, own))}" for name, own in groups)


def read_departures() -> pd.DataFrame:
    """Read where the protocol `released` knowingly does something else than the release, one row each."""
    table = pd.read_csv(DATA / "departures.csv")
    return table.assign(read_at=list(map(link, table.to_dict("records"))))


def _find_window(measured: Measured) -> Iterator[Values]:
    if measured.windows.empty:
        yield {"n_tasks": 0}
        return
    given = measured.windows, measured.cells
    table, described = (measurements.compare_windows(*given, name) for name in ("released", "described"))
    tasks, mean = table.drop("mean"), table.loc["mean"]
    measures = tasks[["window_400", "window_1024", "own_statistics"]]
    exact = measures.round(1).eq(tasks["printed"], axis=0).sum()
    released = measured.windows.query("protocol == 'released'")
    levels = released["task"].map(lambda code: get_task(code).log_mel_statistics[0])
    off = released[["mean_400", "mean_1024"]].sub(levels, axis=0).abs()
    only = measured.windows.groupby("protocol")[["only_400", "only_1024"]].sum()
    pooled = {f"p_{protocol}": exact_mcnemar(*pair) for protocol, *pair in only.itertuples()}
    moved = (tasks["own_statistics"] - tasks["window_1024"]).abs()
    values = {"case": "measured", "n_tasks": len(tasks), "tasks": list(tasks.index), "n_test": released["n_test"].sum()}
    values |= {**mean, **described.loc["mean"].add_prefix("described_"), **exact.add_prefix("exact_"), **pooled}
    values |= (mean - mean["window_400"]).add_prefix("gain_").to_dict()
    values |= measures.sub(tasks["printed"], axis=0).abs().mean().add_prefix("distance_").to_dict()
    values |= {**off.min().add_prefix("least_"), **off.max().add_prefix("most_")}
    values |= {"lead": mean["byol_s_printed"] - mean["printed"], "n_same": exact["window_1024"] or "none"}
    values |= {"most_moved": moved.idxmax(), "most_moved_by": moved.max()}
    yield values | {"a_or_no": "a" if max(pooled.values()) < ALPHA else "no"}


def _compare_sizes(code: str) -> Values:
    """How a column bears on the released against the described test size of a task."""
    own = tables.compare_test_sizes().query("task == @code").set_index("reading")
    released, described = own.loc["released"], own.loc["described"]
    values = {"n_test_released": released["n_test"], "n_test_described": described["n_test"]}
    values |= {"impossible_described": described["impossible"], "n_impossible": len(described["impossible"])}
    sizes = list(released["small_sizes"])
    return values | {"n_rows": released["n_rows"], "small_size": tables.SMALL_SIZE, "small_sizes": sizes}


def _find_shared_speakers(code: str) -> Iterator[Values]:
    own = f"task == '{code}' and protocol == 'released'"
    shared = speakers.compare_speakers().query(own).set_index("part")["shared_with_train"]
    groups = speakers.describe_normalisation().query(own).set_index("part")
    tested = groups[["n_groups", "n_alone"]].loc["test"].add_suffix("_test").astype(int)
    values = {"shared": shared["test"], "speakers_per_group": groups["speakers_per_group"]["test"], **tested}
    values |= {"n_alone_validation": groups["n_alone"]["validation"], "n_groups": groups["n_groups"].sum()}
    yield values | _compare_sizes(code)


def _find_shared_iem4(_: Measured) -> Iterator[Values]:
    """IEM4's size follows from the weighted means."""
    (values,) = _find_shared_speakers("IEM")
    scan = tables.check_weighted_means("IEM", range(1_050, 1_200)).set_index("n")
    possible = scan.index[scan["n_possible"] == scan["n_rows"]]
    impossible = scan.loc[values["n_test_described"], "impossible"]
    values |= {"n_means": scan["n_rows"].max(), "impossible_means": impossible, "n_impossible_means": len(impossible)}
    yield values | {"n_possible_sizes": len(possible), "least_size": possible.min(), "most_size": possible.max()}


def _find_left_out_class(_: Measured) -> Iterator[Values]:
    counts = tables.check_counts().query("task == 'CAF'").set_index("quantity")[["printed", "described", "released"]]
    utterances, classes = counts.loc["utterances"].add_prefix("n_"), counts.loc["classes"].add_prefix("n_classes_")
    printed = tables.check_durations().set_index("task").loc["CAF", ["printed_mean_s", "printed_total_h"]]
    listed, without = list_utterances("CAF"), get_task("CAF").released_without
    durations = {"described": listed["duration_s"], "released": listed["duration_s"][~listed["emotion"].isin(without)]}
    means = {f"mean_{name}_s": own.mean() for name, own in durations.items()}
    totals = {f"total_{name}_h": own.sum() / 3600 for name, own in durations.items()}
    yield {**utterances, **classes, **printed, **means, **totals, **_compare_sizes("CAF")}


def _find_file_count(_: Measured) -> Iterator[Values]:
    row = tables.check_counts().query("task == 'CRE' and quantity == 'utterances'").iloc[0]
    sizes = tables.compare_test_sizes().query("task == 'CRE' and fits").set_index("reading")["n_test"]
    printed, listed = row["printed"], row["described"]
    values = {"n_printed": printed, "n_listed": listed, "difference": printed - listed}
    values |= {"n_test": sizes["released"], "left_out": next(iter(get_task("CRE").excluded))}
    yield values | {"fitting_sizes": sorted(set(sizes.tolist()))}


def _find_shares(_: Measured) -> Iterator[Values]:
    parts = tables.list_readings().query("reading == 'released'").set_index("task").filter(regex="^n_[tv]")
    shares = 100 * parts.div(parts.sum(axis=1), axis=0)
    yield {"shares": [f"{task} {'/'.join(f'{share:.0f}' for share in row)}" for task, *row in shares.itertuples()]}


def _find_selection(measured: Measured) -> Iterator[Values]:
    simulated = selection.read_simulation().loc[selection.SPREAD, selection.SHIFT]
    means, gaps = simulated.mean(numeric_only=True), simulated.set_index("task")["gap"]
    values = {"n_draws": selection.N_DRAWS, "n_classifiers": selection.N_CLASSIFIERS}
    values |= {"spread": selection.SPREAD, "shift": selection.SHIFT, "mean_gap": means["gap"]}
    values |= {"least_gap": gaps.min(), "most_gap": gaps.max(), "least_task": gaps.idxmin(), "most_task": gaps.idxmax()}
    values |= means[["optimism", "tau_test", "tau_validation"]].to_dict()
    gaps = 100 * selection.measure_selection(measured.cells.query("protocol == 'released'"))["gap"]
    if len(gaps):
        values |= {"case": "measured", "measured_cells": len(gaps), "measured_gap": gaps.mean()}
        values |= {"cells": "cell" if len(gaps) == 1 else "cells", "least": gaps.min(), "most": gaps.max()}
    yield values


def _find_transductive(_: Measured) -> Iterator[Values]:
    medians = speakers.describe_normalisation().query("part == 'test' and protocol == 'released'")["median"]
    yield {"smallest_median": medians.min(), "largest_median": medians.max()}


def _find_class_order(measured: Measured) -> Iterator[Values]:
    orders = measured.orders
    if orders.empty:
        yield {}
        return
    accuracy = 100 * orders["released"]
    # The accuracies fall into two groups.
    steps = np.unique(accuracy.round(1))
    below, above = steps[np.diff(steps).argmax() :][:2]
    values = {"case": "measured", "embeddings": orders["model"].iloc[0], "n_orders": len(orders)}
    values |= {"n_random": len(orders) - 1, "n_settings": orders["best_params"].astype(str).nunique()}
    values |= {"lowest": accuracy.min(), "highest": accuracy.max(), "median": accuracy.median()}
    values |= {"in_release_order": accuracy.iloc[0], "above": above, "below": below}
    n_above = (accuracy.round(1) >= above).sum()
    yield values | {"n_above": n_above, "n_below": len(orders) - n_above}


def _find_means(_: Measured) -> Iterator[Values]:
    model, accuracies, sizes = "BYOL-A, 512", read_accuracies(), tables.recover_test_sizes()
    means = tables.check_means(accuracies, sizes)
    own = means[means["model"] == model].set_index("mean")
    um = means[means["mean"] == "UM"].set_index("model")[["printed", "computed"]]
    wm = means[means["mean"] == "WM"].set_index("model")["computed"]
    values = {**own["printed"].add_suffix("_printed"), **own["computed"].add_suffix("_computed")}
    values |= um.rank(ascending=False, method="min").loc[model].astype(int).add_prefix("rank_").to_dict()
    values |= (um.loc[model] - um.loc["openSMILE"]).add_prefix("lead_").to_dict()
    values |= (um.loc["BYOL-S, 512"] - um.loc[model]).add_prefix("behind_").to_dict()
    values |= {"tolerance": 2 * tables.HALF_DIGIT, "lead_WM_computed": wm[model] - wm["openSMILE"], "n_models": len(um)}
    yield values | {"n_agreeing_rows": means.groupby("model")["agrees"].all().sum()}


def _find_durations(_: Measured) -> Iterator[Values]:
    table = tables.check_durations().set_index("task")
    names = ["printed_mean_s", "printed_total_h", "implied_mean_s", "implied_low_s", "implied_high_s", "n_printed"]
    yield {**table[names].astype(object).loc["IEM"], "n_agreeing": table["agrees"].sum(), "n_datasets": len(table)}


def _find_parameters(_: Measured) -> Iterator[Values]:
    table = tables.check_parameters().set_index("extractor")
    wrong = table.loc[["vggish", "yamnet"]]
    values = {"n_agreeing": table["agrees"].eq(True).sum(), "n_unknown": table["agrees"].isna().sum()}
    values |= wrong["printed_millions"].add_suffix("_printed_millions").to_dict()
    yield values | (wrong["n_parameters"] / 1e6).add_suffix("_millions").to_dict()


def _find_duplicates(measured: Measured) -> Iterator[Values]:
    for task in map(get_task, PAPER_TASKS):
        twice = measurements.find_duplicates(task, measured.sounds)
        if twice.empty:
            continue
        labelled = [zip(row.files, row.emotions, strict=True) for row in twice.itertuples()]
        n_in_use, n_contradicting = (twice["n_used"] > 1).sum(), twice["contradicting"].sum()
        values = {"name": f"duplicates-{task.code}", "case": "contradicting" if n_contradicting else ""}
        values |= {"title": task.title, "recordings": "recording" if len(twice) == 1 else "recordings"}
        values |= {"pairs": [" = ".join(f"{file} ({emotion})" for file, emotion in pair) for pair in labelled]}
        values |= {"n_duplicates": len(twice), "n_contradicting": n_contradicting, "n_in_use": n_in_use}
        yield values | {"in_use": f"{n_in_use or 'None'} of them {'is' if n_in_use < 2 else 'are'}"}


def _find_rare(_: Measured) -> Iterator[Values]:
    n_enough = 10
    rare = speakers.count_classes().query("protocol == 'released' and n_total > 0 and n_test < @n_enough")
    names = rare["task"] + " " + rare["emotion"]
    values = dict(zip(names.str.replace(" ", "_"), rare["n_test"], strict=True))
    values |= {"rare": list(names + " (" + rare["n_test"].astype(str) + " of " + rare["n_total"].astype(str) + ")")}
    values |= {"moved_by_one": 100 / values["EMB_disgust"] / len(get_task("EMB").classes), "n_enough": n_enough}
    yield values | {"untested": list(names[rare["n_test"] == 0]), "widest": rare["half_width"].max()}


def _find_narrow(_: Measured) -> Iterator[Values]:
    released = speakers.compare_speakers().query("protocol == 'released'").set_index("task")
    test, corpus = released[released["part"] == "test"], released.groupby("task")[["n_female", "n_male"]].sum()
    remarks = pd.Series("", index=test.index)
    for gender in ("female", "male"):
        own = test[f"n_{gender}"] == test["n_speakers"]
        remarks[own & corpus.all(axis=1)[test.index]] = f" (all {gender})"
    narrow = test[(test["n_speakers"] <= 5) | (remarks != "")]["n_speakers"]
    parts = [f"{task} {n}{remarks[task]}" for task, n in narrow.items()]
    yield {**narrow, "parts": parts, "n_narrow": len(narrow), "n_tasks": len(test)}


FINDERS: Mapping[str, Callable[[Measured], Iterator[Values]]] = {
    "byol-a-window": _find_window,
    "shared-speakers-SHE": lambda _: _find_shared_speakers("SHE"),
    "shared-speakers-IEM": _find_shared_iem4,
    "left-out-classes-CAF": _find_left_out_class,
    "file-count-CRE": _find_file_count,
    "selection-on-test": _find_selection,
    "transductive-normalisation": _find_transductive,
    "class-order": _find_class_order,
    "means-BYOL-A-512": _find_means,
    "durations-IEM": _find_durations,
    "parameters": _find_parameters,
    "split-shares": _find_shares,
    "duplicates": _find_duplicates,
    "rare-classes": _find_rare,
    "narrow-test-parts": _find_narrow,
}
"""What gives the numbers of each finding, by its name in `data/findings.toml`."""
