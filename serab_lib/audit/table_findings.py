"""Findings about the arithmetic of the paper's tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from serab_lib.audit.arithmetic import HALF_DIGIT, check_durations, check_parameters, explain_means, rank_by_mean
from serab_lib.audit.finding import Finding, count, join
from serab_lib.audit.sources import Sources


def find_means(sources: Sources) -> Iterator[Finding]:
    """Yield the rows of table 3 whose means do not follow from their accuracies."""
    means = sources.means
    n_models = means["model"].nunique()
    wrong_models = means.loc[~means["agrees"], "model"].nunique()
    for model, wrong in means[~means["agrees"]].groupby("model", sort=False):
        each = [f"{row.mean} {row.printed:.1f} where {row.computed:.1f} follows" for row in _rows(wrong)]
        ranks = rank_by_mean(sources.accuracies, sources.sizes).set_index("model").loc[model]
        printed_rank, computed_rank = int(ranks["rank_printed"]), int(ranks["rank_computed"])
        cells = _find_single_cells(sources, model, wrong["mean"].tolist())
        single = (
            f"A single other accuracy would explain it, in column {join(cells, last='or')}."
            if cells
            else "No single misprinted accuracy explains it."
        )
        yield Finding(
            name=f"means-{model}".replace(", ", "-").replace(" ", "-").replace("/", "-"),
            title=f"{model}: printed means do not follow from the row",
            says=f"Table 3 prints for {model}: {join(each)}.",
            does="The means are recomputed from the row's own accuracies, WM with the test sizes that the accuracies "
            "give away.",
            evidence=f"Rounding can explain a difference of up to {2 * HALF_DIGIT:.1f}: {HALF_DIGIT} for the "
            f"accuracies and {HALF_DIGIT} for the mean. The other {count(n_models - wrong_models, 'row')} agree. "
            f"{single}",
            consequence=(
                f"By UM the model ranks {computed_rank} in place of {printed_rank} of {n_models}."
                if printed_rank != computed_rank
                else f"Its rank by UM, {printed_rank} of {n_models}, stays; its distance to the others changes by "
                f"{abs(ranks['printed'] - ranks['computed']):.1f} points."
            ),
            confidence="certain",
            where=f"table 3, row {model}",
            values={
                **{
                    f"{row.mean}_{kind}": getattr(row, kind) for row in _rows(wrong) for kind in ("printed", "computed")
                },
                "tolerance": 2 * HALF_DIGIT,
                "n_agreeing_rows": n_models - wrong_models,
                "rank_printed": printed_rank,
                "rank_computed": computed_rank,
                "single_cells": cells,
            },
        )


def find_durations(sources: Sources) -> Iterator[Finding]:
    """Yield the data sets whose mean and total duration contradict each other, or the recordings."""
    table = check_durations(sources.datasets, sources.utterances, sources.tasks)
    for row in _rows(table):
        measured_wrong = row.measured_agrees is False
        if row.agrees and not measured_wrong:
            continue
        title = sources.task(row.task).title
        measured = f" The recordings last {row.measured_mean_s:.2f} s on average." if row.n_timed else ""
        n_agreeing = int(table["agrees"].sum())
        yield Finding(
            name=f"durations-{row.task}",
            title=f"{title}: mean and total duration contradict each other"
            if not row.agrees
            else f"{title}: the printed mean duration is not that of the recordings",
            says=f"Table 1 prints a mean of {row.printed_mean_s:.1f} s and a total of {row.printed_total_h:.1f} h for "
            f"{row.n_printed:,} utterances.",
            does=f"This total over so many utterances is a mean of {row.implied_mean_s:.1f} s.{measured}",
            evidence=f"Any total that prints as {row.printed_total_h:.1f} h gives a mean between "
            f"{row.implied_low_s:.2f} and {row.implied_high_s:.2f} s. Mean and total agree for {n_agreeing} of the "
            f"{len(table)} data sets.",
            consequence="No accuracy depends on it; what is off is the table's description of the corpus.",
            confidence="certain",
            where=f"table 1, row {title}",
            values={
                "printed_mean_s": row.printed_mean_s,
                "printed_total_h": row.printed_total_h,
                "implied_mean_s": row.implied_mean_s,
                "n_printed": row.n_printed,
                "n_agreeing": n_agreeing,
            },
        )


def find_parameters(sources: Sources) -> Iterator[Finding]:
    """Yield the models whose printed number of parameters is not the network's."""
    table = check_parameters(sources.models, sources.n_parameters)
    known = table[table["agrees"].notna()]
    wrong = known[~known["agrees"].astype(bool)]
    if wrong.empty:
        return
    each = [
        f"{row.model} {row.printed_millions:.1f} million (counted: {row.n_parameters / 1e6:.1f})"
        for row in _rows(wrong)
    ]
    yield Finding(
        name="parameters",
        title=f"Parameter counts of {join(list(wrong['model']))} are not those of the networks used here",
        says=f"Table 2 prints for {join(each)}.",
        does="The parameters of the networks that produce the embeddings are counted.",
        evidence=f"The counts of the other {count(len(known) - len(wrong), 'row')} that can be checked agree within "
        f"{HALF_DIGIT} million; {count(len(table) - len(known), 'row')} cannot be checked.",
        consequence="A plot of accuracy against size places these models elsewhere. The printed numbers may count "
        "another version of the network, or parts that the embedding does not use.",
        confidence="likely",
        where=f"table 2, {'row' if len(wrong) == 1 else 'rows'} {join(list(wrong['model']))}",
        values={
            **{f"{row.extractor}_printed_millions": row.printed_millions for row in _rows(wrong)},
            **{f"{row.extractor}_n_parameters": int(row.n_parameters) for row in _rows(wrong)},
            "n_agreeing": len(known) - len(wrong),
        },
    )


def _rows(table: pd.DataFrame) -> Iterator[Any]:
    return table.itertuples(index=False)


def _find_single_cells(sources: Sources, model: str, wrong: list[str]) -> list[str]:
    """Tasks where one other accuracy in the row would give all of the wrong means as they are printed."""
    needed = explain_means(sources.accuracies, model, sources.sizes)
    needed = needed[needed["mean"].isin(wrong)]
    possible = needed.groupby("task", sort=False).agg(low=("low", "max"), high=("high", "min"))
    possible = possible[(possible["low"] <= possible["high"]) & (possible["low"] <= 100)]
    return list(possible.index)
