"""What each page says of itself, to other sites and to its readers.

A description and a preview; version, date, commit and licences; the ways to its source. Also the first page, the page
for addresses that lead nowhere, and the map of the site.
"""

from __future__ import annotations

import html
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from docutils import nodes

from serab_lib import __version__
from serab_lib.benchmark.results import find_commit

ABOUT = "The SERAB benchmark of speech emotion recognition, recomputed from its recordings, and its paper audited."
LENGTH = 200
# Pages whose text is made of another file than their own.
SOURCES = {
    "book/contributing.md": "CONTRIBUTING.md",
    "book/changelog.md": "CHANGELOG.md",
    "book/status.md": "book/_ext/weave.py",
}
REDIRECT = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><meta name="description" content="{about}">
<meta http-equiv="refresh" content="0; url={first}"><link rel="canonical" href="{address}{first}"></head>
<body><p><a href="{first}">{title}</a></p></body></html>
"""
MISSING = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>No such page: {title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 34rem; padding: 0 1rem; }}</style>
</head>
<body><h1>There is no such page</h1><p>It may have moved: <a href="{address}{first}">{title}</a> begins here, and
<a href="{address}search.html">the search</a> looks through all of it.</p></body></html>
"""


def describe(doctree: nodes.document | None) -> str:
    """The first paragraph that stands in the text itself, cut at a word."""
    paragraphs = doctree.findall(nodes.paragraph) if doctree else ()
    texts = (each.astext() for each in paragraphs if isinstance(each.parent, nodes.section | nodes.document))
    text = " ".join(next((text for text in texts if text.strip()), ABOUT).split())
    return text if len(text) <= LENGTH else f"{text[:LENGTH].rpartition(' ')[0]} …"


def write_footer(repository: str) -> str:
    """Version, date and commit, linked, and the licences."""
    commit = find_commit()
    link = f'commit <a href="{repository}/commit/{commit.removesuffix("-dirty")}">{commit}</a>' if commit else ""
    day = datetime.now(UTC)
    made = ", ".join(filter(None, [f"Version {__version__}", f"built on {day.day} {day:%B %Y}", link]))
    return (
        f'<p>{made}.</p><p>Code: <a href="{repository}/blob/main/LICENSE">MIT</a>. Text, figures and '
        'results: <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>. The corpora and checkpoints '
        'have licences of their own. Please cite the paper (<a href="https://arxiv.org/abs/2110.03414">arXiv '
        "2110.03414</a>) and this companion.</p>"
    )


def add(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give a page what the template shows, and mend the theme's links to its source."""
    repository = app.config.html_theme_options["repository_url"].rstrip("/")
    context["serab_description"] = ABOUT if page == app.config.root_doc else describe(doctree)
    context["serab_address"] = app.config.html_baseurl
    context["serab_profile"] = Path(app.srcdir).parent.name
    context["theme_extra_footer"] = write_footer(repository)
    buttons = json.dumps(context.get("header_buttons", []))
    source = f"{page}{context.get('page_source_suffix', '')}"
    edited = SOURCES.get(source, source.replace(".ipynb", ".py"))
    for old, new in ((f"/edit/main/{source}", f"/edit/main/{edited}"), ("&body=Your%20issue%20content%20here.", "")):
        buttons = buttons.replace(old, new)
    context["header_buttons"] = json.loads(buttons)


def finish(app: Any, exception: Exception | None) -> None:
    """Write the first page, the page for addresses that lead nowhere, and the map of the site."""
    if exception or app.builder.format != "html":
        return
    first = f"{app.config.root_doc}.html"
    words = {"title": html.escape(app.config.html_title), "about": ABOUT, "address": app.config.html_baseurl}
    folder = Path(app.outdir)
    (folder / "index.html").write_text(REDIRECT.format(first=first, **words), encoding="utf-8")
    (folder / "404.html").write_text(MISSING.format(first=first, **words), encoding="utf-8")
    places = "".join(
        f"<url><loc>{app.config.html_baseurl}{page}.html</loc></url>\n" for page in sorted(app.env.found_docs)
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    (folder / "sitemap.xml").write_text(f"{head}{places}</urlset>\n", encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx, after the theme, which makes the buttons, and after the table of contents' own first page."""
    app.connect("html-page-context", add, priority=950)
    app.connect("build-finished", finish, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
