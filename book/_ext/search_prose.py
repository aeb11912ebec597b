"""Keep the code of notebooks out of the search: a reader who looks for a word means the text."""

from __future__ import annotations

from typing import Any

from docutils import nodes


def index_prose(app: Any) -> None:
    """Let the builder index each page without its cells' code."""
    if app.builder.format != "html":
        return
    index_page = app.builder.index_page

    def index(page: str, doctree: nodes.document, title: str) -> None:
        prose = doctree.deepcopy()
        for cell in list(
            prose.findall(lambda node: "cell_input" in getattr(node, "attributes", {}).get("classes", []))
        ):
            cell.parent.remove(cell)
        index_page(page, prose, title)

    app.builder.index_page = index


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", index_prose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
