"""Every extractor here through the API of HEAR, the Holistic Evaluation of Audio Representations.

`hear-validator serab_lib.extractors.hear --model byol-s-512`, or any other program that takes a HEAR module.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.nn import functional

from serab_lib.core import SerabError
from serab_lib.extractors.base import Extractor
from serab_lib.extractors.registry import EXTRACTORS, load_extractor

FRAME_S = 1.0
HOP_S = 0.05
_DEFAULT = "byol-s-2048"
# Frames that one call of an extractor gets: a frame of 1 s is 64 kB, so this is 64 MB.
_FRAMES_PER_CALL = 1024


class HearModel(torch.nn.Module):
    """An extractor with the attributes that HEAR asks for.

    Parameters
    ----------
    extractor : Extractor

    Attributes
    ----------
    sample_rate : int
        In Hz, of the audio that the functions of this module take.
    scene_embedding_size, timestamp_embedding_size : int
    """

    def __init__(self, extractor: Extractor) -> None:
        super().__init__()
        self.extractor = extractor
        self.sample_rate = extractor.sample_rate
        self.scene_embedding_size = self.timestamp_embedding_size = extractor.embedding_size

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Scene embeddings, as `get_scene_embeddings` makes them."""
        return get_scene_embeddings(audio, self)


def load_model(model_file_path: str = "") -> HearModel:
    """Load an extractor.

    Parameters
    ----------
    model_file_path : str
        Name of an extractor, as in `serab models`; or path of a checkpoint, under its released name or of
        one's own with BYOL-A's tensor names. `byol-s-2048` if empty, the default of the authors' second
        release. Checkpoints of names are looked for in SERAB_WEIGHTS, then in the user's cache folder.

    Returns
    -------
    HearModel

    Raises
    ------
    SerabError
        If there is no such extractor or file, or its weights are missing.

    Notes
    -----
    Families that normalise log-mel spectrograms use the mean of the nine pairs of statistics that the
    release has for its tasks. The authors' second release measures one pair on the sounds of each call
    instead, so that there an embedding depends on the others of its batch.
    """
    name = str(model_file_path) or _DEFAULT
    path = Path(name)
    if path.is_file():
        return HearModel(_load_file(path))
    if len(path.parts) > 1 and not name.startswith(("path:", "hear:")):
        raise SerabError(f"there is no file {path}: give the path of a checkpoint, or a name that `serab models` lists")
    if name.casefold() == "opensmile" and "tensorflow" in sys.modules and "opensmile" not in sys.modules:
        raise SerabError(
            "openSMILE's library fails in a process that loaded TensorFlow first: import opensmile before it"
        )
    return HearModel(load_extractor(name))


def get_scene_embeddings(audio: torch.Tensor, model: HearModel) -> torch.Tensor:
    """Make one embedding per sound: that of the extractor on the whole sound.

    Parameters
    ----------
    audio : torch.Tensor [shape=(n_sounds, n_samples)]
        At `model.sample_rate`, between -1 and 1. The model follows it to its device.
    model : HearModel

    Returns
    -------
    torch.Tensor [shape=(n_sounds, model.scene_embedding_size)]
        float32, on the device of `audio`.

    Raises
    ------
    SerabError
        If the audio or the model is none.
    """
    return _embed(list(_checked(audio, model).cpu()), audio.device, model)


def get_timestamp_embeddings(audio: torch.Tensor, model: HearModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Make one embedding every 50 ms.

    Parameters
    ----------
    audio : torch.Tensor [shape=(n_sounds, n_samples)]
        At `model.sample_rate`, between -1 and 1. The model follows it to its device.
    model : HearModel

    Returns
    -------
    embeddings : torch.Tensor [shape=(n_sounds, n_timestamps, model.timestamp_embedding_size)]
        float32, on the device of `audio`.
    timestamps : torch.Tensor [shape=(n_sounds, n_timestamps)]
        In ms, of the frames' centres: 0, 50, ... up to the sound's duration.

    Raises
    ------
    SerabError
        If the audio or the model is none.

    Notes
    -----
    Frames of 1,000 ms every 50 ms as in the authors' second release, cut as HEAR's baseline cuts them: half
    a frame of silence is put before and after the sound, so that a frame is centred on its timestamp; a
    start between two samples is rounded; the last frame is the last that fits. Each frame is embedded as an
    utterance of its own.
    """
    frames, n_frames = _frame(_checked(audio, model).cpu(), model.sample_rate)
    embeddings = _embed(frames, audio.device, model)
    timestamps_ms = 1000 * HOP_S * torch.arange(n_frames, device=audio.device, dtype=torch.float32)
    shape = (len(audio), n_frames, model.timestamp_embedding_size)
    return embeddings.reshape(shape), timestamps_ms.expand(len(audio), n_frames)


def _load_file(path: Path) -> Extractor:
    released = next(
        (name for name, entry in EXTRACTORS.items() if path.name in {each.file for each in entry.checkpoints}), None
    )
    return load_extractor(released, weights=path.parent) if released else load_extractor(f"path:{path}")


def _checked(audio: torch.Tensor, model: HearModel) -> torch.Tensor:
    if not isinstance(model, HearModel):
        raise SerabError(
            f"the model is a {type(model).__name__}: pass what serab_lib.extractors.hear.load_model returns"
        )
    if audio.ndim != 2 or audio.shape[1] == 0 or not audio.is_floating_point():
        raise SerabError(
            f"audio of shape {tuple(audio.shape)} and type {audio.dtype}, expected floating-point numbers of shape "
            "(n_sounds, n_samples): stack sounds of one length"
        )
    return audio


def _frame(audio: torch.Tensor, sample_rate: int) -> tuple[list[torch.Tensor], int]:
    """Cut sounds into centred frames: all of the first sound, then of the next; and how many each has."""
    frame, n_samples = round(FRAME_S * sample_rate), audio.shape[1]
    padded = functional.pad(audio, (frame // 2, frame - frame // 2))
    starts = [round(i * HOP_S * sample_rate) for i in range(int(n_samples / (HOP_S * sample_rate)) + 2)]
    starts = [start for start in starts if start <= n_samples]
    return [sound[start : start + frame] for sound in padded for start in starts], len(starts)


def _embed(waveforms: list[torch.Tensor], device: torch.device, model: HearModel) -> torch.Tensor:
    extractor = model.extractor
    if extractor.device != device:
        extractor.to(device)
    calls = [waveforms[i : i + _FRAMES_PER_CALL] for i in range(0, len(waveforms), _FRAMES_PER_CALL)]
    return torch.cat([extractor.embed([waveform.float() for waveform in call]) for call in calls]).to(device)
