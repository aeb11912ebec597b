import first_page
import pytest
import yaml
from making import ROOT
from pybtex.database import parse_string


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_demo_says_that_it_is_one_and_shows_no_facts(kind: str) -> None:
    text = first_page.fill((ROOT / "book" / "welcome.md").read_text(), kind, first_page.read_words(ROOT))
    assert "{{ " not in text and "<!--" not in text
    assert ("This is the demo" in text) == (kind == "synthetic")
    assert ("serab-facts" in text and "serab-cards" in text and "fig-first" in text) == (kind == "real")


def test_paper_and_companion_are_cited_as_the_citation_file_has_them() -> None:
    words, citation = first_page.read_words(ROOT), yaml.safe_load((ROOT / "CITATION.cff").read_text())
    for word, said in (("paper", citation["preferred-citation"]), ("companion", citation)):
        (entry,) = parse_string(words[word], "bibtex").entries.values()
        names = [each.get("name") or f"{each['family-names']}, {each['given-names']}" for each in said["authors"]]
        assert [str(person).strip("{}") for person in entry.persons["author"]] == names
        assert entry.fields["title"].replace("{", "").replace("}", "") == said["title"]
