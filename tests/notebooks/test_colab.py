"""Each committed .ipynb runs from top to bottom in a clean folder, as Colab would run it."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.nightly
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_in_a_clean_folder(path, tmp_path, shared_cache, monkeypatch):
    pytest.importorskip("espeakng_loader", reason="the demo's corpora need the extra [demo]")
    monkeypatch.setenv("SERAB_CACHE", str(shared_cache))
    for name in ("SERAB_DATA", "SERAB_WEIGHTS", "SERAB_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    copy = shutil.copy(path, tmp_path)
    notebook = nbformat.read(copy, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs
    assert not [each for each in outputs if each.output_type == "error"]
