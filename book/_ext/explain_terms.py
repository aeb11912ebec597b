"""Explain the words of the glossary, and the codes of the tasks, where they first stand on a page and on hover.

In the text, the first of each is a link to the glossary that shows the definition, and so is the first mention of a
protocol in code. In tables, abbreviations show theirs without a link. The entries for the codes come from the tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref

from serab_lib.corpora.task import TASKS

GLOSSARY = "book/glossary"
# Names of protocols, which stand in code; as words they mean what they always mean.
IN_CODE = {"released", "described", "rotated"}
# Words that mean more often something else, or are too short to be told from letters.
LEFT_ALONE = {"C", "group", "seen", "unseen"}
# What holds no running text.
APART = (nodes.title, nodes.caption, nodes.term, nodes.reference, nodes.FixedTextElement, nodes.math, nodes.raw)


@dataclass(frozen=True)
class Terms:
    """What the glossary explains: by the term's lower-case form, its definition and its place on the page."""

    entries: dict[str, tuple[str, str]]
    pattern: re.Pattern[str]

    def find(self, text: str) -> Iterator[tuple[re.Match[str], str]]:
        """Each term that a text holds, with its key."""
        for match in self.pattern.finditer(text):
            found = " ".join(match[0].lower().split())
            keys = (found, re.sub("ies$", "y", found), found.removesuffix("s"), found.removesuffix("es"))
            yield match, next(key for key in keys if key in self.entries)


def write_codes(app: Any, page: str, source: list[str]) -> None:
    """Write the glossary's entries for the codes of the tasks."""
    if page == GLOSSARY:
        entries = [
            f"{code}\n  The {{term}}`task` on {each.title}, in {each.language}: {', '.join(each.classes)}."
            for code, each in TASKS.items()
        ]
        source[0] = source[0].replace("{{ codes }}", "\n\n".join(entries))


def read_terms(app: Any, env: Any) -> None:
    """Read the glossary, once all pages are read."""
    entries, words = {}, []
    if GLOSSARY not in env.found_docs:
        return
    for item in env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        definition = next(item.findall(nodes.paragraph)).deepcopy()
        for link in list(definition.findall(pending_xref)):
            if link["refdomain"] == "cite":
                link.parent.remove(link)
        text = re.sub(r"\s+([.,;:])", r"\1", " ".join(definition.astext().split()))
        for term in item.findall(nodes.term):
            for word in term.astext().split(", "):
                entries[word.lower()] = (text, term["ids"][0])
                words += [word] if word not in LEFT_ALONE else []
    words.sort(key=len, reverse=True)
    env.serab_terms = Terms(entries, re.compile(rf"(?<![\w/-])(?:{'|'.join(map(_write_pattern, words))})(?![\w/-])"))


def _write_pattern(word: str) -> str:
    """Match a term at the beginning of a sentence or within, of one or of several things; an abbreviation as it is."""
    if word[1:] != word[1:].lower():
        return re.escape(word)
    first = f"[{word[0].upper()}{word[0].lower()}]"
    rest = r"\s+".join(map(re.escape, word[1:].split(" ")))
    return f"{first}{rest[:-1]}(?:y|ies)" if rest.endswith("y") else f"{first}{rest}(?:e?s)?"


def explain(app: Any, doctree: nodes.document, page: str) -> None:
    """Give the first mention of each term of a page, and of each code in each table, its definition."""
    if app.builder.format != "html" or page == GLOSSARY or not hasattr(app.env, "serab_terms"):
        return
    seen: set[tuple[int, str]] = set()
    for text in list(doctree.findall(nodes.Text)):
        around = list(_climb(text))
        table = next((each for each in around if isinstance(each, nodes.table)), None)
        if not any(isinstance(each, APART) for each in around):
            in_code = any(isinstance(each, nodes.literal) for each in around)
            _replace(app, text, page, seen, table, in_code=in_code)


def _climb(node: nodes.Node) -> Iterator[nodes.Node]:
    while node := node.parent:
        yield node


def _replace(app: Any, text: nodes.Text, page: str, seen: set, table: nodes.table | None, *, in_code: bool) -> None:
    pieces, end, terms = [], 0, app.env.serab_terms
    for match, key in terms.find(text):
        is_short = match[0].isalpha() and match[0].isupper()
        if (id(table), key) in seen or (in_code != (key in IN_CODE)) or (table and not is_short):
            continue
        seen.add((id(table), key))
        definition, place = terms.entries[key]
        address = f"{app.builder.get_relative_uri(page, GLOSSARY)}#{place}"
        link = nodes.reference("", match[0], internal=True, refuri=address, reftitle=definition, classes=["serab-term"])
        explained = nodes.abbreviation("", match[0], explanation=definition) if table else link
        pieces += [nodes.Text(text[end : match.start()]), explained]
        end = match.end()
    if pieces:
        text.parent.replace(text, [*pieces, nodes.Text(text[end:])])


def setup(app: Any) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", write_codes)
    app.connect("env-check-consistency", read_terms)
    app.connect("doctree-resolved", explain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
