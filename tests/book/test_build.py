import shutil

import jupytext
import nbformat
import pytest
import weave
from making import ROOT, call
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from serab_lib.book import build
from serab_lib.core import SerabError, UnknownNameError

# Markdown, parameters, and, behind what each test adds, what only the real book shows.
CELLS = [
    new_markdown_cell("# A chapter\n\nSeen: {glue:text}`seen`"),
    new_code_cell('profile: str = "demo"\nn_draws: int = 3', metadata={"tags": ["parameters"]}),
    new_code_cell(
        'from serab_lib.book.show import record\nrecord(seen=f"{profile} with {n_draws} draws")',
        metadata={"tags": ["real"]},
    ),
]
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
TOC = "format: jb-book\nroot: book/welcome\nchapters:\n- file: notebooks/01_a\n- file: book/status\n"


@pytest.fixture
def project(tmp_path):
    def make(own="1 + 1"):
        for name in ("notebooks", "_build/published/html"):
            (tmp_path / name).mkdir(parents=True)
        for name in ("_static", "_ext", "_templates"):
            shutil.copytree(ROOT / "book" / name, tmp_path / "book" / name)
        for name in ("_config.yml", "CITATION.cff", "book/references.bib"):
            shutil.copy(ROOT / name, tmp_path / name)
        (tmp_path / "_toc.yml").write_text(TOC)
        (tmp_path / "book" / "welcome.md").write_text("# Welcome\n")
        (tmp_path / "_build/published/html/index.html").write_text("the site before")
        notebook = new_notebook(cells=[*CELLS[:2], new_code_cell(own), CELLS[2]], metadata=KERNEL)
        for suffix in ("py:percent", "ipynb"):
            jupytext.write(notebook, tmp_path / "notebooks" / f"01_a.{suffix.partition(':')[0]}", fmt=suffix)
        return tmp_path

    return make


@pytest.mark.slow
def test_a_site_is_built_with_parameters_and_progress(project, caplog):
    told, root = [], project(own="import sys; print('careful', file=sys.stderr)")
    options = {"parameters": {"n_draws": 5}, "progress": lambda *each: told.append(each)}
    first = build.build_book("published", root=root, **options)
    assert first == root / "_build/published/html/index.html"
    assert "published with 5 draws" in (first.parent / "notebooks" / "01_a.html").read_text()
    assert "A chapter" in (first.parent / "book" / "status.html").read_text()
    assert "01_a wrote to the standard error: careful" in caplog.text
    assert told == [("notebooks", 0, 1), ("notebooks", 1, 1), ("pages", 0, 1), ("pages", 1, 1)]


@pytest.mark.slow
def test_a_failing_cell_is_one_line_and_keeps_the_old_site(project):
    root = project(own="1 / 0")
    with pytest.raises(SerabError, match=r"01_a.ipynb, cell 4 \(`1 / 0`\): ZeroDivisionError: division by zero"):
        build.build_book("published", root=root)
    assert (root / "_build/published/html/index.html").read_text() == "the site before"
    assert "n_draws" in (root / "_build/published/source/notebooks/01_a.ipynb").read_text()


@pytest.mark.slow
def test_a_warning_is_an_error(project, tmp_path):
    root = project()
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/welcome\n")
    (root / "book" / "welcome.md").write_text("# Welcome\n\n{doc}`nowhere`\n")
    (source := tmp_path / "source").mkdir()
    for name in ("_config.yml", "_toc.yml", "CITATION.cff"):
        shutil.copy(root / name, source)
    shutil.copytree(root / "book", source / "book")
    with pytest.raises(SerabError, match=r"pages have errors: .*welcome.md:3: WARNING: unknown document: 'nowhere'"):
        build._make_pages(source, tmp_path)


def test_the_demo_leaves_real_numbers_out(project, tmp_path):
    root = project()
    for profile, has_real in (("demo", False), ("published", True)):
        (notebook,) = build._stage(root, tmp_path / profile, profile)
        assert ("record(" in notebook.read_text()) == has_real


