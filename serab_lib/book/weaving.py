"""From an executed notebook to a chapter: numbered tables and figures, and a note on how it was made."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from serab_lib.book.show import METADATA_KEY

# Classes of the style sheet to settings of a table.
_SETTING = {"sortable": "sortable", "wide": "wordy"}
# Tags of papermill and the notebooks' habits to tags of the book.
# The values that were injected are shown, not the defaults above them.
_BOOK_TAGS = {"setup": "remove-input", "parameters": "remove-input", "injected-parameters": "hide-input"}


def weave(path: Path, provenance: Mapping[str, Any]) -> list[str]:
    """Turn an executed notebook into a chapter, in place.

    Parameters
    ----------
    path : Path
        Written by papermill.
    provenance : mapping
        `commit`, `versions` and `machine`, for the note at the end.

    Returns
    -------
    list of str
        What its cells wrote to the standard error, which the site does not show.
    """
    notebook = nbformat.read(path, as_version=4)
    cells, complaints = [], []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type != "code":
            continue
        tags = cell.metadata.setdefault("tags", [])
        tags += [_BOOK_TAGS[tag] for tag in list(tags) if tag in _BOOK_TAGS and _BOOK_TAGS[tag] not in tags]
        complaints += [each["text"] for each in cell.outputs if each.get("name") == "stderr"]
        pulled = [output for output in cell.outputs if _kind(output)]
        cell.outputs = [output for output in cell.outputs if not _kind(output) and output.get("name") != "stderr"]
        cells += [nbformat.v4.new_markdown_cell(_write(output, path)) for output in pulled]
    cells.append(nbformat.v4.new_markdown_cell(_origin(notebook.metadata.get("papermill", {}), path, provenance)))
    notebook.cells = cells
    for cell in notebook.cells:
        cell.setdefault("id", nbformat.v4.new_code_cell("").id)
    nbformat.write(notebook, path)
    return complaints


def _kind(output: Any) -> str:
    return output.get("metadata", {}).get(METADATA_KEY, {}).get("kind", "")


def _write(output: Any, path: Path) -> str:
    description = output["metadata"][METADATA_KEY]
    if description["kind"] == "markdown":
        return "".join(output["data"]["text/markdown"])
    name, caption = description["name"], " ".join(description["caption"].split())
    if description["kind"] == "table":
        classes = " ".join(["serab-table", *(kind for kind in ("sortable", "wide") if description.get(_SETTING[kind]))])
        body = "".join(output["data"]["text/markdown"])
        return f":::::{{table}} {caption}\n:name: {name}\n:class: {classes}\n\n{body}\n:::::"
    file = _save(output["data"], path.parent / "_figures" / f"{path.stem}-{name}")
    alt = " ".join(description["alt"].split())
    return f"```{{figure}} _figures/{file.name}\n:name: {name}\n:alt: {alt}\n:width: 100%\n\n{caption}\n```"


def _save(data: Mapping[str, str], stem: Path) -> Path:
    stem.parent.mkdir(exist_ok=True)
    if "image/svg+xml" in data:
        file = stem.with_suffix(".svg")
        file.write_text("".join(data["image/svg+xml"]))
    else:
        file = stem.with_suffix(".png")
        file.write_bytes(base64.b64decode("".join(data["image/png"])))
    return file


def _origin(papermill: Mapping[str, Any], path: Path, provenance: Mapping[str, Any]) -> str:
    parameters = ", ".join(f"`{name}={value!r}`" for name, value in papermill.get("parameters", {}).items())
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    started = str(papermill.get("start_time") or "")[:16].replace("T", " ")
    return (
        "````{dropdown} How this page was made\n"
        f"Notebook {{download}}`{path.stem}.py <{path.stem}.py>`, run with {parameters} on {started} UTC in "
        f"{papermill.get('duration') or 0:.0f} s at commit `{provenance['commit'] or 'unknown'}`.\n\n"
        f"Environment: {versions}; {provenance['machine']}. The exact versions are in `constraints.txt`.\n````"
    )


def describe_run(path: Path) -> dict[str, Any]:
    """Say how an executed notebook ran, for the status page.

    Returns
    -------
    dict
        `notebook`, `title`, `seconds` and `finished`.
    """
    notebook = nbformat.read(path, as_version=4)
    papermill = notebook.metadata.get("papermill", {})
    title = re.search(r"^#\s+(.+)", notebook.cells[0].source, re.MULTILINE) if notebook.cells else None
    return {
        "notebook": path.stem,
        "title": title[1].strip() if title else path.stem,
        "seconds": float(papermill.get("duration") or 0),
        "finished": str(papermill.get("end_time") or "")[:16].replace("T", " "),
    }
