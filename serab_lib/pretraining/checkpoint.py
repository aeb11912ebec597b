"""A run on disk: its whole state after a step, and its encoder alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from serab_lib.core import SerabError, replaced
from serab_lib.pretraining.config import PretrainConfig

LAST, BEST = "last.ckpt", "best.ckpt"
ENCODER, BEST_ENCODER = "encoder.pth", "encoder_best.pth"
_FORMAT = 1


@dataclass
class Position:
    """How far a run is.

    Attributes
    ----------
    step : int
        Steps made.
    best : float
        Highest value so far of what tells the best epoch.
    epoch_loss : float
        Sum of the losses of the epoch's steps so far.
    """

    step: int = 0
    best: float = -float("inf")
    epoch_loss: float = 0.0


def require_new(out: Path, *, resume: bool) -> None:
    """Refuse a folder that holds a run already, unless it is to go on.

    Raises
    ------
    SerabError
        If it does.
    """
    if (out / LAST).exists() and not resume:
        raise SerabError(f"{out} holds a run already: go on with it by --resume, or choose another folder")


def write_checkpoint(
    out: Path, position: Position, config: PretrainConfig, clips: str, parts: Mapping[str, Any]
) -> None:
    """Write the state of a run, whole or not at all, and the encoder's weights beside it.

    Parameters
    ----------
    out : Path
        Folder of the run.
    position : Position
    config : PretrainConfig
    clips : str
        Fingerprint of the clips.
    parts : mapping of str to object
        What has a `state_dict`: `learner`, `optimizer` and `augmentation`.
    """
    state = {
        "format": _FORMAT,
        "config": config.to_dict(),
        "clips": clips,
        "position": vars(position),
        **{name: part.state_dict() for name, part in parts.items()},
    }
    with replaced(out / LAST) as temporary:
        torch.save(state, temporary)
    write_encoder(out / ENCODER, parts["learner"].encoder)


def write_encoder(path: Path, encoder: nn.Module) -> None:
    """Write an encoder's weights under the released names."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    with replaced(path) as temporary:
        torch.save(state, temporary)


def keep_best(out: Path) -> None:
    """Keep the last checkpoint and its encoder as the best."""
    for last, best in ((LAST, BEST), (ENCODER, BEST_ENCODER)):
        with replaced(out / best) as temporary:
            shutil.copyfile(out / last, temporary)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read the state of a run.

    Parameters
    ----------
    path : Path
    device : torch.device or str

    Returns
    -------
    dict
        `config` (a dictionary), `position`, `clips`, `learner`, `optimizer` and `augmentation`.

    Raises
    ------
    SerabError
        If the file is no checkpoint of a run, or of another version.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a file that is no checkpoint makes the reader fail in every way there is
        raise SerabError(
            f"{path} is not the checkpoint of a run, or is cut off ({type(error).__name__}): delete it to begin anew"
        ) from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise SerabError(f"{path} is not a checkpoint that this version can go on from: choose another folder")
    return state


def restore(
    state: Mapping[str, Any], config: PretrainConfig, clips: str, parts: Mapping[str, Any], *, source: Path
) -> Position:
    """Put a run back into a state.

    Parameters
    ----------
    state : mapping
        As from `read_checkpoint`.
    config : PretrainConfig
        Which must be the run's own, but for what may change.
    clips : str
        Fingerprint of the clips, which must be the run's own.
    parts : mapping of str to object
        As for `write_checkpoint`.
    source : Path
        Where the state is from, for the message.

    Returns
    -------
    Position

    Raises
    ------
    SerabError
        If settings or clips are not the run's.
    """
    config.require_same_run(PretrainConfig.from_dict(state["config"]))
    if state["clips"] != clips:
        raise SerabError(
            f"{source} was trained on other audio: name the same files to resume, or choose another folder"
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return Position(**state["position"])
