"""Derive notebooks that read as well as the pages: roles of MyST become links, words and numbers.

    python book/_ext/plain_notebooks.py    # notebooks/*.ipynb, for Colab and Kaggle, from notebooks/*.py

The numbers of the sentences are those of the last published book (`serab book`), kept in notebooks/numbers.json. As an
extension of Sphinx, this puts each executed notebook, with its figures and tables, where the page's download button
finds it, and recorded numbers and texts into the prose of other pages, where glue of MyST-NB takes numbers alone.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import posixpath
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from pybtex.database import parse_file

from serab_lib.benchmark.results import find_commit

ROLE = re.compile(r"\{([a-z][\w:+.-]*)\}`([^`]+)`")
DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{([\w-]+)\}[ ]*(.*?)\n(.*?)^\1[ ]*$", re.MULTILINE | re.DOTALL)
LABEL = re.compile(r"^\(([\w-]+)\)=\n+(?:#+ (.+))?", re.MULTILINE)
NAMED = re.compile(r'<span title="((?:(fig-|tbl-)|(finding-))?[\w-]+)">[^<]*</span>')
FAR_NUMBER = re.compile(r"\{glue:text\}`([^`]+::[^`]+)`")
RECORD = "application/papermill.record/text/plain"
Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Book:
    """What a notebook may point to: pages and sections with their titles, numbered things, works, the site."""

    address: str
    titles: dict[str, str]  # page -> title
    sections: dict[str, tuple[str, str]]  # label -> page and title
    code: dict[str, str]  # page -> source of its cells
    works: dict[str, tuple[str, str]]  # key -> author, year and address

    def link(self, page: str, text: str, anchor: str = "") -> str:
        """A link to a page of the site, or to a place on it."""
        return f"[{text}]({self.address}{page}.html{f'#{anchor}' if anchor else ''})"


def read_book(root: Path) -> Book:
    """Read what the pages are called, what they name, and where the site is."""
    titles, sections, code = {}, {}, {}
    for path in [*root.glob("notebooks/*.py"), *root.glob("book/*.md")]:
        page, text = path.relative_to(root).with_suffix("").as_posix(), path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            cells = jupytext.reads(text, fmt="py:percent").cells
            code[page] = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
            text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        if title := re.search(r"^# (.+)", text, re.MULTILINE):
            titles[page] = title[1].strip()
        sections |= {label: (page, name.strip()) for label, name in LABEL.findall(text)}
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return Book(settings["html"]["baseurl"], titles, sections, code, _read_works(root / "book" / "references.bib"))


def _read_works(path: Path) -> dict[str, tuple[str, str]]:
    works = {}
    for key, entry in parse_file(str(path)).entries.items():
        names = [" ".join([*each.prelast_names, *each.last_names]) for each in entry.persons.get("author", [])]
        who = names[0] if len(names) == 1 else f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
        fields = entry.fields
        arxiv = re.search(r"arXiv:([\d.]+\d)", fields.get("note", ""))
        address = f"https://doi.org/{fields['doi']}" if "doi" in fields else fields.get("url", "")
        address = address or (f"https://arxiv.org/abs/{arxiv[1]}" if arxiv else "")
        works[key] = (re.sub(r"[{}]", "", f"{who}, {fields.get('year', 'n.d.')}"), address)
    return works


def make_plain(
    notebook: nbformat.NotebookNode, page: str, book: Book, numbers: Numbers, images: Path
) -> nbformat.NotebookNode:
    """Write the text of a notebook, and of what its cells show, without roles and directives."""
    plain = nbformat.v4.new_notebook(metadata={"kernelspec": notebook.metadata["kernelspec"]})
    plain.metadata["language_info"] = {"name": "python"}
    seen: set[str] = set()
    above = ""  # the code of the cells so far, which tells what stands above a sentence
    for cell in notebook.cells:
        new = nbformat.from_dict(cell)
        if cell.cell_type == "markdown":
            new.source = _write_text(cell.source, page, book, numbers, images, above)
        else:
            above += cell.source
            if numbers.get("commit"):  # what was shown is computed again by the library that made it
                new.source = re.sub(r"(git\+https://[^\s\"']+)", rf"\1@{numbers['commit']}", cell.source)
            shown = [each for each in cell.outputs if _is_shown(each)]
            new.outputs = [_write_output(each, page, book, numbers, images, above) for each in shown]
        new.id = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
        new.id = f"{new.id}-{len(seen)}" if new.id in seen else new.id
        seen.add(new.id)
        plain.cells.append(new)
    first = plain.cells[0]
    head = _write_head(notebook, page, book)
    first.source = re.sub(r"^# .+", lambda title: f"{title[0]}\n\n{head}", first.source, count=1, flags=re.MULTILINE)
    return plain


def _write_head(notebook: nbformat.NotebookNode, page: str, book: Book) -> str:
    chapter = book.link(page, "SERAB, recomputed")
    run = notebook.metadata.get("papermill")
    if not run:
        return f"*A chapter of {chapter}. Numbers in sentences are those of the published book; cells show their own.*"
    given = run["parameters"].get("profile", "demo")
    return (
        f"*A chapter of {chapter} as it was run on {run['start_time'][:10]}, with profile `{given}`. Without the "
        'repository at hand, set `profile = "demo"` to run it again.*'
    )


def point(text: str) -> str:
    """Make roles of the places that a cell names in words, since without the book it can only name them."""
    return NAMED.sub(lambda m: f"{'finding ' * bool(m[3])}{{{'numref' if m[2] else 'ref'}}}`{m[1]}`", text)


def _is_shown(output: nbformat.NotebookNode) -> bool:
    return RECORD not in output.get("data", {}) and output.get("name") != "stderr"


def _write_output(output: nbformat.NotebookNode, *context: Any) -> nbformat.NotebookNode:
    """Keep what a reader sees: HTML before images and Markdown."""
    data = dict(output.get("data", {}))
    if "text/html" in data:
        data = {kind: data[kind] for kind in ("text/html", "text/plain") if kind in data}
    if "text/markdown" in data:
        data["text/markdown"] = _write_text(point(data["text/markdown"]), *context)
    return nbformat.from_dict({**output, "data": data, "metadata": {}} if data else output)


def _write_text(text: str, page: str, book: Book, numbers: Numbers, images: Path, above: str) -> str:
    def write_directive(match: re.Match[str]) -> str:
        _, name, argument, body = match.groups()
        options = dict(re.findall(r"^:([\w-]+):[ ]*(.*)$", body, re.MULTILINE))
        body = re.sub(r"^:[\w-]+:.*\n", "", body, flags=re.MULTILINE).strip()
        if name == "figure":
            picture = base64.b64encode((images / argument.strip()).resolve().read_bytes()).decode()
            return f"![{options.get('alt', '')}](data:image/svg+xml;base64,{picture})\n\n*{body}*" if picture else body
        if name in ("code", "code-block"):
            return f"```{argument}\n{body}\n```"
        title = f"**{argument or name.capitalize()}**\n\n"
        return "\n".join(f"> {line}".rstrip() for line in (title + body).splitlines())

    text = LABEL.sub(lambda match: match[0].partition("=\n")[2].lstrip("\n"), text)
    while DIRECTIVE.search(text):
        text = DIRECTIVE.sub(write_directive, text)
    text = ROLE.sub(lambda match: _write_role(match, page, book, numbers, above), text)
    text = re.sub(r"^(\w.*)\n:[ ]+", r"- **\1**: ", text, flags=re.MULTILINE)  # a term and its definition
    # What begins a sentence.
    return re.sub(r"(?:\A|\n\n|[.?!]\s)the (?=(?:figure|table) (?:above|below))", lambda m: m[0][:-4] + "The ", text)


def _write_role(match: re.Match[str], page: str, book: Book, numbers: Numbers, above: str) -> str:
    role, content = match.groups()
    named = re.fullmatch(r"(.+?)\s*<(.+)>", content, re.DOTALL)
    text, target = named.groups() if named else ("", content.strip())
    if role == "doc":
        place = posixpath.normpath(posixpath.join(f"/{posixpath.dirname(page)}", target)).lstrip("/")
        return book.link(place, text or book.titles.get(place, place))
    if role == "ref":
        place, title = book.sections[target]
        return book.link(place, text or title, target)
    if role == "numref":
        return _point_to(target, page, book, above)
    if role.startswith("cite"):
        works = [book.works[key.strip()] for key in target.split(",")]
        written = "; ".join(f"[{who}]({address})" if address else who for who, address in works)
        return written if role == "cite:t" else f"({written})"
    if role == "glue:text":
        return _write_number(target, page, numbers)
    if role == "term":
        return book.link("book/glossary", text or target)
    return f"${target}$" if role == "math" else text or target


def _point_to(name: str, page: str, book: Book, above: str) -> str:
    """Say where a figure or table stands: in this notebook, or on another page of the site."""
    kind = "figure" if name.startswith("fig") else "table"
    pages = [other for other, code in book.code.items() if _makes(code, name)]
    if not pages or page in pages:
        return f"the {kind} {'above' if _makes(above, name) else 'below'}"
    return book.link(pages[0], f"a {kind} of *{book.titles[pages[0]]}*", name)


def _makes(code: str, name: str) -> bool:
    """Whether code shows a figure or table of this name, which may have a part that is computed."""
    patterns = [re.sub(r"\\\{.*?\\\}", ".+", re.escape(each)) for each in re.findall(r'name=f?"([^"]+)"', code)]
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def _write_number(target: str, page: str, numbers: Numbers) -> str:
    """A recorded number or text, formatted as the role asks."""
    notebook, _, name = target.rpartition("::") if "::" in target else (posixpath.basename(page), "", target)
    name, _, form = name.partition(":")
    value = numbers.get(posixpath.basename(notebook).removesuffix(".ipynb"), {}).get(name, "…")
    return format(value, form) if form and not isinstance(value, str) else str(value)


def read_numbers(folder: Path) -> dict[str, Any]:
    """Read what the executed notebooks of a book recorded, and the commit that they were run at."""
    numbers: dict[str, Any] = {"commit": (find_commit() or "").removesuffix("-dirty")}
    for path in sorted(folder.glob("*.ipynb")):
        outputs = [each for cell in nbformat.read(path, 4).cells for each in cell.get("outputs", [])]
        numbers[path.stem] = {
            each["metadata"]["scrapbook"]["name"]: ast.literal_eval(each["data"][RECORD])
            for each in outputs
            if RECORD in each.get("data", {})
        }
    return numbers


def read_shown_sections(folder: Path) -> dict[str, tuple[str, str]]:
    """Read page and title of every section that the cells of executed notebooks show, by its anchor."""
    sections = {}
    for path in folder.glob("*.ipynb"):
        outputs = [each for cell in nbformat.read(path, 4).cells for each in cell.get("outputs", [])]
        text = "\n".join(each.get("data", {}).get("text/markdown", "") for each in outputs)
        found = re.findall(r'<a id="([\w-]+)"></a>\n+#+ (.+)', text)
        sections |= {anchor: (f"notebooks/{path.stem}", title) for anchor, title in found}
    return sections


def derive(source: Path, book: Book, numbers: Numbers) -> nbformat.NotebookNode:
    """Derive the notebook that is committed beside its source."""
    return make_plain(jupytext.read(source), f"notebooks/{source.stem}", book, numbers, source.parent)


def fill(app: Any, page: str, source: list[str]) -> None:
    """Put the numbers and texts that notebooks recorded into the prose of other pages."""
    executed = Path(app.srcdir) / "notebooks" / "executed"
    if Path(app.env.doc2path(page)).suffix != ".md" or "::" not in source[0]:
        return
    numbers = read_numbers(executed)
    written = {match[0]: _write_number(match[1], page, numbers) for match in FAR_NUMBER.finditer(source[0])}
    for role, number in written.items():
        source[0] = source[0].replace(role, number if number != "…" else role)


def finish(app: Any, exception: Exception | None) -> None:
    """Put the executed notebooks where the pages' download buttons lead."""
    root = Path(app.srcdir)
    executed = root / "notebooks" / "executed"
    if exception or app.builder.format != "html" or not executed.is_dir():
        return
    book, numbers = read_book(root), read_numbers(executed)
    book.sections.update(read_shown_sections(executed))
    for path in executed.glob("*.ipynb"):
        page = f"notebooks/{path.stem}"
        plain = make_plain(nbformat.read(path, 4), page, book, numbers, root / "notebooks")
        nbformat.write(plain, Path(app.outdir) / "_sources" / f"{page}.ipynb")


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", fill)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def main(root: Path, tell: Callable[[str], Any] = sys.stdout.write) -> None:
    """Derive all notebooks; take the numbers from the last published book, where there is one."""
    file, executed = root / "notebooks" / "numbers.json", root / "_build/published/source/notebooks/executed"
    if executed.is_dir():
        file.write_text(json.dumps(read_numbers(executed), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    book, numbers = read_book(root), json.loads(file.read_text(encoding="utf-8"))
    for source in sorted((root / "notebooks").glob("[0-9]*.py")):
        nbformat.write(derive(source, book, numbers), source.with_suffix(".ipynb"))
        tell(f"{source.stem}.ipynb\n")


if __name__ == "__main__":
    main(Path(__file__).resolve().parents[2])
