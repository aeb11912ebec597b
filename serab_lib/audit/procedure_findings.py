"""Findings about the procedure: what the released code does where the text says something else, or nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from serab_lib.audit.corpora import count_full_scale, wrap_full_scale
from serab_lib.audit.finding import Finding, count, join
from serab_lib.audit.selection import SelectionModel, measure_selection, simulate_selection
from serab_lib.audit.sources import Sources, place_crop

CROP_S = 0.95
CLIP_S = 10.0  # of AudioSet
SAMPLE_RATE_HZ = 16_000
# Values so far apart are groups.
_GROUP_GAP_POINTS = 2.0


def find_selection(sources: Sources) -> Iterator[Finding]:
    """Yield that the classifier is chosen on the test part."""
    if sources.procedure.selects_on != "test":
        return
    sizes = sources.readings[sources.readings["reading"] == "released"]
    typical = sources.accuracies[list(sizes["task"])].median()
    model, n_draws = SelectionModel(), min(sources.n_draws, 1_000)
    simulated = simulate_selection(sizes, typical, model=model, n_draws=n_draws, rng=sources.seed)
    least, most = (simulated.loc[getattr(simulated["gap"], which)()] for which in ("idxmin", "idxmax"))
    evidence = (
        f"Simulated with {n_draws:,} draws for the sizes of the released splits ({model.n_classifiers} classifiers "
        f"whose true accuracies differ by {100 * model.spread:.0f} points, correlated mistakes), the best on test is "
        f"above the one chosen on validation by {least['gap']:.1f} ({least['task']}) to {most['gap']:.1f} points "
        f"({most['task']}) on average."
    )
    values = {"least_gap": float(least["gap"]), "most_gap": float(most["gap"]), "n_draws": n_draws}
    values["mean_gap"] = float(simulated["gap"].mean())
    if len(sources.cells):
        cells = sources.cells[~sources.cells["synthetic"].astype(bool)]
        gaps = measure_selection(cells[cells["protocol"] == "released"])["gap"]
        if len(gaps):
            values |= {"measured_cells": len(gaps), "measured_gap": float(100 * gaps.mean())}
            evidence += (
                f" In {count(len(gaps), 'measured cell')} it is {100 * gaps.min():.1f} to {100 * gaps.max():.1f} "
                f"points, {100 * gaps.mean():.1f} on average."
            )
    yield Finding(
        name="selection-on-test",
        title="The classifier is chosen on the test part",
        says="The paper says that the best classifier of the grid search is evaluated on the test set.",
        does="The release fits five classifiers, searches each one's parameters on validation, and reports the one "
        "whose test accuracy is best.",
        evidence=evidence,
        consequence="Printed accuracies are best cases: they are above what the same procedure gives with the choice "
        "made on validation, more so for small test parts, and models that lie closer together than that cannot be "
        "ranked by them.",
        confidence="very likely",
        where="table 3, all columns; the release's evaluation",
        values=values,
    )


def find_transductive(sources: Sources) -> Iterator[Finding]:
    """Yield that normalisation uses the test speakers' own utterances."""
    if not sources.procedure.transductive:
        return
    test = sources.normalisation
    test = test[(test["part"] == "test") & (test["protocol"] == "released")]
    yield Finding(
        name="transductive-normalisation",
        title="Test utterances are normalised by each other",
        says="The paper describes classifiers that are fitted on train and validation and evaluated on test.",
        does="Before that, the release standardises the embeddings of every group with their own mean and standard "
        "deviation, in the test part too.",
        evidence="Changing one test utterance's embedding changes what the others of its group are normalised to. The "
        f"groups of the test parts hold {test['median'].min():.0f} to {test['median'].max():.0f} utterances (median of "
        "each task).",
        consequence="The numbers hold for a user who has a collection of utterances of each new speaker, with all "
        "emotions in it, not for single recordings. No label of the test part is used.",
        confidence="very likely",
        where="table 3, all columns; the release's normalisation",
        values={"smallest_median": float(test["median"].min()), "largest_median": float(test["median"].max())},
    )


def find_class_order(sources: Sources) -> Iterator[Finding]:
    """Yield that the numbering of the classes decides part of some results, and is not fixed for IEM4."""
    if sources.procedure.fixed_class_order:
        return
    evidence, values = _measure_orders(sources)
    yield Finding(
        name="class-order",
        title="Part of the result depends on how the classes are numbered; IEM4's numbers change from build to build",
        says="The paper does not speak of it: seeds are fixed, so results should repeat.",
        does="A support vector machine gives tied votes to the class with the lower number. The release numbers the "
        "classes in the order of each loader's table, and IEM4's in that of a Python set of strings. Labels become "
        "numbers when TFDS builds the data set, so IEM4's differ from one build to the next, with the hash seed of "
        "Python.",
        evidence=evidence,
        consequence="Printed values hold for one numbering among many that are as good. A rerun on IEM4, from a data "
        "set built anew, need not give the same number, whatever the seed.",
        confidence="certain",
        where="table 3, wherever the SVM was reported; the release's labels",
        values=values,
    )


