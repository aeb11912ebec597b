import functools
import shutil

import pandas as pd
import pytest
from extractors.test_hear import GUEST
from making import COMMITTED, one_line, touch, write_savee

from serab_lib.benchmark import grid
from serab_lib.book import build, profile
from serab_lib.core import UnknownNameError


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("SERAB_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SERAB_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small(monkeypatch, tmp_path_factory):
    """The demo's grid is one task and one extractor here, spoken once, and no hyperparameters are searched."""
    pytest.importorskip("espeakng_loader", reason="needs the extra [demo]")
    monkeypatch.setenv("SERAB_CACHE", str(tmp_path_factory.getbasetemp() / "small-demo"))
    monkeypatch.setattr(profile, "PAPER_TASKS", ("SAV",))
    monkeypatch.setattr(profile, "DEMO_MODELS", ("logmel-stats",))
    monkeypatch.setattr(grid, "Settings", functools.partial(grid.Settings, search=False))


@pytest.mark.parametrize("name", profile.PROFILES)
def test_profiles_open(name, folders):
    data = profile.open_profile(name)
    assert data.synthetic == (name == "demo") == ("SYNTHETIC" in data.origin)
    assert data.data == (folders / "data" if name == "paper" else folders / "cache/demo/data")


def test_published_results_are_found_from_a_folder_below_and_what_is_not_there_is_named(folders, monkeypatch):
    with one_line("published", UnknownNameError):
        profile.open_profile("pubished")
    with one_line(r"there are no results in .*serab run"):
        profile.open_profile("published").read_cells()
    for folder in ("results", "deep"):
        (folders / folder).mkdir()
    (folders / "results" / "cells.csv").write_text("")
    monkeypatch.chdir(folders / "deep")
    assert profile.open_profile("published").results.folder == folders / "results"


def test_a_folder_of_cells_alone_is_shown_and_chapters_conclude_from_the_published_results(folders, monkeypatch):
    monkeypatch.setenv("SERAB_RESULTS", str(folders / "mine"))
    touch(folders, ["results/cells.csv", "mine/cells.csv", "mine/transfer.csv"])
    data = profile.open_profile("published")
    assert (data.results.folder, data.measured.folder) == (folders / "mine", folders / "results")
    touch(folders, ["mine/pretraining/ravdess.csv"])
    assert profile.open_profile("published").measured.folder == folders / "mine"


def test_demo_speaks_computes_and_marks_its_cells(small):
    data = profile.open_profile("demo")
    cells = data.read_cells()
    assert set(cells["protocol"]) == {"released", "described"} and cells["synthetic"].all()
    assert data.find_corpus("SAV").synthetic and data.read_measured().empty


def test_paper_takes_the_real_corpus_where_it_is_and_speaks_it_where_it_is_not(small, folders, monkeypatch):
    data = profile.open_profile("paper")
    assert data.find_corpus("SAV").synthetic and data.run("SAV", ["logmel-stats"])["synthetic"].all()
    write_savee(folders / "data")
    assert not data.find_corpus("SAV").synthetic
    (folders / "guest.py").write_text(GUEST)
    monkeypatch.syspath_prepend(folders)
    cells = data.run("SAV", ["hear:guest", "logmel-stats"])
    assert not cells["synthetic"].any()
    assert set(cells["model"]) == {"hear-guest", "logmel-stats"}


@pytest.mark.nightly
@pytest.mark.realdata
def test_every_chapter_runs_on_one_real_corpus_and_one_cell(
    real_data, copy_project, shared_cache, folders, monkeypatch
):
    """Most others are missing: what cannot be had is never fatal."""
    shutil.copytree(COMMITTED.folder / "predictions", folders / "mine" / "predictions")
    shutil.copy(COMMITTED.folder / "provenance.json", folders / "mine")
    cells = pd.read_csv(COMMITTED.folder / "cells.csv").query("task == 'RAV' and model == 'logmel-stats'")
    cells.to_csv(folders / "mine" / "cells.csv", index=False)
    for name, folder in {"DATA": real_data, "CACHE": shared_cache, "RESULTS": folders / "mine"}.items():
        monkeypatch.setenv(f"SERAB_{name}", str(folder))
    root = copy_project()
    folder = build.build_book("paper", root=root).parent
    pages = {page.stem: page.read_text() for page in folder.glob("notebooks/*.html")}
    assert pages.keys() == {source.stem for source in (root / "notebooks").glob("*.py")}
    assert "RAVDESS" in pages["01_tasks"] and "cells of the published book" in pages["05_accuracy_grid"]
    # The worked example needs EMOVO, which is spoken where it is not at hand, and says so.
    assert "Synthetic corpora" in pages["10_beyond_the_paper"] or (real_data / "emovo").is_dir()
