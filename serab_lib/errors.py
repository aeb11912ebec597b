"""Errors a user can mend: one line that says what was got, what was expected and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class SerabError(Exception):
    """The work failed for a reason the user can see and mend; the message is one line."""


class UnknownNameError(SerabError):
    """A task, an extractor or an option that does not exist."""


def unknown_name(kind: str, name: str, known: Iterable[str], *, listing: str) -> UnknownNameError:
    """Describe an unknown name together with the nearest known ones.

    Parameters
    ----------
    kind : str
        What was looked for, in the singular ("task", "extractor").
    name : str
        What the user wrote.
    known : iterable of str
        The names that exist.
    listing : str
        The command that lists them all.

    Returns
    -------
    UnknownNameError
        Ready to be raised.
    """
    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(folded[match] for match in near)}? " if near else ""
    return UnknownNameError(f"there is no {kind} {name!r}: {hint}`{listing}` lists them all")


def printable(text: str | Path) -> str:
    """Write a path so that it prints on one line, even where a name in it is not valid UTF-8."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text))
