"""The house is within its budget, and CONTRIBUTING shows it as it is."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
house = runpy.run_path(str(ROOT / "scripts" / "count_house.py"))


def test_code_is_no_blank_comment_or_docstring() -> None:
    lines = [
        '"""A module."""',
        "",
        "# a comment",
        "x = 1  # code",
        "def f():",
        '    """One.',
        "",
        '    Two."""',
        "    return x",
    ]
    assert house["count_code"]("\n".join(lines)) == 3


def test_a_circle_of_rooms_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(house["main"].__globals__, "read_imports", lambda: {"one": {"two"}, "two": {"one"}})
    assert house["main"]() == 1
    assert "one -> two -> one" in capsys.readouterr().out.replace("two -> one -> two", "one -> two -> one")


def test_the_house_is_within_its_budget(capsys: pytest.CaptureFixture[str]) -> None:
    status = house["main"]()
    assert status == 0, capsys.readouterr().out


def test_contributing_shows_the_house_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert house["main"]("--draw") == 0
    assert capsys.readouterr().out in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
