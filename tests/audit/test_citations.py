"""What the audit says to have read: every place is well formed, and holds the word where the repository is at hand."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from serab_lib.audit.findings import link, read_departures

DATA = Path(__file__).resolve().parents[2] / "serab_lib" / "data"
KEYS = ["repository", "commit", "file", "line", "holds"]
REPOSITORIES = (
    "Neclow/SERAB",
    "nttcslab/byol-a",
    "audeering/opensmile-python",
    "tensorflow/datasets",
    "tensorflow/models",
)


def read_places() -> Iterator[dict[str, Any]]:
    with (DATA / "findings.toml").open("rb") as file:
        for record in tomllib.load(file).values():
            yield from record.get("read_at", [])
    yield from read_departures()[KEYS].to_dict("records")


def list_clones() -> dict[str, Path]:
    """The clones in the folder SERAB_REFERENCE, each under the name of its repository."""
    folder = os.environ.get("SERAB_REFERENCE", "")
    clones = {name: Path(folder, name.split("/")[1]) for name in REPOSITORIES if folder}
    return {name: path for name, path in clones.items() if path.is_dir()}


def test_every_place_is_well_formed() -> None:
    places = list(read_places())
    assert len(places) > 50 and {place["repository"] for place in places} == set(REPOSITORIES)
    for place in places:
        assert list(place) == KEYS
        assert re.fullmatch(r"[0-9a-f]{40}|v\d+\.\d+\.\d+", place["commit"])
        assert not place["file"].startswith("/") and Path(place["file"]).suffix
        assert place["line"] > 0 and 3 <= len(place["holds"]) <= 30


def test_links_name_repository_commit_file_and_line() -> None:
    place = {"repository": "a/b", "commit": "0123456789", "file": "c/d.py", "line": 7}
    assert link(place) == "[c/d.py, line 7](https://github.com/a/b/blob/0123456789/c/d.py#L7)"


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_every_place_holds_what_was_read_there(repository: str) -> None:
    clone = list_clones().get(repository)
    if clone is None:
        pytest.skip(f"SERAB_REFERENCE names no folder with a clone of {repository}")
    wrong = []
    for place in (place for place in read_places() if place["repository"] == repository):
        command = ["git", "-C", str(clone), "show", f"{place['commit']}:{place['file']}"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
        if place["holds"] not in lines[place["line"] - 1]:
            wrong.append((place, lines[place["line"] - 1]))
    assert not wrong


def test_departures_say_what_the_release_does_and_what_is_done_here() -> None:
    table = read_departures()
    assert table["step"].is_unique and table[["release", "here"]].map(len).min().min() > 4
    assert isinstance(table, pd.DataFrame) and table["read_at"].str.contains("/blob/").all()
