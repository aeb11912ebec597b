import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from serab_lib.book.build import weave

PROVENANCE = {"commit": "abc123", "versions": {"torch": "2.13"}, "machine": "a laptop"}


def executed(*outputs, tags=()):
    cell = new_code_cell("show()", metadata={"tags": list(tags)}, outputs=list(outputs))
    papermill = {"parameters": {"profile": "demo"}, "start_time": "2026-01-02T03:04:05", "duration": 7.4}
    return new_notebook(cells=[new_markdown_cell("(x)=\n# A chapter"), cell], metadata={"papermill": papermill})


def display(data, **description):
    return new_output("display_data", data, metadata={"serab": description})


def weave_in(folder, notebook):
    path = folder / "05_x.ipynb"
    nbformat.write(notebook, path)
    run = weave(path, PROVENANCE)
    return nbformat.read(path, as_version=4), run


def test_table_becomes_a_numbered_one(tmp_path):
    markdown = "| a |\n|--:|\n| 1 |"
    output = display({"text/markdown": markdown}, kind="table", name="tbl-x", caption="Of `x`.", sortable=True)
    notebook, _ = weave_in(tmp_path, executed(output))
    text = notebook.cells[2].source
    assert text.startswith(":::::{table} Of `x`.\n:name: tbl-x\n:class: serab-table sortable\n")
    assert markdown in text and notebook.cells[1].outputs == []


def test_figure_is_written_to_a_file_with_its_alternative_text(tmp_path):
    output = display({"image/svg+xml": "<svg/>"}, kind="figure", name="fig-x", caption="C.", alt="What\nit shows.")
    notebook, _ = weave_in(tmp_path, executed(output))
    assert (tmp_path / "_figures" / "05_x-fig-x.svg").read_text() == "<svg/>"
    assert all(line in notebook.cells[2].source for line in (":alt: What it shows.\n", ":name: fig-x\n"))


def test_anchor_of_markdown_becomes_a_label_other_outputs_stay_and_complaints_are_handed_on(tmp_path):
    anchor = display({"text/markdown": '<a id="x-1"></a>\n\n### X'}, kind="markdown")
    streams = [new_output("stream", name=name, text=name) for name in ("stdout", "stderr")]
    notebook, run = weave_in(tmp_path, executed(anchor, *streams))
    assert notebook.cells[2].source == "(x-1)=\n### X"
    assert [output.text for output in notebook.cells[1].outputs] == ["stdout"] and run["complaints"] == ["stderr"]


def test_page_is_folded_and_ends_with_how_it_was_made(tmp_path):
    notebook, run = weave_in(tmp_path, executed(tags=["injected-parameters"]))
    assert "hide-input" in notebook.cells[1].metadata.tags
    text = notebook.cells[-1].source
    parts = ("`profile='demo'`", "2026-01-02 03:04", "7 s", "`abc123`", "torch 2.13", "a laptop", "05_x.py")
    assert [part for part in parts if part not in text] == []
    assert run == {"notebook": "05_x", "title": "A chapter", "seconds": 7.4, "finished": "", "complaints": []}
