"""Leave out scripts that a page would hold twice: sphinx-thebe's declares a constant, which fails the second time."""

from __future__ import annotations

from typing import Any


def drop_repeated(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Keep the first of each script of a page."""
    scripts = {}
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", {})
        scripts.setdefault((getattr(script, "filename", script) or "", attributes.get("body")), script)
    context["script_files"] = list(scripts.values())


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx, after the extensions that add scripts per page."""
    app.connect("html-page-context", drop_repeated, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
