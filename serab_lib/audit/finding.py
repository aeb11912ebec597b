"""What a finding is."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONFIDENCES = ("certain", "very likely", "likely", "cannot be decided")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that does not add up, or that a reader of the numbers should know.

    Attributes
    ----------
    name, title : str
        For code and for people.
    says : str
        What the paper says.
    does : str
        What the code does, or what the tables hold.
    evidence : str
        What it rests on; its numbers were computed on the spot.
    consequence : str
        What it means for the results.
    confidence : str
        How sure one can be that it concerns the printed results; one of `CONFIDENCES`.
    where : str
        Which table, column or step.
    values : mapping
        The numbers of the text, by name.
    """

    name: str
    title: str
    says: str
    does: str
    evidence: str
    consequence: str
    confidence: str
    where: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give all fields, ready for JSON: a number that is not known is None."""
        known = {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in self.values.items()
        }
        return dataclasses.asdict(self) | {"values": known}

    def as_paragraph(self) -> str:
        """Give the finding as one paragraph of plain text, links by their texts alone."""
        parts = (self.says, self.does, self.evidence, self.consequence, f"Confidence: {self.confidence}.")
        return re.sub(r"\[([^]]+)\]\(\S+?\)", r"\1", " ".join(parts))


def join(items: list[str] | tuple[str, ...], *, last: str = "and") -> str:
    """Write a list as English does.

    Examples
    --------
    >>> join(["a", "b", "c"])
    'a, b and c'
    """
    items = [str(item) for item in items]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else "none"


def count(n: int, noun: str, plural: str | None = None) -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
