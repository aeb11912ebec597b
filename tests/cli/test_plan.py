import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from making import call, touch, write_savee
from serving import Site

from serab_lib.benchmark import grid, results
from serab_lib.book import build
from serab_lib.cli import plan
from serab_lib.cli.plan import carry_out, make_plan
from serab_lib.core import SerabError
from serab_lib.corpora import corpus as lists
from serab_lib.corpora.corpus import read_manifest
from serab_lib.corpora.splits import PROTOCOLS
from serab_lib.download.sources import CORPORA, RemoteFile
from serab_lib.extractors.registry import EXTRACTORS

STATES = tomllib.loads(Path(__file__).with_name("plan.toml").read_text())


@pytest.fixture
def settings(tmp_path: Path) -> grid.Settings:
    """A folder with a whole RAVDESS, half a CaFE and a synthetic EMOVO; no weights."""
    data = tmp_path / "data"
    names = {"ravdess": read_manifest("ravdess.csv")["file"], "cafe": read_manifest("cafe.csv")["file"][:400]}
    for name, files in (names | {"emovo": ["f1/dis-f1-b1.wav"]}).items():
        touch(data / name, files)
    (data / "emovo" / "SYNTHETIC.json").write_text('{"files": {"f1/dis-f1-b1.wav": "0"}}')
    return grid.Settings(data=data, weights=tmp_path / "weights", out=tmp_path / "results", protocols=PROTOCOLS)


def list_computed(planned: dict[str, Any], kind: str) -> set[str]:
    return {row["name"] for row in planned[kind] if row["computed"] == "yes"}


def list_folders(settings: grid.Settings) -> tuple[object, ...]:
    return "--data", settings.data, "--weights", settings.weights, "--out", settings.out


def test_the_plan_tells_the_whole_job(settings, monkeypatch):
    monkeypatch.setattr(plan.importlib.util, "find_spec", lambda name: None)
    planned = make_plan(settings)
    assert (len(planned["corpora"]), len(planned["extractors"]), planned["cells"]) == (9, 13, 234)
    found = {row["name"]: row["state"] for row in (*planned["corpora"], *planned["extractors"])}
    assert {name: state for state, names in STATES.items() for name in names.split()}.items() <= found.items()
    assert list_computed(planned, "corpora") == {"cremad", "emodb", "ravdess", "shemo"}
    asked = {"opensmile", "byol-s-2048", "byol-a-512", "trill"}
    assert asked & list_computed(planned, "extractors") == {"opensmile", "byol-s-2048"}
    assert (planned["feasible_cells"], len(planned["left_out"])) == (72, 9), "4 corpora, 9 extractors, 2 protocols"
    left_out = "\n".join(planned["left_out"])
    named = ("AESDD", "SAVEE", "IEM4", "400 of 936", "synthetic", "--accept-licence", "serab-companion[tensorflow]")
    assert [word for word in named if word not in left_out] == []
    assert not Path(settings.out).exists() and not Path(settings.weights).exists(), "a plan writes nothing"


def test_a_plan_without_network_or_with_the_licence_whose_stages_add_up(settings):
    planned = make_plan(settings, may_fetch=False, accept_licence=True)
    assert list_computed(planned, "corpora") == {"ravdess"}
    assert list_computed(planned, "extractors") == {"opensmile"}
    assert planned["stages"][0]["what"] == "0 downloads, nothing"
    planned = make_plan(settings, accept_licence=True)
    assert {"byol-a-512", "byol-a-1024", "byol-a-2048"} <= list_computed(planned, "extractors")
    fetching, embedding, fitting, book = make_plan(settings)["stages"]
    assert fetching["bytes"] > 600e6 + 870e6 + 1_100e6
    assert fitting["what"] == "72 cells of five classifiers" and book["bytes"] > 0
    more = make_plan(settings, accept_licence=True, with_book=False)["stages"]
    assert [stage["stage"] for stage in more] == ["fetch", "embeddings", "classifiers"]
    assert more[1]["bytes"] > embedding["bytes"]


def test_the_command_prints_and_dumps_the_plan(settings):
    printed = call("reproduce", "--plan", *list_folders(settings))
    for text in ("ravdess", "can be fetched", "byol-s-cvt-2048", "72 of 234 cells can be computed", "left out"):
        assert text in printed
    assert json.loads(call("reproduce", "--plan", "--json", *list_folders(settings))) == make_plan(settings)


@pytest.fixture
def small(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> grid.Settings:
    """A grid of two tasks, of which one is there and the other's source is gone, and of one extractor."""
    data = tmp_path / "data"
    write_savee(data)
    names = [path.name for path in (data / "savee").iterdir()]
    savee = read_manifest("savee.csv")
    savee = savee[savee["file"].isin(names)].assign(duration_s="")
    monkeypatch.setattr(lists, "read_manifest", lambda name: savee if name == "savee.csv" else read_manifest(name))
    entry = replace(EXTRACTORS["logmel-stats"], paper_row="openSMILE")
    monkeypatch.setattr(plan, "PAPER_TASKS", ("EMB", "SAV"))
    monkeypatch.setattr(plan, "EXTRACTORS", {entry.name: entry})
    gone = RemoteFile(name="download.zip", urls=(f"{site.address}/download.zip",))
    monkeypatch.setitem(CORPORA, "emodb", replace(CORPORA["emodb"], files=(gone,)))
    folders = {name: tmp_path / name for name in ("weights", "cache", "out")}
    return grid.Settings(data=data, protocols=PROTOCOLS, n_jobs=1, **folders)


def test_what_can_be_done_is_done_and_the_rest_is_named(small, tmp_path, monkeypatch):
    asked, page = [], tmp_path / "index.html"
    monkeypatch.setattr(build, "build_book", lambda profile, **options: asked.append((profile, options)) or page)
    planned = make_plan(small)
    assert list_computed(planned, "corpora") == {"emodb", "savee"}
    assert (planned["feasible_cells"], planned["present_cells"]) == (4, 0)
    done = carry_out(planned, small, root=tmp_path)
    (failure,) = done["failures"]
    assert "HTTP 404" in failure and "EmoDB" in failure
    assert (done["computed"], done["present"], done["fetched"], done["book"]) == (2, 0, [], str(page))
    assert set(results.Results(small.out).read_cells()["protocol"]) == set(PROTOCOLS)
    ((profile, options),) = asked
    assert (profile, options["root"]) == ("paper", tmp_path)
    folders = {"SERAB_RESULTS": small.out, "SERAB_DATA": small.data, "SERAB_WEIGHTS": small.weights}
    assert options["environment"] == {name: str(folder) for name, folder in folders.items()}
    planned = make_plan(small, with_book=False)
    assert planned["present_cells"] == 2
    done = carry_out(planned, small)
    assert (done["computed"], done["present"], done["book"], len(asked)) == (0, 2, None, 1)


def test_a_book_that_fails_is_not_fatal(small, monkeypatch):
    monkeypatch.setattr(build, "build_book", Mock(side_effect=SerabError("a cell failed")))
    printed = call("reproduce", "--jobs", 1, *list_folders(small))
    assert "2 cells computed" in printed and "the book was not built: a cell failed" in printed


def test_no_such_device_and_nothing_to_do_are_seen_before_anything_is_fetched(small, site, tmp_path):
    with pytest.raises(SerabError, match="choose --device cpu"):
        carry_out(make_plan(small), replace(small, device="abacus"))
    assert site.asked == []
    printed = call("reproduce", *list_folders(replace(small, data=tmp_path / "none")), "--no-fetch", code=1)
    assert "no cell can be computed: 0 corpora and 1 extractors at hand" in printed
