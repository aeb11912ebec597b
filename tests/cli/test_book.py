"""`serab audit`: text, JSON, and mistakes of the user's."""

import json

import pytest
from typer.testing import CliRunner

from serab_lib.audit import findings
from serab_lib.cli import app


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit", *arguments])
    return result.exit_code, result.output


def test_text_and_json_hold_the_findings_and_json_the_tables(monkeypatch):
    # What takes seconds is left out; the whole audit is tested elsewhere.
    kept = {each: findings.FINDERS[each] for each in ["means-BYOL-A-512"]}
    monkeypatch.setattr(findings, "FINDERS", dict.fromkeys(findings.FINDERS, lambda _: ()) | kept)
    code, output = run()
    assert code == 0
    content = json.loads(run("--json")[1])
    tables = {"test_sizes", "speakers", "normalisation", "means", "durations", "counts", "parameters", "classes"}
    assert set(content) == {"findings", *tables} and all(content[name] for name in tables)
    (place,) = (n for n, each in enumerate(content["findings"]) if each["name"] == "means-BYOL-A-512")
    found = content["findings"][place]
    assert list(found) == "name title says does evidence consequence code table changes where read_at values".split()
    assert found["values"]["rank_printed"] == 9
    title = "BYOL-A, 512: printed means do not follow from the row  table 3, row BYOL-A, 512"
    assert f"{place + 1}. {title}" in output
    assert "Table 3 prints for BYOL-A, 512: UM 72.7 where 71.4 follows" in output
    assert f"{len(content['findings'])} findings; what can be computed is computed anew each time" in output


@pytest.mark.parametrize("option", ["--data", "--results"])
def test_missing_folders_end_in_one_line(option, tmp_path):
    code, output = run(option, str(tmp_path / "nowhere"))
    assert code == 1 and output.startswith("error: ")
