"""From an executed notebook to a chapter: numbered tables and figures, and a note on how it was made."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_markdown_cell

from serab_lib.book.show import METADATA_KEY

# Settings of a table to classes of the style sheet.
_CLASSES = {"sortable": "sortable", "wordy": "wide"}
# Tags of papermill and of the notebooks' habits to tags of the book: the values that were injected are shown.
_BOOK_TAGS = {"setup": "remove-input", "parameters": "remove-input", "injected-parameters": "hide-input"}


def weave(path: Path, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a notebook that papermill ran into a chapter, in place, and say how it ran and what it complained of."""
    notebook = nbformat.read(path, as_version=4)
    papermill = notebook.metadata.get("papermill", {})
    cells, complaints = [], []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.setdefault("tags", [])
        tags += [_BOOK_TAGS[tag] for tag in tags if tag in _BOOK_TAGS]
        complaints += [each["text"] for each in cell.outputs if each.get("name") == "stderr"]
        described = [output for output in cell.outputs if _describe(output).get("kind")]
        cell.outputs = [each for each in cell.outputs if each not in described and each.get("name") != "stderr"]
        cells += [new_markdown_cell(_write(output, path)) for output in described]
    notebook.cells = [*cells, new_markdown_cell(_write_origin(papermill, path, provenance))]
    nbformat.write(notebook, path)
    title = re.search(r"^#\s+(.+)", notebook.cells[0].source, re.MULTILINE)
    return {
        "notebook": path.stem,
        "title": title[1].strip() if title else path.stem,
        "seconds": float(papermill.get("duration") or 0),
        "finished": str(papermill.get("end_time") or "")[:16].replace("T", " "),
        "complaints": complaints,
    }


def _describe(output: Any) -> Mapping[str, Any]:
    return output.get("metadata", {}).get(METADATA_KEY, {})


def _write(output: Any, path: Path) -> str:
    description, data = _describe(output), output["data"]
    if description["kind"] == "markdown":
        return data["text/markdown"]
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
