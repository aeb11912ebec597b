"""Weights: found, verified once, read without running code."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from asserting import one_line
from making import make_byol_state

from serab_lib.extractors.byol import ByolExtractor
from serab_lib.extractors.registry import EXTRACTORS, Entry, load_extractor
from serab_lib.extractors.weights import Checkpoint, CheckpointError, read_state_dict, require_checkpoint


def released(**hashes: object) -> Entry:
    """An extractor with one checkpoint, `file.pth`."""
    return replace(EXTRACTORS["byol-s-512"], checkpoints=(Checkpoint(file="file.pth", url="", **hashes),))


def test_missing_weights_say_which_file_to_put_where(tmp_path: Path) -> None:
    with one_line(f"needs default2048_BYOLAs64x96.*{tmp_path}", CheckpointError):
        load_extractor("byol-s-2048", weights=tmp_path)
    with one_line("no folder", CheckpointError):
        load_extractor("byol-s-512", weights=tmp_path / "nowhere")


def test_both_kinds_of_published_hash(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(b"weights")
    printed = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True).stdout.strip()
    content = hashlib.sha256(b"weights").hexdigest()
    for hashes in (
        {},
        {"git_blob": printed},
        {"sha256": content},
        {"sha256": "0" * 64, "also_sha256": ("1" * 64, content)},
    ):
        assert require_checkpoint(released(**hashes), tmp_path) == (path, content)
    for hashes in ({"git_blob": "0" * 40}, {"sha256": "0" * 64, "also_sha256": ("1" * 64,)}):
        with pytest.raises(CheckpointError, match="not the released file"):
            require_checkpoint(released(**hashes), tmp_path)


@pytest.mark.parametrize("kind", ["sha256", "git_blob"])
def test_a_file_is_read_for_its_hash_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Also by another process, which this one has to be taken for."""
    path, content = tmp_path / "file.pth", b"weights"
    path.write_bytes(content)
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = released(**{kind: {"sha256": hashlib.sha256(content).hexdigest(), "git_blob": blob}[kind]})
    expected = require_checkpoint(entry, tmp_path)
    status = path.stat()
    path.write_bytes(b"changed")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert require_checkpoint(entry, tmp_path) == expected
    os.utime(path, ns=(1, 1))
    with pytest.raises(CheckpointError, match="not the released file"):
        require_checkpoint(entry, tmp_path)


def test_a_folder_counts_by_all_that_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "trill" / "variables").mkdir(parents=True)
    (tmp_path / "trill" / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "trill" / "variables" / "a").write_bytes(b"numbers")
    _, content = require_checkpoint(EXTRACTORS["trill"], tmp_path)
    assert content == " ".join(hashlib.sha256(each).hexdigest() for each in (b"graph", b"numbers"))


class Malicious:
    def __reduce__(self) -> tuple:
        return (Path("pwned").touch, ())


def cut_off(path: Path) -> None:
    torch.save(make_byol_state(), path)
    path.write_bytes(path.read_bytes()[:100_000])


def missing_tensor(path: Path) -> None:
    torch.save({name: tensor for name, tensor in make_byol_state().items() if name != "features.8.bias"}, path)


BREAKAGES: dict[str, Callable[[Path], object]] = {
    "no file": lambda path: None,
    "text": lambda path: path.write_text("hello"),
    # What a user's list of accounts looks like; the reader takes its first letter for a command.
    "lines like a pickle": lambda path: path.write_text("root:x:0:0:root:/root:/bin/bash\n"),
    "cut off": cut_off,
    "code": lambda path: path.write_bytes(pickle.dumps({"fc.3.weight": Malicious()})),
    "a list": lambda path: torch.save([torch.zeros(3)], path),
    "another network": lambda path: torch.save({"weight": torch.zeros(3)}, path),
    "a missing tensor": missing_tensor,
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_what_is_no_checkpoint_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breakage: str
) -> None:
    monkeypatch.chdir(tmp_path)
    BREAKAGES[breakage](tmp_path / "broken.pth")
    with one_line(r"broken\.pth", CheckpointError):
        ByolExtractor(tmp_path / "broken.pth")
    assert not (tmp_path / "pwned").exists()


def test_another_width_is_named(tmp_path: Path) -> None:
    torch.save(make_byol_state(1024), tmp_path / "wide.pth")
    with one_line("1024 numbers, the model has 512", CheckpointError):
        ByolExtractor(tmp_path / "wide.pth", embedding_size=512)


def test_a_wrapped_state_dict_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": make_byol_state(), "epoch": 3}, tmp_path / "wrapped.pth")
    assert "fc.3.weight" in read_state_dict(tmp_path / "wrapped.pth")
