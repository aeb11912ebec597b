import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_measurement_beside_the_grid_names_its_program() -> None:
    text = (ROOT / "book" / "reproduce.md").read_text()
    section = text[text.index("## Measurements beside the grid") :].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| `python ([^`]+)` \|", section, re.M))
    assert set(rows) == {f"audit/{file.name}" for file in (ROOT / "results" / "audit").glob("*")} | {"pretraining/"}
    assert all((ROOT / program).is_file() for program in rows.values())
