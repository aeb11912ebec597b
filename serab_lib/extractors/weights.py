"""Weights: the files that an extractor may have, where they are looked for, how one is verified and read."""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serab_lib.core import SerabError, cache_folder, find_folder, hash_files, reading

if TYPE_CHECKING:
    import torch

    from serab_lib.extractors.registry import Entry


class CheckpointError(SerabError):
    """A checkpoint that is missing, cut off, or another one than its name says."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A file of weights as its authors published it; serab_lib/data/models.toml says what each field means."""

    file: str
    url: str
    n_bytes: int | None = None
    sha256: str | None = None
    git_blob: str | None = None
    also_sha256: tuple[str, ...] = ()
    is_folder: bool = False
    mirrors: tuple[str, ...] = ()
    package: str | None = None


def weights_folder(weights: str | Path | None = None) -> Path:
    """Folder that checkpoints are looked for in: the argument, SERAB_WEIGHTS, or the user's cache."""
    return find_folder("weights", weights)


def find_checkpoint(entry: Entry, weights: str | Path | None = None) -> Path | None:
    """Path of an extractor's checkpoint under a released file name, or None where none is at hand."""
    folder = weights_folder(weights)
    return next((folder / each.file for each in entry.checkpoints if (folder / each.file).exists()), None)


def require_checkpoint(
    entry: Entry, weights: str | Path | None = None, *, cache: Path | None = None
) -> tuple[Path | None, str]:
    """Find an extractor's weights and verify them: path and SHA-256, or None and `none` where it has none.

    A folder counts by each of its files. `cache`, the folder of caches, remembers hashes: a file is read for them once.
    """
    cache = cache or cache_folder()
    path = entry.own_checkpoint or find_checkpoint(entry, weights)
    if path is None and not entry.checkpoints:
        return None, "none"
    if path is None:
        raise _missing(entry, weights_folder(weights))
    if not path.exists():
        raise CheckpointError(f"there are no weights {path}: give the path of a checkpoint")
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    content = " ".join(hash_files([str(file) for file in files], cache=cache))
    if entry.own_checkpoint is None:
        _compare(path, next(each for each in entry.checkpoints if each.file == path.name), content, cache)
    return path, content


def _missing(entry: Entry, folder: Path) -> CheckpointError:
    first = entry.checkpoints[0]
    files = " or ".join(f"the folder {each.file}/" if each.is_folder else each.file for each in entry.checkpoints)
    where = f"which is not in {folder}" if folder.is_dir() else f"and there is no folder {folder}"
    return CheckpointError(
        f"{entry.name} needs {files}, {where}: {'unpack the model' if first.is_folder else 'put the file'} from "
        f"{first.url} there, or pass another folder as --weights"
    )


def _compare(path: Path, released: Checkpoint, content: str, cache: Path) -> None:
    """Hold a file against its published hash."""
    kind, expected, got = "SHA-256", released.sha256, content
    if expected is None and released.git_blob:
        kind, expected = "git blob", released.git_blob
        (got,) = hash_files([path], cache=cache, hasher=hash_git_blob)
    if expected is not None and got not in (expected, *released.also_sha256):
        raise CheckpointError(
            f"{path} is not the released file ({kind} {got[:12]}, expected {expected[:12]}; "
            f"{path.stat().st_size:,} bytes): fetch it again from {released.url}; a BYOL or CvT checkpoint of your own "
            f"is used as --models path:{path.name}"
        )


def hash_git_blob(path: str | Path) -> str:
    """SHA-1 that `git hash-object` prints for a file, hexadecimal."""
    with reading(path), open(path, "rb") as file:
        started = hashlib.sha1(b"blob %d\0" % os.fstat(file.fileno()).st_size)
        return hashlib.file_digest(file, lambda: started).hexdigest()


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a checkpoint's tensors, and nothing but tensors: a checkpoint from elsewhere cannot run code."""
    import torch

    if not Path(path).is_file():
        raise CheckpointError(f"there is no checkpoint {path}: give the path of a .pth file")
    try:
        with warnings.catch_warnings():
            # What PyTorch thinks of a pickle that is no checkpoint; what to do about it is said below.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint makes the reader fail in every way there is
        raise CheckpointError(
            f"{path} is not a checkpoint of tensors, or is cut off ({type(error).__name__}): fetch it again, "
            "or save it with torch.save(model.state_dict(), path)"
        ) from error
    tensors = _unwrap(state)
    if tensors is None:
        holds = f"the keys {', '.join(map(str, state))}" if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(
            f"{path} holds {holds[:200]}, not one dictionary of tensors: "
            "save it with torch.save(model.state_dict(), path)"
        )
    return tensors


# A tensor of each family that may be a user's own: it tells the encoder inside a larger network.
_KNOWN_BY = ("fc.3.weight", "layers.2.0.weight")


def _unwrap(state: object) -> dict[str, torch.Tensor] | None:
    """Find an encoder's tensors: under keys such as `state_dict`, without what their names begin with there."""
    import torch

    if not isinstance(state, dict):
        return None
    if not all(isinstance(value, torch.Tensor) for value in state.values()):
        inside = [found for value in state.values() if (found := _unwrap(value))]
        return inside[0] if len(inside) == 1 else None
    prefixes = {name.removesuffix(known) for name in state for known in _KNOWN_BY if name.endswith(f".{known}")}
    if len(prefixes) != 1:
        return state
    (prefix,) = prefixes
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def load_into(
    network: torch.nn.Module, state: dict[str, torch.Tensor], *, source: str | Path, assign: bool = False
) -> None:
    """Load tensors into a network, or with `assign` make them its own, and say in one line where they do not fit."""
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in sorted(wanted.keys() | got.keys()):
        if wanted.get(name) != got.get(name):
            raise CheckpointError(
                f"{source} does not fit {type(network).__name__}: tensor {name} has shape "
                f"{got.get(name, 'none (missing)')}, expected {wanted.get(name, 'none (unknown name)')}; "
                "choose the model that this checkpoint was made for"
            )
    network.load_state_dict(state, assign=assign)
