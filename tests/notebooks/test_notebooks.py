import ast
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock, patch

import jupytext
import nbformat
import plain_notebooks
import pytest
import yaml
from making import ROOT
from nbclient import NotebookClient

ROLE = re.compile(r"\{[\w:-]+\}[`<]|^[`:]{3,}\{|^\([\w-]+\)=", re.MULTILINE)
pytestmark = pytest.mark.parametrize("source", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)


def code_cells(source: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in jupytext.read(source).cells if cell.cell_type == "code"]


def calls(source: Path) -> Iterator[tuple[str, ast.AST]]:
    """All that the code cells do, except those that write a file of the reader's own."""
    for cell in code_cells(source):
        if not cell.source.startswith("%%writefile"):
            yield from ((cell.source, node) for node in ast.walk(ast.parse(cell.source)))


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
    for cell in derive(source).cells:
        if cell.cell_type == "markdown":
            assert not ROLE.search(cell.source), cell.source
            assert "…" not in cell.source, "a number is not known: run `make book notebooks`"


def test_begins_with_title_then_setup_from_the_one_address_then_parameters_which_are_literals(source):
    assert re.search(r"^# \S", jupytext.read(source).cells[0].source, re.MULTILINE)
    setup, parameters, *others = code_cells(source)
    assert [cell.metadata.get("tags") for cell in (setup, parameters)] == [["setup"], ["parameters"]]
    assert not any("parameters" in cell.metadata.get("tags", []) for cell in others)
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert f'"git+{config["repository"]["url"]}"' in setup.source
    with pytest.raises(SystemExit, match="was not installed"), patch("importlib.util.find_spec", return_value=None):
        exec(setup.source, {"get_ipython": Mock()})
    (pinned,) = [cell.source for cell in derive(source).cells if cell.metadata.get("tags") == ["setup"]]
    assert re.search(r'"git\+https://\S+@[0-9a-f]{12}"', pinned)
    for line in parameters.source.splitlines():
        assert re.fullmatch(r"\w+: (str|int|float|bool) = \S[^=]*", line), line
        ast.literal_eval(line.split(" = ")[1])


def test_cells_are_short_and_hold_no_plumbing(source):
    for cell in code_cells(source):
        assert len(cell.source.splitlines()) <= 15, cell.source
    for text, node in calls(source):
        assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda), text
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "caption" not in text:
            assert not re.match(r"(/|\.{1,2}/|~|[A-Za-z]:\\)", node.value), f"a path: {node.value}"
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("show_figure", "show_table"):
            given = {keyword.arg for keyword in node.keywords}
            assert given >= {"name", "caption"} | ({"alt"} if node.func.id == "show_figure" else set())


@pytest.mark.nightly
def test_runs_in_a_clean_folder(source, tmp_path, shared_cache, monkeypatch):
    pytest.importorskip("espeakng_loader", reason="the demo's corpora need the extra [demo]")
    nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is not installed: extra [test]")
    monkeypatch.setenv("SERAB_CACHE", str(shared_cache))
    for name in ("SERAB_DATA", "SERAB_WEIGHTS", "SERAB_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    assert outputs and "error" not in {each.output_type for each in outputs}
    shown = [each.get("data", {}).get("text/html", "") for each in outputs]
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    assert not ROLE.search(re.sub(r"<(pre|script|style).*?</\1>", "", page, flags=re.DOTALL))
    for mark in ("<figure><img", "<caption>"):
        assert page.count(mark) == sum(each.count(mark) for each in shown)
    assert "<caption>" in page or "<figure><img" in page
