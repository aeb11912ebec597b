"""Every notebook: its pair is in sync, its outputs are stripped, and its cells call the library."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from plain import plain_notebooks

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
MAX_LINES = 15


def read(source: Path) -> nbformat.NotebookNode:
    return jupytext.read(source)


def code_cells(source: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(source).cells if cell.cell_type == "code"]


def calls(source: Path) -> Iterator[tuple[str, ast.AST]]:
    """All that the code cells do, except those that write a file of the reader's own."""
    for cell in code_cells(source):
        if not cell.source.startswith("%%writefile"):
            yield from ((cell.source, node) for node in ast.walk(ast.parse(cell.source)))


pytestmark = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


@functools.cache
def derive(source: Path) -> nbformat.NotebookNode:
    numbers = json.loads((ROOT / "notebooks" / "numbers.json").read_text())
    return plain_notebooks.derive(source, plain_notebooks.read_book(ROOT), numbers)


def test_pair_is_in_sync_and_without_outputs(source):
    pair = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    made = [[(c.cell_type, c.source, c.metadata) for c in each.cells] for each in (pair, derive(source))]
    assert made[0] == made[1], "run `make notebooks`"
    assert pair.metadata.kernelspec.language == "python"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in pair.cells)


def test_text_reads_without_the_book(source):
    """Neither role nor directive is left in what stands beside the source, and each number is known."""
    for cell in derive(source).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\{[\w:-]+\}`|^[`:]{3,}\{|^\([\w-]+\)=", cell.source, re.MULTILINE), cell.source
            assert "…" not in cell.source, "a number is not known: run `make book notebooks`"


def test_begins_with_title_then_setup_then_parameters(source):
    cells = read(source).cells
    assert re.search(r"^# \S", cells[0].source, re.MULTILINE)
    tags = [cell.metadata.get("tags", []) for cell in cells if cell.cell_type == "code"]
    assert tags[0] == ["setup"] and tags[1] == ["parameters"]
    assert sum("parameters" in each for each in tags) == 1


def test_parameters_are_literals_on_lines_of_their_own(source):
    (cell,) = [cell for cell in code_cells(source) if "parameters" in cell.metadata.get("tags", [])]
    for line in cell.source.splitlines():
        assert re.fullmatch(r"\w+: (str|int|float|bool) = \S[^=]*", line), line
        ast.literal_eval(line.split(" = ")[1])


def test_cells_are_short_and_hold_no_plumbing(source):
    for cell in code_cells(source):
        assert len(cell.source.splitlines()) <= MAX_LINES, cell.source
    for text, node in calls(source):
        assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda), text
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "caption" not in text:
            assert not re.match(r"(/|\.{1,2}/|~|[A-Za-z]:\\)", node.value), f"a path: {node.value}"


def test_setup_installs_from_the_one_address(source):
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    setup = code_cells(source)[0].source
    assert f"git+{config['repository']['url']}'" in setup


def test_figures_have_captions_and_alternative_text(source):
    for _, node in calls(source):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("show_figure", "show_table"):
            given = {keyword.arg for keyword in node.keywords}
            assert given >= {"name", "caption"} | ({"alt"} if node.func.id == "show_figure" else set())
