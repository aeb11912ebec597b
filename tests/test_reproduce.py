"""`serab reproduce`: the plan tells what there is, the work does what can be done and names the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from making import write_savee
from serving import Site, serve
from typer.testing import CliRunner

from serab_lib.benchmark.results import Results
from serab_lib.cli import app, planning
from serab_lib.cli.planning import Plan, Settings, make_plan
from serab_lib.cli.reproduction import build_new_book, reproduce
from serab_lib.core import SerabError
from serab_lib.corpora import manifests
from serab_lib.corpora.manifests import read_manifest
from serab_lib.corpora.splits import PROTOCOLS
from serab_lib.download.sources import CORPORA, RemoteFile
from serab_lib.extractors.registry import EXTRACTORS


def touch(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A folder with a whole RAVDESS, half a CaFE and a synthetic EMOVO; no weights."""
    data = tmp_path / "data"
    touch(data / "ravdess", list(read_manifest("ravdess.csv")["file"]))
    touch(data / "cafe", list(read_manifest("cafe.csv")["file"])[:400])
    touch(data / "emovo", ["f1/dis-f1-b1.wav"])
    (data / "emovo" / "SYNTHETIC.json").write_text('{"files": {"f1/dis-f1-b1.wav": "0"}}')
    return Settings(data=data, weights=tmp_path / "weights", out=tmp_path / "results")


def states(plan: Plan) -> dict[str, tuple[str, bool]]:
    return {item.name: (item.state, item.is_feasible) for item in (*plan.corpora, *plan.extractors)}


def test_the_plan_tells_the_whole_job(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning.importlib.util, "find_spec", lambda name: None)
    plan = make_plan(settings)
    assert (len(plan.corpora), len(plan.extractors), plan.n_cells) == (9, 13, 9 * 13 * 2)
    found = states(plan)
    assert found["ravdess"] == ("there", True)
    assert found["cafe"] == found["emovo"] == ("not usable", False)
    assert found["savee"] == found["iemocap"] == ("to be asked for", False)
    assert found["aesdd"] == ("by hand", False)
    assert found["cremad"] == found["emodb"] == found["shemo"] == ("can be fetched", True)
    assert found["opensmile"] == ("nothing needed", True)
    assert found["byol-s-2048"] == ("can be fetched", True)
    assert found["byol-a-512"] == ("licence to accept", False)
    assert found["trill"] == ("needs tensorflow", False)
    assert plan.tasks == ["CRE", "EMB", "RAV", "SHE"]
    assert plan.n_feasible == 4 * 9 * 2
    left_out = "\n".join(plan.left_out)
    assert len(plan.left_out) == 9
    for word in (
        "AESDD",
        "SAVEE",
        "IEM4",
        "400 of 936",
        "synthetic",
        "--accept-licence",
        "serab-companion[tensorflow]",
    ):
        assert word in left_out
    assert not Path(settings.out).exists() and not Path(settings.weights).exists(), "a plan writes nothing"


def test_a_plan_without_network_and_with_the_licence(settings: Settings) -> None:
    plan = make_plan(replace(settings, may_fetch=False, accept_licence=True))
    assert plan.tasks == ["RAV"] and plan.models == ["opensmile"] and plan.offers == ()
    plan = make_plan(replace(settings, accept_licence=True))
    assert {"byol-a-512", "byol-a-1024", "byol-a-2048"} <= set(plan.models)


def test_the_stages_add_up(settings: Settings) -> None:
    fetching, embedding, fitting, book = make_plan(settings).stages
    assert fetching.n_bytes > 600e6 + 870e6 + 1_100e6
    assert fitting.what == "72 cells of five classifiers" and book.n_bytes > 0
    more = make_plan(replace(settings, accept_licence=True, with_book=False)).stages
    assert len(more) == 3
    assert more[1].n_bytes > embedding.n_bytes


