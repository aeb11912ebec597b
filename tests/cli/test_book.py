"""`serab audit`: text, JSON, and mistakes of the user's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serab_lib.audit import findings
from serab_lib.cli import app


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit", *arguments])
    return result.exit_code, result.output


@pytest.fixture
def few_finders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes seconds; the whole audit is tested elsewhere."""
    own = "means-BYOL-A-512"
    monkeypatch.setattr(
        findings, "FINDERS", dict.fromkeys(findings.FINDERS, lambda _: ()) | {own: findings.FINDERS[own]}
    )


@pytest.mark.usefixtures("few_finders")
def test_text_and_json_hold_the_findings_and_json_the_tables() -> None:
    code, output = run()
    assert code == 0
    assert "1. BYOL-A, 512: printed means do not follow from the row  table 3, row BYOL-A, 512" in output
    assert "Table 3 prints for BYOL-A, 512: UM 72.7 where 71.4 follows" in output
    assert "7 findings; what can be computed is computed anew each time" in output
    content = json.loads(run("--json")[1])
    tables = {"test_sizes", "speakers", "normalisation", "means", "durations", "counts", "parameters", "classes"}
    assert set(content) == {"findings", *tables} and all(content[name] for name in tables)
    first = content["findings"][0]
    assert list(first) == "name title says does evidence consequence code table changes where read_at values".split()
    assert first["values"]["rank_printed"] == 9


@pytest.mark.parametrize("option", ["--data", "--results"])
def test_missing_folders_end_in_one_line(option: str, tmp_path: Path) -> None:
    code, output = run(option, str(tmp_path / "nowhere"))
    assert code == 1
    assert output.startswith("error: ")
