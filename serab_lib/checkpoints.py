"""Released checkpoints: where they come from, how a file is verified, how its tensors are read."""

from __future__ import annotations

import hashlib
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from serab_lib.errors import SerabError

if TYPE_CHECKING:
    import torch


class CheckpointError(SerabError):
    """A checkpoint that is missing, cut off, or another one than its name says."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A file of weights as its authors published it.

    Attributes
    ----------
    file : str
        The released file name, under which it is looked for.
    url : str
        Official address.
    licence, licence_url : str
    git_blob : str or None
        SHA-1 that `git hash-object` prints for the file.
    sha256 : str or None
        At least one of the two hashes is known for every file that is fetched.
    needs_consent : bool
        True where the licence must be accepted by the user before a download.
    """

    file: str
    url: str
    licence: str
    licence_url: str
    git_blob: str | None = None
    sha256: str | None = None
    needs_consent: bool = False


def _serab(file: str, git_blob: str, sha256: str | None = None) -> Checkpoint:
    root = "https://github.com/Neclow/SERAB"
    return Checkpoint(
        file=file,
        url=f"{root}/raw/main/SERAB/checkpoints/{file}",
        licence="MIT",
        licence_url=f"{root}/blob/main/LICENSE",
        git_blob=git_blob,
        sha256=sha256,
    )


def _ntt(embedding_size: int, git_blob: str, sha256: str | None = None) -> Checkpoint:
    root = "https://github.com/nttcslab/byol-a"
    file = f"AudioNTT2020-BYOLA-64x96d{embedding_size}.pth"
    return Checkpoint(
        file=file,
        url=f"{root}/raw/master/pretrained_weights/{file}",
        licence="NTT evaluation licence, no redistribution",
        licence_url=f"{root}/blob/master/LICENSE.pdf",
        git_blob=git_blob,
        sha256=sha256,
        needs_consent=True,
    )


CHECKPOINTS: dict[str, Checkpoint] = {
    "byol-a-512": _ntt(
        512,
        "314a35a543ddca60f175addfa6fbeecb56e1944a",
        "6cc64226318494f06ef41d7e5810be7d37abfd6490da45abdab48f188c5332e2",
    ),
    "byol-a-1024": _ntt(1024, "1c04492d54707e53f04fb664ec6bf3ec655d47f0"),
    "byol-a-2048": _ntt(2048, "dd93cab283451ad67baff974933aa122d4a8fa24"),
    "byol-s-512": _serab(
        "default512_BYOLAs64x96-2107281850-e100-bs256-lr0003-rs42.pth",
        "f4283f224c40a869e7bed9fd64316342ee2809c7",
        "449f5d0dc6b6fa8433d5e43769097520d3bc0fdae88977a7ac29e2e72ca51b52",
    ),
    "byol-s-1024": _serab(
        "default1024_BYOLAs64x96-2107292000-e100-bs256-lr0003-rs42.pth",
        "f5bcd923cf11ff279f155ba80c73547c10359fa5",
    ),
    "byol-s-2048": _serab(
        "default2048_BYOLAs64x96-2105311814-e100-bs256-lr0003-rs42.pth",
        "04fb26805f52db1af541b2186d1fc1a9ce86e4c7",
    ),
}


def weights_folder(weights: str | Path | None = None) -> Path:
    """Folder that checkpoints are looked for in: the argument, SERAB_WEIGHTS, or the user's cache."""
    chosen = weights or os.environ.get("SERAB_WEIGHTS")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("serab")) / "weights"


def find_checkpoint(name: str, weights: str | Path | None = None) -> Path | None:
    """Path of an extractor's checkpoint under its released file name, or None where it is not at hand."""
    path = weights_folder(weights) / CHECKPOINTS[name].file
    return path if path.is_file() else None


def require_checkpoint(name: str, weights: str | Path | None = None) -> Path:
    """Path of an extractor's verified checkpoint.

    Raises
    ------
    CheckpointError
        If the file is missing or is not the released one.
    """
    checkpoint, folder = CHECKPOINTS[name], weights_folder(weights)
    path = folder / checkpoint.file
    if not folder.is_dir():
        raise CheckpointError(
            f"{name} needs {checkpoint.file}, and there is no folder {folder}: create it and put the file from "
            f"{checkpoint.url} there, or pass another folder as --weights"
        )
    if not path.is_file():
        raise CheckpointError(
            f"{name} needs {checkpoint.file}, which is not in {folder}: "
            f"put the file from {checkpoint.url} there, or pass another folder as --weights"
        )
    verify(path, checkpoint)
    return path


def verify(path: Path, checkpoint: Checkpoint) -> None:
    """Hold a file against its published hash.

    Raises
    ------
    CheckpointError
        If it differs: it is cut off, damaged, or another file.
    """
    content = path.read_bytes()
    if checkpoint.sha256 is not None:
        kind, expected, got = "SHA-256", checkpoint.sha256, hashlib.sha256(content).hexdigest()
    else:
        kind, expected = "git blob", checkpoint.git_blob
        got = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if got != expected:
        raise CheckpointError(
            f"{path} is not the released file ({kind} {got[:12]}, expected {str(expected)[:12]}; "
            f"{len(content):,} bytes): fetch it again from {checkpoint.url}, "
            f"or use a checkpoint of your own as --models path:{path.name}"
        )


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a checkpoint's tensors, and nothing but tensors.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to torch.Tensor

    Raises
    ------
    CheckpointError
        If the file is no checkpoint, is cut off, or holds anything but tensors.

    Notes
    -----
    Loaded with `weights_only=True`: a checkpoint from elsewhere cannot run code.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}: give the path of a .pth file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a checkpoint of tensors, or is cut off ({type(error).__name__}): fetch it again, "
            "or save it with torch.save(model.state_dict(), path)"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(
            f"{path} holds {type(state).__name__}, not a dictionary of tensors: "
            "save it with torch.save(model.state_dict(), path)"
        )
    return state


def load_into(network: torch.nn.Module, state: dict[str, torch.Tensor], *, source: str | Path) -> None:
    """Load tensors into a network and say in one line where they do not fit.

    Raises
    ------
    CheckpointError
        If a tensor is missing, unexpected or of another shape.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in sorted(wanted.keys() | got.keys()):
        if wanted.get(name) != got.get(name):
            raise CheckpointError(
                f"{source} does not fit {type(network).__name__}: tensor {name} has shape "
                f"{got.get(name, 'none (missing)')}, expected {wanted.get(name, 'none (unknown name)')}; "
                "choose the model that this checkpoint was made for"
            )
    network.load_state_dict(state)