def test_the_command_prints_and_dumps_the_plan(settings: Settings) -> None:
    where = ["--data", str(settings.data), "--weights", str(settings.weights), "--out", str(settings.out)]
    result = CliRunner().invoke(app, ["reproduce", "--plan", *where])
    assert result.exit_code == 0
    for text in ("ravdess", "can be fetched", "byol-s-cvt-2048", "cells can be computed", "left out"):
        assert text in result.stdout
    rows = json.loads(CliRunner().invoke(app, ["reproduce", "--plan", "--json", *where]).stdout)
    assert rows["cells"] == 234 and rows["feasible_cells"] <= 234
    assert {stage["stage"] for stage in rows["stages"]} == {"fetch", "embeddings", "classifiers", "book"}
    assert [row["name"] for row in rows["corpora"] if row["state"] == "there"] == ["ravdess"]


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


@pytest.fixture
def small(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A grid of two tasks, of which one is there and the other's source is gone, and of one extractor."""
    data = tmp_path / "data"
    write_savee(data)
    names = [path.name for path in (data / "savee").iterdir()]

    def read(name: str) -> pd.DataFrame | None:
        table = read_manifest(name)
        return table[table["file"].isin(names)].assign(duration_s="") if name == "savee.csv" else table

    monkeypatch.setattr(manifests, "read_manifest", read)
    entry = replace(EXTRACTORS["logmel-stats"], paper_row="openSMILE")
    monkeypatch.setattr(planning, "PAPER_TASKS", ("EMB", "SAV"))
    monkeypatch.setattr(planning, "EXTRACTORS", {entry.name: entry})
    gone = RemoteFile(name="download.zip", urls=(f"{site.address}/download.zip",))
    monkeypatch.setitem(CORPORA, "emodb", replace(CORPORA["emodb"], files=(gone,)))
    return Settings(
        data=data, weights=tmp_path / "weights", cache=tmp_path / "cache", out=tmp_path / "results", n_jobs=1
    )


def test_what_can_be_done_is_done_and_the_rest_is_named(
    small: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def build_book(profile: str, *, environment: dict[str, str], **options: object) -> Path:
        asked.append((profile, options["root"], environment["SERAB_RESULTS"], environment["SERAB_DATA"]))
        return tmp_path / "html" / "index.html"

    monkeypatch.setattr("serab_lib.book.build.build_book", build_book)
    plan = make_plan(small)
    assert plan.tasks == ["EMB", "SAV"] and plan.n_feasible == 4 and plan.n_present == 0
    outcome = reproduce(plan, small)
    assert [failure for failure in outcome.failures if "HTTP 404" in failure and "EmoDB" in failure]
    assert len(outcome.summary.computed) == 2, "the corpus that is there is computed under both protocols"
    assert set(Results(small.out).read_cells()["protocol"]) == set(PROTOCOLS)
    assert outcome.book == tmp_path / "html" / "index.html"
    assert asked == [("paper", small.root, str(small.out), str(small.data))]
    assert make_plan(small).n_present == 2
    again = reproduce(make_plan(small), replace(small, with_book=False))
    assert (len(again.summary.computed), len(again.summary.present)) == (0, 2)


def test_a_book_that_fails_is_not_fatal(small: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_book(*_: object, **__: object) -> None:
        raise SerabError("a cell failed")

    monkeypatch.setattr("serab_lib.book.build.build_book", build_book)
    where = ["--data", str(small.data), "--weights", str(small.weights), "--out", str(small.out)]
    result = CliRunner().invoke(app, ["reproduce", "--jobs", "1", *where])
    assert result.exit_code == 0
    assert "the book was not built: a cell failed" in result.stderr
    assert "2 cells computed" in result.stdout
    with pytest.raises(SerabError, match="a cell failed"):
        build_new_book(small)


def test_nothing_to_do_is_an_error_in_one_line(small: Settings, tmp_path: Path) -> None:
    where = ["--data", str(tmp_path / "none"), "--weights", str(small.weights), "--out", str(small.out), "--no-fetch"]
    result = CliRunner().invoke(app, ["reproduce", *where])
    assert result.exit_code == 1
    assert "no cell can be computed" in result.stderr


def test_a_device_that_is_not_there_is_seen_before_anything_is_fetched(small: Settings, site: Site) -> None:
    with pytest.raises(SerabError, match="choose --device cpu"):
        reproduce(make_plan(small), replace(small, device="cuda:99" if not _has_cuda() else "tpu"))
    assert site.asked == []


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
