"""The paper's claims, each with a verdict. The words and the statements of each stand in `data/claims.toml`.

A claim names a table and what it states of its rows, such as `UM > 0`. The tables are the methods of `Evidence`; the
verdict follows from how many of the statements are true.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from serab_lib.audit import findings, measurements, selection, speakers, tables
from serab_lib.core import SerabError, read_toml
from serab_lib.corpora.task import TASKS
from serab_lib.evaluation import paper, rankings
from serab_lib.evaluation.significance import ALPHA, compare_best, t_interval
from serab_lib.extractors.registry import EXTRACTORS

VERDICTS = HOLDS, IN_PART, UNKNOWN, FAILS = ("holds", "holds in part", "cannot be told", "does not hold")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One thing that the paper says, in words of our own, with its verdict.

    Attributes
    ----------
    title, says : str
        The claim in a few words, and in full.
    place, topic : str
        Section or table of the paper; heading of the book under which it stands.
    table, of, rows : str, mapping, str
        The member of `Evidence` that gives the table, its arguments, and which rows are meant (a query; all if empty).
    states : tuple of str
        What is claimed of every row, in terms of the columns.
    of_all : bool
        Whether each of these is one statement about all rows, which one exception refutes, or one about each row.
    evidence, beyond : str
        What decides; whether that would last on other test utterances and tasks. `{values}`: see `judge`.
    measured : str
        Added to the evidence where cells were measured that bear on it.
    settled_by : str
        What measurement would settle it.
    see : tuple of str
        Labels of the book's figures, tables and sections.
    name, verdict, values : str, str, DataFrame
        Its name in `data/claims.toml`, one of `VERDICTS`, and the rows that decide: these are made here.
    """

    title: str
    says: str
    place: str
    topic: str
    table: str
    states: tuple[str, ...]
    evidence: str
    settled_by: str
    see: tuple[str, ...]
    of: Mapping[str, Any] = field(default_factory=dict)
    rows: str = ""
    of_all: bool = False
    beyond: str = ""
    measured: str = ""
    name: str = ""
    verdict: str = ""
    values: Any = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What verdicts rest on: the paper's tables, the lists of files, and what was measured on real recordings."""

    accuracies: pd.DataFrame = field(default_factory=paper.read_accuracies)
    sizes: pd.Series = field(default_factory=tables.recover_test_sizes)
    measured: findings.Measured = field(default_factory=findings.Measured)

    @functools.cached_property
    def grid(self) -> pd.DataFrame:
        """Printed accuracies, models by tasks."""
        return self.accuracies[list(self.sizes.index)]

    @functools.cached_property
    def means(self) -> pd.DataFrame:
        """UM, WM and GM as they follow from the grid."""
        table = tables.check_means(self.accuracies, self.sizes)
        return table.pivot(index="model", columns="mean", values="computed")[tables.MEANS]

    def contrasts(self, pairs: Iterable[Sequence[str]] = (), of: str = "", over: Sequence[str] = ()) -> pd.DataFrame:
        """Contrast pairs of models, or each whose name begins with `of` with each that begins with one of `over`.

        Besides the columns of `compare_pairs`, `noise` is half of the 95 % interval of the difference by UM over other
        test utterances, `beyond_noise` whether that is larger, `beyond_tasks` whether p is below 0.05.
        """
        names, rivals = ([name for name in self.grid.index if name.startswith(key)] for key in (of, tuple(over)))
        pairs = [*map(tuple, pairs), *((a, b) for b in rivals for a in names if b not in names or a < b)]
        table = rankings.compare_pairs(self.grid, self.means, pairs)
        table["noise"] = rankings.measure_noise(self.grid, self.sizes, pairs)
        table["beyond_noise"], table["beyond_tasks"] = table["UM"].abs() > table["noise"], table["p"] < ALPHA
        return table.assign(among=table["second"].isin(names), n_measured=len(self.measured.windows))

    @functools.cached_property
    def heard(self) -> pd.Series:
        """What was measured of BYOL-A and BYOL-S through either window, on average over tasks."""
        return measurements.compare_windows(self.measured.windows, self.measured.cells).loc["mean"]

    @functools.cached_property
    def tasks(self) -> pd.DataFrame:
        """Every task: each model's accuracy and the best, how far models differ, and what table 1 and the lists say."""
        readings = tables.list_readings().set_index(["task", "reading"])[["n_train", "n_validation", "n_test"]]
        parts = readings.xs("released", level="reading")
        byol = self.grid[self.grid.index.str.startswith("BYOL")]
        apart = speakers.compare_speakers().query("protocol == 'released' and part != 'train'").groupby("task")
        emotions = speakers.count_classes().pivot_table("n_total", "task", "emotion", "min", fill_value=0)
        lists = [tables.check_durations().set_index("task"), paper.read_datasets().set_index("code"), emotions]
        lists += [parts, rankings.measure_spread(byol, self.sizes), apart["shared_with_train"].max()]
        table = self.grid.T.join(lists)
        table[["train", "validation", "test"]] = 100 * parts.div(parts.sum(axis=1), axis=0)
        left_out = readings.sum(axis=1).groupby("task").max() - parts.sum(axis=1)
        elicited = [TASKS[code].elicitation for code in table.index]
        return table.assign(best=self.grid.max(), left_out=left_out, elicitation=elicited)

    def wins(self) -> pd.DataFrame:
        """Every model: in which tasks it is best, alone or not, and in which of these no pairing makes it a tie."""
        first = self.grid == self.grid.max()
        verdicts = compare_best(self.accuracies, self.sizes).set_index("task")["verdict"]
        kinds = {"won": first, "shared": first & (first.sum() > 1), "clear": first & (verdicts == "distinguishable")}
        lists = {kind: [list(table.columns[row]) for row in table.to_numpy()] for kind, table in kinds.items()}
        return pd.DataFrame(lists, index=first.index).assign(n_best=first.sum(axis=1))

    def ranks(self) -> pd.DataFrame:
        """Every two means: Kendall's tau of the rankings that they give."""
        scores, pairs = self.means.T.to_numpy(), combinations(range(len(tables.MEANS)), 2)
        return pd.DataFrame({"tau": [rankings.correlate_ranks(scores[[a]], scores[[b]])[0] for a, b in pairs]})

    def subsets(self) -> pd.DataFrame:
        """Subsets by size, as in `summarise_sizes`; `tau_byol` is `tau_rest` of the BYOL-derived models alone."""
        byol = self.grid[self.grid.index.str.startswith("BYOL")]
        table, own = (rankings.summarise_sizes(rankings.rank_subsets(rows)) for rows in (self.grid, byol))
        return table.assign(tau_byol=own["tau_rest"])

    def rows_of_means(self) -> pd.DataFrame:
        """Every row of table 3: whether its UM, WM and GM follow from its accuracies."""
        return tables.check_means(self.accuracies, self.sizes).groupby("model", sort=False)[["agrees"]].all()

    def models(self, pairs: Sequence[Sequence[str]] = ()) -> pd.DataFrame:
        """Every extractor, or the second of each pair of them and, as `other_...`, the first: sizes and window."""
        table = tables.check_parameters().set_index("extractor")
        table["built_size"] = [EXTRACTORS[name].embedding_size for name in table.index]
        table["released_frames"] = [EXTRACTORS[name].released_frames for name in table.index]
        table["window"] = [EXTRACTORS[name].options.get("window_samples") for name in table.index]
        if not pairs:
            return table
        first, second = (table.loc[[pair[place] for pair in pairs]].reset_index() for place in (0, 1))
        return second.join(first.add_prefix("other_"))

    def choices(self) -> pd.DataFrame:
        """All measured cells in which the choice on validation is not the best on test: which is nearer to print."""
        cells = selection.measure_selection(self.measured.cells.query("protocol == 'released'")).query("gap > 0")
        printed = np.array([tables.read_printed(cell.task).get(cell.model, np.nan) for cell in cells.itertuples()])
        off = (100 * cells[["chosen_accuracy", "best_accuracy"]]).astype(float).sub(printed, axis=0).abs().dropna()
        n_chosen = (off["chosen_accuracy"] < off["best_accuracy"]).sum()
        table = off.mean().to_frame().T.assign(n_chosen=n_chosen, n_best=len(off) - n_chosen, n_measured=len(off))
        p = stats.binomtest(n_chosen, len(off)).pvalue if len(off) else 1.0
        return table.assign(p=p, known=p < ALPHA)

    def ablation(self, name: str) -> pd.DataFrame:
        """By how much models that differ in one thing alone were measured to differ, in points: 95 % over tasks."""
        lead = self.measured.ablations.get(name, {"lead": []})["lead"]
        low, high = t_interval(lead)
        return pd.DataFrame([{"n_measured": len(lead), "low": low, "high": high, "known": low > 0 or high < 0}])


