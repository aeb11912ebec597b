"""What prose says of the committed results is so."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPRODUCE = (ROOT / "book" / "reproduce.md").read_text()


def test_every_measurement_beside_the_grid_names_its_program() -> None:
    """Each table of the audit, and the pre-training, with a program that is there."""
    section = REPRODUCE[REPRODUCE.index("## Measurements beside the grid") :].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| `python ([^`]+)` \|", section, re.M))
    assert set(rows) == {f"audit/{file.name}" for file in (ROOT / "results" / "audit").glob("*")} | {"pretraining/"}
    for program in rows.values():
        assert (ROOT / program).is_file(), program