def _describe_groups(accuracy: pd.Series) -> str:
    """Say how many values (percent) lie above and below their widest gap, if that is one between groups."""
    steps = np.unique(accuracy.round(1))
    gaps = np.diff(steps)
    if not len(gaps) or gaps.max() < _GROUP_GAP_POINTS:
        return ""
    low, high = steps[gaps.argmax()], steps[gaps.argmax() + 1]
    n_high = int((accuracy.round(1) >= high).sum())
    return (
        f" {n_high:,} of these {len(accuracy):,} orders give {high:.1f} % or more, {len(accuracy) - n_high:,} give "
        f"{low:.1f} % or less, none lies between."
    )


def _measure_orders(sources: Sources) -> tuple[str, dict[str, Any]]:
    """Say what the orders gave that were measured."""
    if sources.orders.empty:
        return "It rests on the code alone: no accuracies over orders of the classes are in these results.", {}
    orders = sources.orders
    task, name = sources.task(orders["task"].iloc[0]), orders["model"].iloc[0]
    accuracy, n_settings = 100 * orders["released"], orders["best_params"].astype(str).nunique()
    n_orders = count(math.factorial(len(task.classes)), "order")
    evidence = (
        f"{task.title} has {n_orders} of its {len(task.classes)} classes. Over {len(accuracy) - 1:,} random "
        f"orders and the release's, the released procedure with {name} gives {accuracy.min():.1f} to "
        f"{accuracy.max():.1f} %, {accuracy.median():.1f} in the median and {accuracy.iloc[0]:.1f} in the release's."
        f"{_describe_groups(accuracy)} The order decides tied votes, and through them which of "
        f"{count(n_settings, 'parameter setting')} validation prefers."
    )
    return evidence, {
        "task": task.code,
        "embeddings": name,
        "n_orders": len(accuracy),
        "lowest": float(accuracy.min()),
        "highest": float(accuracy.max()),
        "median": float(accuracy.median()),
        "in_release_order": float(accuracy.iloc[0]),
        "n_settings": n_settings,
    }


def find_crops(sources: Sources) -> Iterator[Finding]:
    """Yield that pre-training crops all begin at the start of their clip."""
    if sources.procedure.crops_anywhere:
        return
    n_clip, n_crop = round(CLIP_S * SAMPLE_RATE_HZ), round(CROP_S * SAMPLE_RATE_HZ)
    rng = np.random.default_rng(sources.seed)
    starts = {
        sign: {place_crop(n_clip, n_crop, rng, reversed_sign=sign) for _ in range(1_000)} for sign in (False, True)
    }
    share = (max(starts[True]) + n_crop) / n_clip
    yield Finding(
        name="training-crops",
        title="Pre-training crops are always cut at the start",
        says=f"The method takes a random crop of {CROP_S} s of each clip.",
        does="The first public version of BYOL-A (nttcslab/byol-a 446c89d, April 2021), with which the SERAB "
        "checkpoints of May to July 2021 were trained, takes the spare length of a clip with the wrong sign, so that a "
        "clip longer than the crop is cut at its start. NTT corrected it in November 2021 (a0f4d84).",
        evidence=f"Of 1,000 crops of a clip of {CLIP_S:.0f} s, {len(starts[False]):,} begin at different places with "
        f"the right sign and {len(starts[True])} with the reversed one.",
        consequence=f"Pre-training hears the first {100 * share:.1f} % of such a clip, and the same piece in every "
        "epoch. It concerns the BYOL-S models, not how they are evaluated; what it cost cannot be told from the "
        "checkpoints.",
        confidence="very likely",
        where="tables 2 and 3, rows BYOL-S; their pre-training",
        values={"share_heard": share, "n_starts": len(starts[True]), "n_starts_intended": len(starts[False])},
    )


def find_full_scale(sources: Sources) -> Iterator[Finding]:
    """Yield that samples of full scale reach openSMILE as clicks."""
    if sources.procedure.keeps_full_scale:
        return
    wrapped = int(wrap_full_scale([32767])[0])
    counted = {code: count_full_scale(table) for code, table in sources.sounds.items()}
    each = [
        f"{sources.task(code).title} has {int(n['n_samples'])} such samples in {int(n['n_affected'])} of "
        f"{int(n['n_files']):,} files"
        for code, n in counted.items()
    ]
    at_hand = f" Of the corpora at hand, {join(each)}." if each else ""
    yield Finding(
        name="full-scale-click",
        title="openSMILE receives full-scale samples as clicks",
        says="The paper uses openSMILE's ComParE 2016 functionals as they are.",
        does="The release divides 16-bit samples by 32,767; openSMILE's Python wrapper multiplies by 32,768 and "
        "converts to 16 bits without clipping.",
        evidence=f"A sample of 32,767 comes out as {wrapped:,}.{at_hand}",
        consequence="Recordings that reach full scale carry clicks that are not in the corpus, so openSMILE's row may "
        "be off where there are many of them. The wrap-around is not repeated here, under either protocol.",
        confidence="certain",
        where="table 3, row openSMILE",
        values={"wrapped": wrapped, **{f"n_affected_{code}": int(n["n_affected"]) for code, n in counted.items()}},
    )
