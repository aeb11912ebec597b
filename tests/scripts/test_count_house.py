"""The house is within its budget, and CONTRIBUTING shows it as it is."""

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
house = runpy.run_path(str(ROOT / "scripts" / "count_house.py"))


def test_code_is_no_blank_comment_or_docstring():
    text = '"""A module."""\n\n# a comment\nx = 1  # code\ndef f():\n    """One.\n\n    Two."""\n    return x\n'
    assert house["count_code"](text) == 3


def test_a_circle_of_rooms_is_named(monkeypatch, capsys):
    monkeypatch.setitem(house["main"].__globals__, "read_imports", lambda: {"one": {"two"}, "two": {"one"}})
    assert house["main"]() == 1
    assert "one -> two -> one" in capsys.readouterr().out.replace("two -> one -> two", "one -> two -> one")


def test_the_house_is_within_its_budget_and_contributing_shows_it_as_it_is(capsys):
    assert house["main"]() == 0, capsys.readouterr().out
    capsys.readouterr()
    assert house["main"]("--draw") == 0
    assert capsys.readouterr().out in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
