import hashlib
import io
import os
import pickle
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from making import make_byol_state, one_line

from serab_lib.extractors import byol, registry
from serab_lib.extractors.weights import Checkpoint, CheckpointError, read_state_dict, require_checkpoint


def released(**hashes: object) -> registry.Entry:
    return replace(registry.EXTRACTORS["byol-s-512"], checkpoints=(Checkpoint(file="file.pth", url="", **hashes),))


def test_both_kinds_of_published_hash(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(b"weights")
    printed = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True).stdout.strip()
    content = hashlib.sha256(b"weights").hexdigest()
    also = {"sha256": "0" * 64, "also_sha256": ("1" * 64, content)}
    for hashes in ({}, {"git_blob": printed}, {"sha256": content}, also):
        assert require_checkpoint(released(**hashes), tmp_path) == (path, content)
    for hashes in ({"git_blob": "0" * 40}, {"sha256": "0" * 64, "also_sha256": ("1" * 64,)}):
        with pytest.raises(CheckpointError, match="not the released file"):
            require_checkpoint(released(**hashes), tmp_path)


@pytest.mark.parametrize("kind", ["sha256", "git_blob"])
def test_a_file_is_read_for_its_hash_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Also by another process, which this one has to be taken for."""
    path, content = tmp_path / "file.pth", b"weights"
    path.write_bytes(content)
    prefix = {"sha256": b"", "git_blob": b"blob %d\0" % len(content)}[kind]
    entry = released(**{kind: hashlib.new("sha256" if kind == "sha256" else "sha1", prefix + content).hexdigest()})
    expected = require_checkpoint(entry, tmp_path)
    status = path.stat()
    path.write_bytes(b"changed")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert require_checkpoint(entry, tmp_path) == expected
    os.utime(path, ns=(1, 1))
    with pytest.raises(CheckpointError, match="not the released file"):
        require_checkpoint(entry, tmp_path)


def test_a_folder_counts_by_all_that_is_in_it_and_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "trill" / "variables").mkdir(parents=True)
    (tmp_path / "trill" / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "trill" / "variables" / "a").write_bytes(b"numbers")
    _, content = require_checkpoint(registry.EXTRACTORS["trill"], tmp_path)
    assert content == " ".join(hashlib.sha256(each).hexdigest() for each in (b"graph", b"numbers"))
    with one_line(f"needs default2048_BYOLAs64x96.*{tmp_path}", CheckpointError):
        registry.load_extractor("byol-s-2048", weights=tmp_path)
    with one_line("no folder", CheckpointError):
        registry.load_extractor("byol-s-512", weights=tmp_path / "nowhere")


class Malicious:
    def __reduce__(self) -> tuple:
        return (Path("pwned").touch, ())


def save(state: object) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


BREAKAGES: dict[str, Callable[[], bytes]] = {
    "text": lambda: b"hello",
    # What a user's list of accounts looks like; the reader takes its first letter for a command.
    "lines like a pickle": lambda: b"root:x:0:0:root:/root:/bin/bash\n",
    "cut off": lambda: save(make_byol_state())[:100_000],
    "code": lambda: pickle.dumps({"fc.3.weight": Malicious()}),
    "a list": lambda: save([torch.zeros(3)]),
    "another network": lambda: save({"weight": torch.zeros(3)}),
    "a missing tensor": lambda: save({k: v for k, v in make_byol_state().items() if k != "features.8.bias"}),
}


@pytest.mark.parametrize("breakage", ["no file", *BREAKAGES])
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path, monkeypatch, breakage: str) -> None:
    monkeypatch.chdir(tmp_path)
    if breakage in BREAKAGES:
        (tmp_path / "broken.pth").write_bytes(BREAKAGES[breakage]())
    with one_line(r"broken\.pth", CheckpointError):
        byol.ByolExtractor(tmp_path / "broken.pth")
    assert not (tmp_path / "pwned").exists()


def test_an_encoder_inside_a_checkpoint_is_found_and_else_its_keys_or_width_are_named(tmp_path: Path) -> None:
    plain = make_byol_state()
    names = {"module.": plain, "online.encoder.": plain, "": plain}
    wrapped = [{f"{prefix}{name}": tensor for name, tensor in state.items()} for prefix, state in names.items()]
    wrapped[1]["predictor.weight"] = torch.zeros(2)
    wrapped[2] = {"model": {"net": wrapped[2]}, "optimizer": {"state": {0: {"step": 1}}}, "epoch": 3}
    for number, state in enumerate(wrapped):
        torch.save(state, path := tmp_path / f"wrapped-{number}.pth")
        assert torch.equal(read_state_dict(path)["fc.3.weight"], plain["fc.3.weight"])
        assert byol.ByolExtractor(path).embedding_size == 512
    torch.save({"student": plain, "teacher": plain}, path)
    with one_line("holds the keys student, teacher, not one dictionary", CheckpointError):
        read_state_dict(path)
    torch.save({"blocks.0.weight": torch.zeros(2)}, path)
    with one_line(r"no tensor fc\.3\.weight but blocks\.0\.weight", CheckpointError):
        byol.ByolExtractor(path)
    torch.save({"state_dict": make_byol_state(1024), "epoch": 3}, tmp_path / "wide.pth")
    with one_line("1024 numbers, the model has 512", CheckpointError):
        byol.ByolExtractor(tmp_path / "wide.pth", embedding_size=512)
