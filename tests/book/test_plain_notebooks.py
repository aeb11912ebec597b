import tomllib
from pathlib import Path

import nbformat
import plain_notebooks
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

FILES, TEXTS = tomllib.loads(Path(__file__).with_name("plain_notebooks.toml").read_text()).values()


@pytest.fixture
def plain(tmp_path):
    """Write a text as it would stand in chapter 1 of a small book, above a cell that shows `tbl-x`."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    table = FILES["notebooks/01_a.py"].splitlines()[-1]
    book = plain_notebooks.read_book(tmp_path)

    def write(text, *, outputs=(), papermill=None, below=""):
        cells = [new_markdown_cell(f"(a)=\n# A\n\n{text}"), new_code_cell(table, outputs=list(outputs))]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"}} | (papermill or {})
        notebook = new_notebook(cells=[*cells, new_markdown_cell(below)], metadata=metadata)
        numbers = {"01_a": {"n": 84, "share": "0.10"}, "02_audit": {"n": 15}}
        done = plain_notebooks.make_plain(notebook, "notebooks/01_a", book, numbers, tmp_path / "notebooks")
        nbformat.validate(done)
        return done

    return write


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text["in"])
def test_text_becomes_links_words_and_numbers(plain, text):
    source = plain(text["in"]).cells[0].source
    assert source.startswith("# A\n\n*A chapter of [SERAB, recomputed](https://site.org/book/notebooks/01_a.html).")
    assert source.split("*\n\n", 1)[1].endswith(text["out"])


def test_code_is_not_touched_a_number_that_is_not_known_shows_and_what_stands_above_is_called_so(plain):
    done = plain("```console\nserab run\n```\n\n{glue:text}`nothing`", below="In {numref}`tbl-x`.")
    assert done.cells[0].source.endswith("```console\nserab run\n```\n\n…")
    assert done.cells[1].source.startswith("show_table(")
    assert done.cells[2].source == "In the table above."


def test_executed_notebook_shows_figures_and_tables(plain):
    kept = {"text/html": "<figure></figure>", "text/plain": "A."}
    outputs = [
        new_output("display_data", {plain_notebooks.RECORD: "84"}),
        new_output("display_data", kept | {"image/svg+xml": "<svg/>"}, metadata={"serab": {"kind": "figure"}}),
        new_output("display_data", {"text/markdown": "By {cite}`one`."}),
        new_output("stream", name="stderr", text="careful"),
        new_output("stream", name="stdout", text="hello"),
    ]
    papermill = {"parameters": {"profile": "published"}, "start_time": "2026-01-02T03:04:05"}
    done = plain("", outputs=outputs, papermill={"papermill": papermill})
    figure, text, stream = done.cells[1].outputs
    assert figure.data == kept and figure.metadata == {}
    assert text.data["text/markdown"] == "By ([Wilson, 1927](https://doi.org/10.1/x))."
    assert stream.text == "hello"
    assert "as it was run on 2026-01-02, with profile `published`" in done.cells[0].source
