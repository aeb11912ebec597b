"""Findings about the corpora: what they hold, and how little of it is tested."""

from __future__ import annotations

from collections.abc import Iterator

from serab_lib.audit.corpora import count_classes, find_duplicates, find_rare_classes
from serab_lib.audit.finding import Finding, count, join
from serab_lib.audit.sources import Sources
from serab_lib.audit.speakers import find_narrow_tests


def find_twice_recorded(sources: Sources) -> Iterator[Finding]:
    """Yield recordings that are in a corpus under two names."""
    for task in sources.tasks:
        # Of what is on disk the files that the task never uses are not hashed: the released list knows more.
        digests = sources.digests.get(task.code, sources.sounds.get(task.code))
        if digests is None:
            continue
        twice = find_duplicates(task, digests)
        if twice.empty:
            continue
        n_contradicting, n_in_use = int(twice["contradicting"].sum()), int((twice["n_used"] > 1).sum())
        pairs = [
            " = ".join(f"{file} ({emotion})" for file, emotion in zip(row.files, row.emotions, strict=True))
            for row in twice.itertuples()
        ]
        in_use = count(n_in_use, "of them is", "of them are") if n_in_use else "None of them is"
        yield Finding(
            name=f"duplicates-{task.code}",
            title=f"{task.title}: {count(len(twice), 'recording')} under two names"
            + (f", {n_contradicting} with contradicting labels" if n_contradicting else ""),
            says="The paper uses the corpora as they are.",
            does=f"Identical sound: {join(pairs)}.",
            evidence="Equal SHA-256 of the files, or of their decoded samples.",
            consequence=f"{in_use} in the task more than once. "
            + (
                "With contradicting labels, at least one of each pair is wrong."
                if n_contradicting
                else "One recording counts twice."
            ),
            confidence="certain",
            where=f"the corpus {task.title}",
            values={"n_duplicates": len(twice), "n_contradicting": n_contradicting, "n_in_use": n_in_use},
        )


def find_rare(sources: Sources) -> Iterator[Finding]:
    """Yield classes that the released test parts hardly hold."""
    classes = count_classes(sources.utterances, sources.tasks)
    # A class that the release leaves out is a finding of its own.
    left_out = classes["n_total"] == 0
    n_enough = 10
    rare = find_rare_classes(classes[(classes["protocol"] == "released") & ~left_out], n_enough=n_enough)
    if rare.empty:
        return
    each = [f"{row.task} {row.emotion} ({row.n_test} of {row.n_total})" for row in rare.itertuples()]
    untested = rare[rare["n_test"] == 0]
    widest = rare["half_width"].max()
    no_recall = (
        f"{join([f'{row.task} {row.emotion}' for row in untested.itertuples()])} cannot be tested at all. "
        if len(untested)
        else ""
    )
    known = (
        f"The recall of the others is known to within {widest:.0f} points at worst. "
        if len(untested) < len(rare)
        else ""
    )
    yield Finding(
        name="rare-classes",
        title="Classes that the test parts hardly hold",
        says="The paper reports the accuracy over all classes of each corpus.",
        does=f"In the released splits, fewer than {n_enough} test utterances are there of: {join(each)}.",
        evidence="Counted on the file lists.",
        consequence=f"{no_recall}{known}Accuracy hardly notices them; unweighted average recall gives each the "
        "weight of a whole class.",
        confidence="certain",
        where="table 3; the test parts",
        values={f"{row.task}_{row.emotion}": int(row.n_test) for row in rare.itertuples()},
    )


def find_narrow_test_parts(sources: Sources) -> Iterator[Finding]:
    """Yield test parts of few speakers or one gender."""
    narrow = find_narrow_tests(sources.speakers[sources.speakers["protocol"] == "released"])
    if narrow.empty:
        return
    each = [
        f"{row.task} {row.n_speakers}" + (f" (all {row.one_gender})" if row.one_gender else "")
        for row in narrow.itertuples()
    ]
    yield Finding(
        name="narrow-test-parts",
        title="Test parts of a handful of speakers",
        says="The paper reports one accuracy for each task, without an interval.",
        does=f"Speakers in the released test parts: {join(each)}.",
        evidence="Counted on the file lists; genders where the corpora state them.",
        consequence=f"In {len(narrow)} of {len(sources.tasks)} tasks an accuracy is about these few voices. How it "
        "would change with others cannot be told from inside the test part, and intervals over utterances are too "
        "narrow.",
        confidence="certain",
        where="table 3; the test parts",
        values={row.task: int(row.n_speakers) for row in narrow.itertuples()},
    )
