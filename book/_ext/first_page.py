"""The first page: what it says in the published book and in the demo, and how to cite.

Parts of a page between `<!-- real -->` or `<!-- synthetic -->` and `<!-- end -->` are for books of real or of synthetic
numbers alone. Words in double braces become what the project's other files say.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from serab_lib.benchmark.results import find_commit

PART = re.compile(r"<!-- (real|synthetic) -->\n(.*?)<!-- end -->\n", re.DOTALL)
PAPER = "scheidwasser2022serab"


def fill(text: str, kind: str, words: dict[str, str]) -> str:
    """Keep the parts of a page that are for this kind of book, and put in the words."""
    text = PART.sub(lambda part: part[2] if part[1] == kind else "", text)
    return re.sub(r"\{\{ (\w+) \}\}", lambda word: words[word[1]], text)


def cite_paper(bibliography: str) -> str:
    """The paper's entry, as the bibliography has it."""
    return re.search(rf"^@\w+{{{PAPER},\n.*?^}}$", bibliography, re.MULTILINE | re.DOTALL)[0]


def cite_companion(citation: dict[str, Any], year: str, address: str) -> str:
    """An entry of BibTeX for what CITATION.cff describes."""
    people = [" ".join(filter(None, map(each.get, ("given-names", "family-names")))) for each in citation["authors"]]
    names = [person or f"{{{each['name']}}}" for person, each in zip(people, citation["authors"], strict=True)]
    fields = {
        "author": " and ".join(names),
        "title": f"{{{citation['title']}}}",
        "year": year,
        "version": citation["version"],
        "url": address,
    }
    lines = "".join(f"  {name:9} = {{{value}}},\n" for name, value in fields.items())
    return f"@software{{serab_companion,\n{lines}}}"


def read_words(root: Path) -> dict[str, str]:
    """What the first page takes from the project's other files."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    repository, day, commit = config["repository"]["url"], datetime.now(UTC), find_commit() or ""
    place = f"{repository.removeprefix('https://github.com/')}/blob/{config['repository']['branch']}"
    return {
        "date": f"{day.day} {day:%B %Y}",
        "commit": f"[{commit}]({repository}/commit/{commit.removesuffix('-dirty')})" if commit else "unknown",
        "colab": f"{config['launch_buttons']['colab_url']}/github/{place}/notebooks",
        "paper": cite_paper((root / "book" / "references.bib").read_text(encoding="utf-8")),
        "companion": cite_companion(citation, config["copyright"], repository),
        "version": citation["version"],
        "licence": citation["license"],
        "authors": "; ".join(" ".join(each.values()) for each in citation["authors"]),
    }


def write(app: Any, page: str, source: list[str]) -> None:
    """Write the first page."""
    if page == app.config.root_doc:
        root = Path(app.srcdir)
        kind = "synthetic" if root.parent.name == "demo" else "real"
        source[0] = fill(source[0], kind, read_words(root))


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx, before the recorded numbers are put in, so that a part left out needs none."""
    app.connect("source-read", write, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
