"""Make chapters of the notebooks that papermill ran: numbered tables and figures, folded code, how each was made.

`serab book` leaves the executed notebooks in a copy of the sources, where this runs before Sphinx reads the pages.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import plain_notebooks
from nbformat.v4 import new_markdown_cell

from serab_lib.benchmark.results import describe_machine
from serab_lib.book.profile import PROFILES
from serab_lib.book.show import METADATA_KEY


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("builder-inited", lambda app: weave_all(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def weave_all(root: Path) -> None:
    """Make chapters of all executed notebooks, and the page that says how the book was built."""
    provenance = describe_machine("cpu")
    executed = sorted((root / "notebooks" / "executed").glob("*.ipynb"))
    if runs := [weave(path, root / "notebooks" / path.name, provenance) for path in executed]:
        (root / "book" / "status.md").write_text(_write_status(runs, provenance), encoding="utf-8")


def _write_status(runs: list[dict[str, Any]], provenance: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"| {{doc}}`{run['title']} </notebooks/{run['notebook']}>` | {run['seconds']:.0f} | {run['finished']} |"
        for run in runs
    )
    profile = runs[0]["profile"]
    versions = "\n".join(f"| {name} | {version} |" for name, version in provenance["versions"].items())
    return (
        "(status)=\n# How this book was built\n\n"
        f"Profile **{profile}**: {PROFILES[profile]}. Commit `{provenance['commit'] or 'unknown'}`, "
        f"{provenance['machine']}.\n\n"
        f":::{{table}} Run time of each notebook\n:name: tbl-run-times\n\n"
        f"| chapter | seconds | finished (UTC) |\n|:--|--:|:--|\n{rows}\n:::\n\n"
        f":::{{table}} Versions\n:name: tbl-versions\n\n| package | version |\n|:--|:--|\n{versions}\n:::\n"
    )


# Settings of a table to classes of the style sheet.
_CLASSES = {"sortable": "sortable", "wordy": "wide"}
# Tags of papermill and of the notebooks' habits to tags of the book: the values that were injected are shown.
_BOOK_TAGS = {"setup": "remove-input", "parameters": "remove-input", "injected-parameters": "hide-input"}


def weave(executed: Path, path: Path, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a notebook that papermill ran into a chapter, and say how it ran."""
    notebook = nbformat.read(executed, as_version=4)
    papermill = notebook.metadata.get("papermill", {})
    cells = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            cells.append(cell)
            continue
        tags = cell.metadata.setdefault("tags", [])
        tags += [_BOOK_TAGS[tag] for tag in tags if tag in _BOOK_TAGS]
        described = [output for output in cell.outputs if _describe(output).get("kind")]
        cell.outputs = [each for each in cell.outputs if each not in described and each.get("name") != "stderr"]
        if "injected-parameters" in tags:
            cell.metadata["mystnb"] = {"code_prompt_show": "Show the set-up"}
        if _is_folded(cell) and cells and _is_folded(cells[-1]):  # one bar for code that follows on code
            above = cells.pop()
            cell.source, cell.outputs = f"{above.source}\n\n{cell.source}", above.outputs + cell.outputs
            cell.metadata = cell.metadata if described else above.metadata
        cells += [cell, *(new_markdown_cell(_write(output, path)) for output in described)]
    notebook.cells = [*cells, new_markdown_cell(_write_origin(papermill, path, provenance))]
    nbformat.write(notebook, path)
    title = re.search(r"^#\s+(.+)", notebook.cells[0].source, re.MULTILINE)
    return {
        "notebook": path.stem,
        "profile": papermill.get("parameters", {}).get("profile", ""),
        "title": title[1].strip() if title else path.stem,
        "seconds": float(papermill.get("duration") or 0),
        "finished": str(papermill.get("end_time") or "")[:16].replace("T", " "),
    }


def _is_folded(cell: Any) -> bool:
    return "hide-input" in cell.metadata.get("tags", [])


def _describe(output: Any) -> Mapping[str, Any]:
    return output.get("metadata", {}).get(METADATA_KEY, {})


def _write(output: Any, path: Path) -> str:
    description, data = _describe(output), output["data"]
    if description["kind"] == "markdown":
        text = plain_notebooks.point(data["text/markdown"])
        return re.sub(r'<a id="([\w-]+)"></a>\n+', r"(\1)=\n", text)  # an anchor is a label of MyST
    name, caption = description["name"], " ".join(description["caption"].split())
    if description["kind"] == "table":
        classes = " ".join(["serab-table", *(style for kind, style in _CLASSES.items() if description.get(kind))])
        return f":::::{{table}} {caption}\n:name: {name}\n:class: {classes}\n\n{data['text/markdown']}\n:::::"
    file = path.parent / "_figures" / f"{path.stem}-{name}.{'svg' if 'image/svg+xml' in data else 'png'}"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data["image/svg+xml"].encode() if file.suffix == ".svg" else base64.b64decode(data["image/png"]))
    alt = " ".join(description["alt"].split())
    return f"```{{figure}} _figures/{file.name}\n:name: {name}\n:alt: {alt}\n:width: 100%\n\n{caption}\n```"


def _write_origin(papermill: Mapping[str, Any], path: Path, provenance: Mapping[str, Any]) -> str:
    parameters = ", ".join(f"`{name}={value!r}`" for name, value in papermill.get("parameters", {}).items())
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    started = str(papermill.get("start_time") or "")[:16].replace("T", " ")
    return (
        "````{dropdown} How this page was made\n"
        f"Notebook {{download}}`{path.stem}.py <{path.stem}.py>`, run with {parameters} on {started} UTC in "
        f"{papermill.get('duration') or 0:.0f} s at commit `{provenance['commit'] or 'unknown'}`.\n\n"
        f"Environment: {versions}; {provenance['machine']}. The exact versions are in `constraints.txt`.\n````"
    )
