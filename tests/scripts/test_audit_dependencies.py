"""The audit of the pinned packages tells a vulnerability from a missing network."""

import json
import runpy
from pathlib import Path

import pytest

judge = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts" / "audit_dependencies.py"))["judge"]
SAFE = {"name": "one", "version": "1.0", "vulns": []}
UNSAFE = {"name": "two", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "three", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "status", "words"),
    [
        ([SAFE, UNKNOWN], 0, "1 of 2 pinned packages audited: 0 found"),
        ([SAFE, UNSAFE], 1, "two 2.0: PYSEC-1, fixed in 2.1"),
        ([UNKNOWN], 0, "not audited"),
    ],
)
def test_what_is_found_decides(packages, status, words):
    got, lines = judge(json.dumps({"dependencies": packages}), "")
    assert got == status and words in "\n".join(lines)


def test_without_a_network_it_passes_and_says_why():
    said = judge("", "Traceback\n  x\nConnectionError: no route to host\n")
    assert said == (0, ["dependencies are not audited: ConnectionError: no route to host"])
