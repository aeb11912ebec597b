"""Tensors of a checkpoint: read from a file that nobody trusts, and put into a network that they must fit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from serab_lib.extractors.checkpoints import CheckpointError

if TYPE_CHECKING:
    import torch


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
        with warnings.catch_warnings():
            # What PyTorch thinks of a pickle that is no checkpoint; what to do about it is said below.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint makes the reader fail in every way there is
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


def load_into(
    network: torch.nn.Module, state: dict[str, torch.Tensor], *, source: str | Path, assign: bool = False
) -> None:
    """Load tensors into a network and say in one line where they do not fit.

    Parameters
    ----------
    network : torch.nn.Module
    state : dict of str to torch.Tensor
    source : str or Path
        Where the tensors are from, for the message.
    assign : bool
        Take the tensors themselves in place of copying them, into a network on the meta device for example.

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
    network.load_state_dict(state, assign=assign)
