"""The audit: every finding, built from computed numbers alone."""

from __future__ import annotations

import itertools

import pandas as pd

from serab_lib.audit.corpus_findings import find_narrow_test_parts, find_rare, find_twice_recorded
from serab_lib.audit.finding import CONFIDENCES, Finding
from serab_lib.audit.model_findings import find_recipe, find_window
from serab_lib.audit.procedure_findings import (
    find_class_order,
    find_crops,
    find_full_scale,
    find_selection,
    find_transductive,
)
from serab_lib.audit.sources import Procedure, Sources, probe_release
from serab_lib.audit.split_findings import find_file_counts, find_left_out_classes, find_shared_speakers
from serab_lib.audit.table_findings import find_durations, find_means, find_parameters

__all__ = ["CONFIDENCES", "FINDERS", "Finding", "Procedure", "Sources", "audit", "probe_release", "tabulate_findings"]

FINDERS = (
    find_window,
    find_shared_speakers,
    find_left_out_classes,
    find_file_counts,
    find_selection,
    find_transductive,
    find_class_order,
    find_means,
    find_durations,
    find_parameters,
    find_recipe,
    find_crops,
    find_full_scale,
    find_twice_recorded,
    find_rare,
    find_narrow_test_parts,
)
"""What the audit looks for, in the order of its report. Each takes `Sources` and yields what it finds."""


def audit(sources: Sources | None = None) -> list[Finding]:
    """Look for everything that does not add up.

    Parameters
    ----------
    sources : Sources, optional
        `Sources.read()` by default: the paper, and the lists that come with the package.

    Returns
    -------
    list of Finding
        In the order of `FINDERS`; empty where all is well.

    Examples
    --------
    >>> [finding.name for finding in find_means(Sources.read())]
    ['means-BYOL-A-512']
    """
    sources = Sources.read() if sources is None else sources
    return list(itertools.chain.from_iterable(find(sources) for find in FINDERS))


def tabulate_findings(findings: list[Finding]) -> pd.DataFrame:
    """Arrange findings as a table of their titles.

    Parameters
    ----------
    findings : list of Finding

    Returns
    -------
    pandas.DataFrame
        `name`, `title`, `where`, `confidence`.
    """
    columns = ["name", "title", "where", "confidence"]
    return pd.DataFrame([{name: getattr(each, name) for name in columns} for each in findings], columns=columns)


def write_findings(findings: list[Finding]) -> str:
    """Write findings as Markdown: a heading each, then what the paper says, what the code does, and so on."""
    sections = []
    for number, each in enumerate(findings, start=1):
        parts = {
            "The paper": each.says,
            "The code and the tables": each.does,
            "Evidence": each.evidence,
            "Consequence": each.consequence,
            "How sure": f"{each.confidence.capitalize()}. Where: {each.where}.",
        }
        text = " ".join(f"**{label}.** {words}" for label, words in parts.items())
        sections.append(f"### {number}. {each.title}\n\n{text}")
    return "\n\n".join(sections)
