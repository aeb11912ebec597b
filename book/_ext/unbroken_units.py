"""Keep a number and the sign for per cent on one line."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes


def join_units(app: Any, doctree: nodes.document, page: str) -> None:
    """Put a space between them at which no line ends."""
    for text in list(doctree.findall(nodes.Text)):
        if re.search(r"\d\s%", text) and not isinstance(text.parent, nodes.literal | nodes.literal_block):
            text.parent.replace(text, nodes.Text(re.sub(r"(?<=\d)\s(?=%)", "\N{NO-BREAK SPACE}", text)))


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("doctree-resolved", join_units)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
