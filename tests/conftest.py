"""Small corpora and checkpoints that tests make for themselves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from making import make_byol_state, write_savee

# Tests compute on tiny inputs: several threads would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tone_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SAVEE of four speakers, two classes' worth of tones each, 16 kHz."""
    data = tmp_path_factory.mktemp("data")
    write_savee(data)
    return data


@pytest.fixture
def byol_checkpoint(tmp_path: Path) -> Path:
    """A random BYOL checkpoint of width 512 on disk."""
    path = tmp_path / "random512.pth"
    torch.save(make_byol_state(), path)
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache."""
    monkeypatch.setenv("SERAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real corpora, or a skip."""
    folder = os.environ.get("SERAB_DATA", "")
    if not folder or not (Path(folder) / "ravdess").is_dir():
        pytest.skip("SERAB_DATA names no folder with ravdess/")
    return Path(folder)


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The folder of released checkpoints, or a skip."""
    folder = os.environ.get("SERAB_WEIGHTS", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SERAB_WEIGHTS names no folder")
    return Path(folder)
