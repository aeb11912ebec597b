"""`serab audit`: text, JSON, and mistakes of the user's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serab_lib.audit import findings
from serab_lib.benchmark.results import COLUMNS
from serab_lib.cli import app


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit", *arguments])
    return result.exit_code, result.output


@pytest.fixture
def few_finders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes seconds; the whole audit is tested elsewhere."""
    quick = (findings.find_shared_speakers, findings.find_means, findings.find_selection)
    monkeypatch.setattr(findings, "FINDERS", quick)


@pytest.mark.usefixtures("few_finders")
def test_text_has_one_paragraph_a_finding() -> None:
    code, output = run()
    assert code == 0
    assert "1. IEM4: the test speakers are also in train" in output
    assert "BYOL-A, 512: printed means do not follow from the row" in output
    assert "4 findings; their numbers are computed anew each time" in output


@pytest.mark.usefixtures("few_finders")
def test_json_has_findings_and_tables() -> None:
    code, output = run("--json")
    content = json.loads(output)
    assert code == 0
    assert {"findings", "test_sizes", "speakers", "normalisation", "means", "durations", "counts"} <= set(content)
    assert {"name", "title", "says", "does", "evidence", "consequence", "confidence", "where", "values"} == set(
        content["findings"][0]
    )


@pytest.mark.usefixtures("few_finders")
def test_results_are_measured(tmp_path: Path) -> None:
    row = "RAV,m,released,{},0.7,{},0.5,{},840,300,300,{{}},1.0,True,True,1440,False"
    lines = [",".join(COLUMNS), row.format("LDA", 0.6, False), row.format("SVC", 0.65, True)]
    (tmp_path / "cells.csv").write_text("\n".join(lines))
    code, output = run("--results", str(tmp_path))
    assert code == 0
    assert "In 1 measured cell it is 5.0 to 5.0 points" in output.replace("\n", " ")


@pytest.mark.parametrize("option", ["--data", "--results"])
def test_missing_folders_end_in_one_line(option: str, tmp_path: Path) -> None:
    code, output = run(option, str(tmp_path / "nowhere"))
    assert code == 1
    assert output.startswith("error: ")
