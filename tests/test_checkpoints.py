from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
import torch
from making import make_byol_state

from serab_lib.extractors import weights
from serab_lib.extractors.registry import load_extractor
from serab_lib.extractors.weights import CheckpointError, require_checkpoint, verify


def test_missing_weights_say_which_file_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        require_checkpoint("byol-s-2048", tmp_path)
    message = str(caught.value)
    assert "default2048_BYOLAs64x96" in message
    assert str(tmp_path) in message
    assert "\n" not in message


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no folder"):
        require_checkpoint("byol-s-512", tmp_path / "nowhere")


def test_a_file_under_a_released_name_must_have_its_hash(tmp_path: Path) -> None:
    path = tmp_path / weights.CHECKPOINTS["byol-s-512"][0].file
    torch.save(make_byol_state(), path)
    with pytest.raises(CheckpointError, match="not the released file"):
        load_extractor("byol-s-512", weights=tmp_path)


def test_git_blob_hash_is_what_git_prints(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(b"weights")
    printed = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True)
    fields = {"file": "file.pth", "url": "", "licence": "", "licence_url": ""}
    verify(path, weights.Checkpoint(git_blob=printed.stdout.strip(), **fields))
    verify(path, weights.Checkpoint(sha256=hashlib.sha256(b"weights").hexdigest(), **fields))
    with pytest.raises(CheckpointError):
        verify(path, weights.Checkpoint(git_blob="0" * 40, **fields))
