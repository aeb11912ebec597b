from __future__ import annotations

import shutil
from pathlib import Path

import jupytext
import pytest
from typer.testing import CliRunner

from serab_lib.book.build import build_book
from serab_lib.cli import app
from serab_lib.core import SerabError

ROOT = Path(__file__).resolve().parents[2]

NOTEBOOK = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A chapter
#
# Seen: {{glue:text}}`seen`

# %% tags=["parameters"]
profile: str = "demo"
n_draws: int = 3

# %%
from serab_lib.book.show import record

record(seen=f"{{profile}} with {{n_draws}} draws")

# %% [markdown] tags=["real"]
# Real numbers.

# %%
{last}
"""


@pytest.fixture
def project(tmp_path):
    """A book of one chapter, with the settings of this one."""

    def make(last="1 + 1"):
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        (tmp_path / "book" / "_static").mkdir(parents=True, exist_ok=True)
        for name in ("_config.yml", "book/_static/logo.svg", "book/_static/favicon.svg", "book/references.bib"):
            shutil.copy(ROOT / name, tmp_path / name)
        for name in ("custom.css", "tables.js"):
            shutil.copy(ROOT / "book/_static" / name, tmp_path / "book/_static")
        shutil.copytree(ROOT / "book/_ext", tmp_path / "book/_ext", dirs_exist_ok=True)
        (tmp_path / "_toc.yml").write_text(
            "format: jb-book\nroot: book/welcome\nchapters:\n- file: notebooks/01_a\n- file: book/status\n"
        )
        (tmp_path / "book" / "welcome.md").write_text("# Welcome\n")
        source = tmp_path / "notebooks" / "01_a.py"
        source.write_text(NOTEBOOK.format(last=last))
        jupytext.write(jupytext.read(source), source.with_suffix(".ipynb"))
        return tmp_path

    return make


def page(site):
    return (site.parent / "notebooks" / "01_a.html").read_text()


@pytest.mark.slow
def test_builds_and_a_failing_build_keeps_the_old_site(project):
    told = []
    root = project()
    site = build_book("published", root=root, parameters={"n_draws": 5}, progress=lambda *each: told.append(each))
    assert site == root / "_build" / "published" / "html" / "index.html"
    assert "published with 5 draws" in page(site)
    assert "Real numbers" in page(site)
    assert told == [("notebooks", 0, 1), ("notebooks", 1, 1), ("pages", 0, 1), ("pages", 1, 1)]
    project(last="1 / 0")
    with pytest.raises(SerabError, match=r"01_a.ipynb, cell \d+ \(`1 / 0`\): ZeroDivisionError: division by zero"):
        build_book("published", root=root)
    assert "published with 5 draws" in page(site)


@pytest.mark.slow
def test_demo_leaves_real_numbers_out_and_a_warning_is_an_error(project):
    root = project()
    site = build_book("demo", root=root)
    assert "Real numbers" not in page(site) and "demo with 3 draws" in page(site)
    (root / "book" / "welcome.md").write_text("# Welcome\n\n{doc}`nowhere`\n")
    with pytest.raises(
        SerabError, match=r"the pages have errors: .*welcome.md:3: WARNING: unknown document: 'nowhere'"
    ):
        build_book("demo", root=root)
    assert "demo with 3 draws" in page(site)


def test_unknown_parameter_is_refused(project):
    with pytest.raises(SerabError, match="no notebook has the parameter 'draws': choose among n_draws"):
        build_book("demo", root=project(), parameters={"draws": 5})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "pubished"], "published"),
        (["--parameter", "n_draws"], "write NAME=VALUE"),
        (["--root", "."], "lacks _config.yml, _toc.yml, notebooks"),
    ],
)
def test_mistakes_get_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["book", *arguments])
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
