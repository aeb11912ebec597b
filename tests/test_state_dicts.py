from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from making import make_byol_state

from serab_lib.extractors.byol import ByolExtractor
from serab_lib.extractors.weights import CheckpointError, read_state_dict


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