def judge_claims(evidence: Evidence | None = None, *, results: Path | None = None) -> list[Claim]:
    """Give every claim its verdict.

    Parameters
    ----------
    evidence : Evidence, optional
        The paper's tables and the lists of files if None, with what was measured in `results`.
    results : Path, optional
        Folder that `serab run` wrote.

    Returns
    -------
    list of Claim
        In the order of `data/claims.toml`, which is that of what matters.

    Raises
    ------
    SerabError
        If a claim names a table, a column or a value that there is not.
    """
    evidence = evidence or Evidence(measured=findings.read_measured(results))
    claims = read_toml(findings.DATA / "claims.toml", dict[str, Claim])
    return [judge(name, claim, evidence) for name, claim in claims.items()]


def judge(name: str, claim: Claim, evidence: Evidence) -> Claim:
    """Give one claim its verdict, and fill the numbers into its words.

    It holds if all that it states is true, in part if some is, and does not hold if nothing is. Where no row is
    `known`, because nothing tests it, it cannot be told.

    A text can name the columns of the rows that are meant, as lists; `n`, how many there are; `so` and `not_so`, in how
    many each statement is true; `where` and `but`, in which the first is and is not; `least`, `most` and `sum` of the
    columns; the rows as a table, `t`; and all the evidence, `all`.
    """
    try:
        rows = getattr(evidence, claim.table)
        rows = rows(**claim.of) if callable(rows) else rows
        rows = rows.query(claim.rows) if claim.rows else rows
        marks = pd.DataFrame({place: rows.eval(state) for place, state in enumerate(claim.states)}, rows.index)
        numbers, first = rows.select_dtypes(["number", "bool"]), marks[0]
        values = {"t": rows, "n": len(rows), "so": marks.sum(), "not_so": (~marks).sum(), "all": evidence}
        values |= {"where": [*rows.index[first]], "but": [*rows.index[~first]], **rows.to_dict("list")}
        values |= {"least": numbers.min(), "most": numbers.max(), "sum": numbers.sum()}
        evidence_text = f"{claim.evidence} {claim.measured if sum(values.get('n_measured', [])) else ''}".strip()
        texts = {
            "evidence": findings.fill(evidence_text, (), values),
            "beyond": findings.fill(claim.beyond, (), values),
        }
    except (AttributeError, LookupError, TypeError, NameError, SyntaxError) as error:
        raise SerabError(f"claims.toml, {name}: it asks for what is not known: {error}") from error
    known = marks[rows["known"]] if "known" in rows else marks
    true = list(known.all() if claim.of_all else known.to_numpy().ravel())
    verdict = UNKNOWN if not true else HOLDS if all(true) else IN_PART if any(true) else FAILS
    return replace(claim, **texts, name=name, verdict=verdict, values=rows)
