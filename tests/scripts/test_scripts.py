import json
import runpy

from making import ROOT

house, dependencies = (runpy.run_path(f"{ROOT}/scripts/{name}.py") for name in ("count_house", "audit_dependencies"))
SAFE = {"name": "one", "version": "1.0", "vulns": []}
UNSAFE = {"name": "two", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "three", "skip_reason": "not found"}


def test_vulnerabilities_that_are_found_decide():
    for packages, status, words in (
        ([SAFE, UNKNOWN], 0, "1 of 2 pinned packages audited: 0 found"),
        ([SAFE, UNSAFE], 1, "two 2.0: PYSEC-1, fixed in 2.1"),
        ([UNKNOWN], 0, "not audited"),
        (None, 0, "dependencies are not audited: ConnectionError: no route to host"),
    ):
        printed = json.dumps({"dependencies": packages}) if packages else ""
        got, lines = dependencies["judge"](printed, "Traceback\n  x\nConnectionError: no route to host\n")
        assert got == status and words in "\n".join(lines)


def test_code_is_no_blank_comment_or_docstring_and_a_circle_of_rooms_is_named(monkeypatch, capsys):
    text = '"""A module."""\n\n# a comment\nx = 1  # code\ndef f():\n    """One.\n\n    Two."""\n    return x\n'
    assert house["count_code"](text) == 3
    monkeypatch.setitem(house["main"].__globals__, "read_imports", lambda: {"one": {"two"}, "two": {"one"}})
    assert house["main"]() == 1
    assert "one -> two -> one" in capsys.readouterr().out.replace("two -> one -> two", "one -> two -> one")


def test_the_house_is_within_its_budget_and_contributing_shows_it_as_it_is(capsys):
    assert house["main"]() == 0, capsys.readouterr().out
    capsys.readouterr()
    assert house["main"]("--draw") == 0
    assert capsys.readouterr().out in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
