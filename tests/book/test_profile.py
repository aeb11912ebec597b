from __future__ import annotations

import pytest
from making import write_savee

from serab_lib.benchmark.results import Results
from serab_lib.book.profile import PROFILES, open_profile
from serab_lib.core import SerabError, UnknownNameError


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("SERAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SERAB_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("SERAB_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_open(profile, folders):
    workspace = open_profile(profile)
    assert workspace.synthetic == (profile == "demo")
    assert workspace.data == (folders / "data" if profile == "paper" else folders / "cache/demo/data")
    assert ("SYNTHETIC" in workspace.origin) == workspace.synthetic


def test_unknown_profile_names_the_nearest():
    with pytest.raises(UnknownNameError, match="published"):
        open_profile("pubished")


def test_published_results_are_found_from_a_folder_below(folders, monkeypatch):
    (folders / "results").mkdir()
    (folders / "results" / "cells.csv").write_text("")
    (folders / "_build" / "deep").mkdir(parents=True)
    monkeypatch.chdir(folders / "_build" / "deep")
    assert open_profile("published").results.folder == folders / "results"


def test_no_results_say_what_to_do():
    with pytest.raises(SerabError, match=r"there are no results in .*serab run"):
        open_profile("published").read_cells()


def test_demo_speaks_computes_and_marks_its_cells(folders):
    pytest.importorskip("espeakng_loader", reason="needs the extra [demo]")
    workspace = open_profile("demo")
    assert workspace.find_corpus("SAV").synthetic
    cells = workspace.read_cells(tasks=["SAV"], models=["logmel-stats"])
    assert set(cells["protocol"]) == {"released", "described"} and cells["synthetic"].all()
    assert workspace.read_measured().empty


def test_paper_takes_the_real_corpus_where_it_is(folders):
    write_savee(folders / "data")
    assert not open_profile("paper").find_corpus("SAV").synthetic


@pytest.mark.slow
def test_paper_runs_on_the_spoken_corpus_where_the_real_one_is_not(folders):
    pytest.importorskip("espeakng_loader", reason="needs the extra [demo]")
    workspace = open_profile("paper")
    assert workspace.find_corpus("SAV").synthetic
    assert workspace.run("SAV", ["logmel-stats"])["synthetic"].all()
    write_savee(folders / "data")
    assert not workspace.run("SAV", ["logmel-stats"])["synthetic"].any()


def test_exported_results_are_read_again_and_other_cells_stay(folders):
    from serab_lib.benchmark.grid import Settings, run_grid

    write_savee(folders / "data")
    run_grid(
        ["SAV"], ["logmel-stats"], Settings(out=folders / "out", protocols=("released", "described"), search=False)
    )
    target = Results(folders / "kept")
    Results(folders / "out").export(target.folder)
    before = target.read_cells()
    original = Results(folders / "out").read_predictions("SAV", "logmel-stats", "released")
    assert target.read_predictions("SAV", "logmel-stats", "released").equals(original.astype(str))
    assert not list(target.folder.rglob("*.parquet"))
    # A cell that stands there is not computed again, and another export leaves it.
    summary = run_grid(["SAV"], ["logmel-stats"], Settings(out=target.folder, search=False))
    assert len(summary.present) == 1 and not summary.computed
    Results(folders / "nothing").export(target.folder)
    assert target.read_cells().equals(before)
