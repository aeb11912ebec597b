"""The whole book on the real corpora at hand, most of which are missing: what cannot be had is never fatal."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from serab_lib.book.build import build_book

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.realdata
def test_every_chapter_runs_on_one_real_corpus(
    real_data: Path, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("book", "notebooks", "results"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("_config.yml", "_toc.yml", "CONTRIBUTING.md", "CHANGELOG.md", "environment.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setenv("SERAB_DATA", str(real_data))
    monkeypatch.setenv("SERAB_CACHE", str(shared_cache))
    monkeypatch.delenv("SERAB_RESULTS", raising=False)
    folder = build_book("paper", root=tmp_path).parent
    pages = {page.stem: page.read_text() for page in folder.glob("notebooks/*.html")}
    assert len(pages) == len(list((ROOT / "notebooks").glob("*.py")))
    assert "RAVDESS" in pages["01_tasks"]
    # The worked example needs EMOVO, which is spoken where it is not at hand, and says so.
    assert "Synthetic corpora" in pages["08_beyond_the_paper"] or (real_data / "emovo").is_dir()
