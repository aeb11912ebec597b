"""Findings about the splits: who is in which part, and which files there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from serab_lib.audit.arithmetic import check_counts
from serab_lib.audit.finding import Finding, count, join
from serab_lib.audit.sources import Sources
from serab_lib.audit.weighted import weigh_sizes

# A size whose weighted means are rarer than this, against the best size's, is ruled out by them.
UNLIKELY = 1e-3


def find_shared_speakers(sources: Sources) -> Iterator[Finding]:
    """Yield the tasks whose released split has test speakers in train."""
    test = sources.speakers[sources.speakers["part"] == "test"].set_index(["task", "protocol"])
    groups = sources.normalisation[sources.normalisation["part"] == "test"].set_index(["task", "protocol"])
    for task in sources.tasks:
        shared = float(test.loc[(task.code, "released"), "shared_with_train"])
        if shared == 0:
            continue
        group = groups.loc[(task.code, "released")]
        n_groups = sources.readings.set_index(["task", "reading"])["n_groups"]
        n_keys, n_speakers = (int(n_groups[task.code, name]) for name in ("released", "described"))
        same = (
            f" (there happen to be as many, {n_keys}, so counting them shows nothing)" if n_keys == n_speakers else ""
        )
        confidence, evidence, values = _weigh_evidence(sources, task.code)
        yield Finding(
            name=f"shared-speakers-{task.code}",
            title=f"{task.title}: the test speakers are also in train",
            says="The paper says that all partitions are speaker-independent.",
            does=f"The released split of {task.title} keeps together what shares the {task.released_group} in the file "
            f"name, which is not the speaker{same}: {100 * shared:.0f} % of the test utterances are by speakers who "
            "are also in train.",
            evidence=evidence,
            consequence="The column measures how well known voices are understood, which is easier than what the text "
            f"describes. Speaker normalisation goes by the same {count(int(group['n_groups']), 'group')} of the test "
            f"part, which hold {group['speakers_per_group']:.1f} speakers each on average, so it does not take the "
            "voice out.",
            confidence=confidence,
            where=f"table 3, column {task.code}; the release's split",
            values={
                "shared": shared,
                "speakers_per_group": float(group["speakers_per_group"]),
                "n_alone": int(group["n_alone"]),
                "n_groups": n_keys,
                "n_speakers": n_speakers,
                **values,
            },
        )


def find_left_out_classes(sources: Sources) -> Iterator[Finding]:
    """Yield the tasks of which the release leaves classes out."""
    counts = check_counts(sources.datasets, sources.utterances, sources.tasks).set_index(["task", "quantity"])
    for task in sources.tasks:
        present = set(sources.utterances[task.code]["emotion"])
        left_out = [emotion for emotion in task.released_without if emotion in present]
        if not left_out:
            continue
        utterances, classes = counts.loc[(task.code, "utterances")], counts.loc[(task.code, "classes")]
        confidence, evidence, values = _weigh_evidence(sources, task.code)
        yield Finding(
            name=f"left-out-classes-{task.code}",
            title=f"{task.title}: the class {join(left_out)} is missing",
            says=f"The paper uses all samples and classes of the corpora, and counts {classes['printed']} classes and "
            f"{utterances['printed']:,} utterances of {task.title}.",
            does=f"The corpus has {utterances['described']:,} utterances; {utterances['released']:,} remain without "
            f"{join(left_out)}, which the release's loader leaves out: {classes['released']} classes.",
            evidence=evidence,
            consequence=f"The printed column is about {classes['released']} classes, which is an easier task than "
            f"{classes['printed']}; numbers on the whole corpus cannot be compared with it.",
            confidence=confidence,
            where=f"table 1, row {task.title}; table 3, column {task.code}",
            values={
                "n_described": int(utterances["described"]),
                "n_released": int(utterances["released"]),
                "n_printed": int(utterances["printed"]),
                "n_classes_printed": int(classes["printed"]),
                "n_classes_released": int(classes["released"]),
                **values,
            },
        )


def find_file_counts(sources: Sources) -> Iterator[Finding]:
    """Yield numbers of utterances in table 1 that no reading of the corpus gives."""
    counts = check_counts(sources.datasets, sources.utterances, sources.tasks)
    for row in counts[(counts["quantity"] == "utterances")].itertuples():
        if row.agrees_described or row.agrees_released:
            continue
        task = sources.task(row.task)
        readings = sources.comparison[sources.comparison["task"] == row.task]
        fitting = sorted(set(readings.loc[readings["fits"], "n_test"].tolist()))
        decided = len(fitting) == 1 and readings["n_test"].nunique() > 1
        sizes = join([f"{n:,}" for n in fitting], last="as well as")
        excluded = [stem for stem in task.excluded if task.parse(stem)]
        yield Finding(
            name=f"file-count-{row.task}",
            title=f"{task.title}: {row.printed:,} utterances are printed, {row.described:,} are in the list used",
            says=f"Table 1 counts {row.printed:,} utterances.",
            does=f"The list behind the split has {row.described:,}"
            + (f"; files such as {excluded[0]} are not in it." if excluded else "."),
            evidence=f"The printed accuracies allow a test part of {sizes} utterances."
            if fitting
            else "The printed accuracies fit no reading of the split.",
            consequence=f"The two counts differ by {count(abs(row.printed - row.described), 'utterance')}. Which list "
            "a rerun used has to be said with its numbers.",
            confidence="certain" if decided else "cannot be decided",
            where=f"table 1, row {task.title}",
            values={"n_printed": row.printed, "n_listed": int(row.described), "fitting_sizes": fitting},
        )


def _weigh_evidence(sources: Sources, code: str) -> tuple[str, str, dict[str, Any]]:
    """Say how the printed numbers bear on the released against the described test size of a task."""
    own = sources.comparison[sources.comparison["task"] == code].set_index("reading")
    released, described = own.loc["released"], own.loc["described"]
    weights = weigh_sizes(
        sources.accuracies, sources.sizes, code, [released["n_test"], described["n_test"]], rng=sources.seed
    )
    values: dict[str, Any] = {
        "n_test_released": int(released["n_test"]),
        "n_test_described": int(described["n_test"]),
        "n_rows": int(released["n_rows"]),
        "n_fitting_released": int(released["n_fitting"]),
        "n_fitting_described": int(described["n_fitting"]),
        "impossible_described": list(described["impossible"]),
        "chance": float(released["chance"]),
        "n_draws": sources.n_draws,
        "relative_likelihood_described": float(weights["relative"].iloc[1]),
        "n_exact_means_released": int(weights["n_exact"].iloc[0]),
        "n_exact_means_described": int(weights["n_exact"].iloc[1]),
    }
    if released["n_test"] == described["n_test"]:
        return "likely", "Both readings give a test part of the same size, so this rests on the code alone.", values
    text = f"{_say_fit(released, 'the released split')} {_say_fit(described, 'the split that the text describes')}"
    chance = released["chance"]
    rarely = f"in {100 * chance:.1f} %" if chance >= 0.0005 else "in none" if chance == 0 else "in fewer than 0.1 %"
    text += f" A wrong size of this magnitude would fit all rows {rarely} of {sources.n_draws:,} simulated tables."
    text += _say_weights(weights, values)
    if not released["fits"]:
        return "cannot be decided", text, values
    if released["verdict"] == "confirmed":
        return "certain", text, values
    ruled_out = float(weights["relative"].iloc[1]) < UNLIKELY
    return "very likely" if ruled_out else "likely", text, values


def _say_fit(reading: pd.Series, what: str) -> str:
    n = f"{int(reading['n_test']):,}"
    if reading["fits"]:
        return f"All {reading['n_rows']} printed accuracies can occur with the {n} test utterances of {what}."
    n_impossible = reading["n_rows"] - reading["n_fitting"]
    return f"{n_impossible} of them ({join(list(reading['impossible']))}) cannot occur with the {n} of {what}."


def _say_weights(weights: pd.DataFrame, values: dict[str, Any]) -> str:
    """Say what the weighted means add, where they tell the two sizes apart."""
    first, second = (row for _, row in weights.iterrows())
    if first["n_rows"] == 0 or second["relative"] >= UNLIKELY:
        return ""
    return (
        f" The printed weighted means are exactly those that {int(first['n']):,} gives in {first['n_exact']} of "
        f"{first['n_rows']} rows, and those of {int(second['n']):,} in {second['n_exact']}."
    )