def test_mistakes_are_one_line(project, monkeypatch):
    root = project()
    with pytest.raises(UnknownNameError, match="there is no profile 'pubished': did you mean published"):
        build.build_book("pubished")
    with pytest.raises(SerabError, match="no notebook has the parameter 'draws': choose among n_draws"):
        build.build_book("demo", root=root, parameters={"draws": 5})
    monkeypatch.chdir(root)
    (root / "_toc.yml").unlink()
    for arguments, message in (("--parameter n_draws", "write NAME=VALUE"), ("--root .", "lacks _toc.yml")):
        said = call("book", *arguments.split(), code=1)
        assert message in said and len(said.strip().splitlines()) == 1


def executed(*outputs, tags=()):
    cell = new_code_cell("show()", metadata={"tags": list(tags)}, outputs=list(outputs))
    papermill = {"parameters": {"profile": "demo"}, "start_time": "2026-01-02T03:04:05", "duration": 7.4}
    return new_notebook(cells=[new_markdown_cell("(x)=\n# A chapter"), cell], metadata={"papermill": papermill})


def display(data, **description):
    return new_output("display_data", data, metadata={"serab": description})


def weave_in(folder, notebook):
    path = folder / "05_x.ipynb"
    nbformat.write(notebook, path)
    run = weave.weave(path, path, {"commit": "abc123", "versions": {"torch": "2.13"}, "machine": "a laptop"})
    return nbformat.read(path, as_version=4), run


def test_tables_and_figures_become_numbered_ones(tmp_path):
    markdown = "| a |\n|--:|\n| 1 |"
    output = display({"text/markdown": markdown}, kind="table", name="tbl-x", caption="Of `x`.", sortable=True)
    notebook, _ = weave_in(tmp_path, executed(output))
    text = notebook.cells[2].source
    assert text.startswith(":::::{table} Of `x`.\n:name: tbl-x\n:class: serab-table sortable\n")
    assert markdown in text and notebook.cells[1].outputs == []
    output = display({"image/svg+xml": "<svg/>"}, kind="figure", name="fig-x", caption="C.", alt="What\nit shows.")
    notebook, _ = weave_in(tmp_path, executed(output))
    assert (tmp_path / "_figures" / "05_x-fig-x.svg").read_text() == "<svg/>"
    assert all(line in notebook.cells[2].source for line in (":alt: What it shows.\n", ":name: fig-x\n"))


def test_anchor_of_markdown_becomes_a_label_and_other_outputs_stay(tmp_path):
    anchor = display({"text/markdown": '<a id="x-1"></a>\n\n### X'}, kind="markdown")
    streams = [new_output("stream", name=name, text=name) for name in ("stdout", "stderr")]
    notebook, _ = weave_in(tmp_path, executed(anchor, *streams))
    assert notebook.cells[2].source == "(x-1)=\n### X"
    assert [output.text for output in notebook.cells[1].outputs] == ["stdout"]


def test_code_that_follows_on_folded_code_shares_its_bar_until_something_is_shown(tmp_path):
    table = display({"text/markdown": "| a |"}, kind="table", name="tbl-x", caption="C.")
    notebook = executed(tags=["injected-parameters"])
    for source, outputs in (("import x", [new_output("stream", text="hello")]), ("show()", [table]), ("more()", [])):
        notebook.cells.append(new_code_cell(source, metadata={"tags": ["hide-input"]}, outputs=outputs))
    cells = weave_in(tmp_path, notebook)[0].cells
    assert [cell.source for cell in cells if cell.cell_type == "code"] == ["show()\n\nimport x\n\nshow()", "more()"]
    assert cells[1].outputs[0].text == "hello" and "tbl-x" in cells[2].source
    notebook.cells = notebook.cells[:3]
    assert "set-up" in weave_in(tmp_path, notebook)[0].cells[1].metadata.mystnb.code_prompt_show


def test_page_is_folded_and_ends_with_how_it_was_made(tmp_path):
    notebook, run = weave_in(tmp_path, executed(tags=["injected-parameters"]))
    assert "hide-input" in notebook.cells[1].metadata.tags
    text = notebook.cells[-1].source
    parts = ("`profile='demo'`", "2026-01-02 03:04", "7 s", "`abc123`", "torch 2.13", "a laptop", "05_x.py")
    assert [part for part in parts if part not in text] == []
    assert run == {"notebook": "05_x", "profile": "demo", "title": "A chapter", "seconds": 7.4, "finished": ""}
