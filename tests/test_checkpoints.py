from __future__ import annotations

import hashlib
import pickle
import subprocess
from pathlib import Path

import pytest
import torch
from making import make_byol_state

from serab_lib import checkpoints
from serab_lib.checkpoints import CheckpointError, read_state_dict, require_checkpoint, verify
from serab_lib.extractors.byol import ByolExtractor
from serab_lib.extractors.registry import load_extractor


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
    path = tmp_path / checkpoints.CHECKPOINTS["byol-s-512"][0].file
    torch.save(make_byol_state(), path)
    with pytest.raises(CheckpointError, match="not the released file"):
        load_extractor("byol-s-512", weights=tmp_path)


def test_git_blob_hash_is_what_git_prints(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(b"weights")
    printed = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True)
    fields = {"file": "file.pth", "url": "", "licence": "", "licence_url": ""}
    verify(path, checkpoints.Checkpoint(git_blob=printed.stdout.strip(), **fields))
    verify(path, checkpoints.Checkpoint(sha256=hashlib.sha256(b"weights").hexdigest(), **fields))
    with pytest.raises(CheckpointError):
        verify(path, checkpoints.Checkpoint(git_blob="0" * 40, **fields))


class Malicious:
    def __reduce__(self) -> tuple:
        return (Path("pwned").touch, ())


def not_a_file(path: Path) -> None:
    pass


def text(path: Path) -> None:
    path.write_text("hello")


def lines_like_a_pickle(path: Path) -> None:
    """What a user's list of accounts looks like; the reader takes its first letter for a command."""
    path.write_text("root:x:0:0:root:/root:/bin/bash\n")


def cut_off(path: Path) -> None:
    torch.save(make_byol_state(), path)
    path.write_bytes(path.read_bytes()[:100_000])


def code(path: Path) -> None:
    path.write_bytes(pickle.dumps({"fc.3.weight": Malicious()}))


def a_list(path: Path) -> None:
    torch.save([torch.zeros(3)], path)


def other_network(path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


def missing_tensor(path: Path) -> None:
    state = make_byol_state()
    del state["features.8.bias"]
    torch.save(state, path)


@pytest.mark.parametrize(
    "breakage", [not_a_file, text, lines_like_a_pickle, cut_off, code, a_list, other_network, missing_tensor]
)
def test_what_is_no_checkpoint_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breakage
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "broken.pth"
    breakage(path)
    with pytest.raises(CheckpointError) as caught:
        ByolExtractor(path)
    assert "broken.pth" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "pwned").exists()


def test_another_width_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save(make_byol_state(1024), path)
    with pytest.raises(CheckpointError, match="1024 numbers, the model has 512"):
        ByolExtractor(path, embedding_size=512)


def test_a_wrapped_state_dict_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wrapped.pth"
    torch.save({"state_dict": make_byol_state(), "epoch": 3}, path)
    assert "fc.3.weight" in read_state_dict(path)
