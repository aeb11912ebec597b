"""The whole book on the real corpora at hand, most of which are missing: what cannot be had is never fatal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from serab_lib.book.build import build_book


@pytest.mark.nightly
@pytest.mark.realdata
def test_every_chapter_runs_on_one_real_corpus(
    real_data: Path, copy_project: Callable[[], Path], shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERAB_DATA", str(real_data))
    monkeypatch.setenv("SERAB_CACHE", str(shared_cache))
    monkeypatch.delenv("SERAB_RESULTS", raising=False)
    root = copy_project()
    folder = build_book("paper", root=root).parent
    pages = {page.stem: page.read_text() for page in folder.glob("notebooks/*.html")}
    assert pages.keys() == {source.stem for source in (root / "notebooks").glob("*.py")}
    assert "RAVDESS" in pages["01_tasks"]
    # The worked example needs EMOVO, which is spoken where it is not at hand, and says so.
    assert "Synthetic corpora" in pages["08_beyond_the_paper"] or (real_data / "emovo").is_dir()
