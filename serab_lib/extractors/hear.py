"""The API of HEAR both ways: this module is one that its programs take, and `HearGuest` makes any such an extractor."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from serab_lib.core import SerabError
from serab_lib.extractors.base import Extractor, WaveformExtractor, count_parameters
from serab_lib.extractors.registry import EXTRACTORS, load_extractor
from serab_lib.extractors.trill import prepare_for_tensorflow

_DEFAULT = "byol-s-2048"
_FRAME_S, _HOP_S = 1.0, 0.05
# Frames that one call of an extractor gets: a frame of 1 s is 64 kB, so this is 64 MB.
_FRAMES_PER_CALL = 1024


class HearModel(torch.nn.Module):
    """An extractor with the attributes that HEAR asks for."""

    def __init__(self, extractor: Extractor) -> None:
        super().__init__()
        self.extractor = extractor
        self.sample_rate = extractor.sample_rate
        self.scene_embedding_size = self.timestamp_embedding_size = extractor.embedding_size

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Scene embeddings, as `get_scene_embeddings` makes them."""
        return get_scene_embeddings(audio, self)


def load_model(model_file_path: str = "") -> HearModel:
    """Load an extractor by name or by the path of a checkpoint; `byol-s-2048`, the second release's default, if empty.

    Log-mel spectrograms are normalised with the mean of the nine pairs of statistics that the release has for its
    tasks. The authors' second release measures one pair on the sounds of each call instead, so that there an embedding
    depends on the others of its batch.
    """
    name = str(model_file_path) or _DEFAULT
    path = Path(name)
    if path.is_file():
        released = {each.file: entry for entry in EXTRACTORS.values() for each in entry.checkpoints}.get(path.name)
        return HearModel(load_extractor(released or f"path:{path}", weights=path.parent))
    if len(path.parts) > 1 and not name.startswith(("path:", "hear:")):
        raise SerabError(f"there is no file {path}: give the path of a checkpoint, or a name that `serab models` lists")
    if name.casefold() == "opensmile" and "tensorflow" in sys.modules and "opensmile" not in sys.modules:
        raise SerabError(
            "openSMILE's library fails in a process that loaded TensorFlow first: import opensmile before it"
        )
    return HearModel(load_extractor(name))


def get_scene_embeddings(audio: torch.Tensor, model: HearModel) -> torch.Tensor:
    """Make one embedding per sound: (n_sounds, n_samples) at `model.sample_rate` to (n_sounds, size)."""
    return _embed(list(_checked(audio, model).cpu()), audio.device, model)


def get_timestamp_embeddings(audio: torch.Tensor, model: HearModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Make one embedding every 50 ms, of frames of 1 s as in the authors' second release.

    Parameters
    ----------
    audio : torch.Tensor [shape=(n_sounds, n_samples)]
        At `model.sample_rate`, between -1 and 1. The model follows it to its device.
    model : HearModel

    Returns
    -------
    embeddings : torch.Tensor [shape=(n_sounds, n_timestamps, size)]
    timestamps : torch.Tensor [shape=(n_sounds, n_timestamps)]
        In ms, of the frames' centres, from 0 to the sound's duration; half a frame of silence is put before and behind.
    """
    frames, n_frames = _frame(_checked(audio, model).cpu(), model.sample_rate)
    embeddings = _embed(frames, audio.device, model)
    timestamps_ms = 1000 * _HOP_S * torch.arange(n_frames, device=audio.device, dtype=torch.float32)
    return embeddings.unflatten(0, (len(audio), n_frames)), timestamps_ms.expand(len(audio), n_frames)


def _checked(audio: torch.Tensor, model: HearModel) -> torch.Tensor:
    if not isinstance(model, HearModel):
        raise SerabError(f"the model is a {type(model).__name__}: pass what {__name__}.load_model returns")
    if audio.ndim != 2 or audio.shape[1] == 0 or not audio.is_floating_point():
        raise SerabError(
            f"audio of shape {tuple(audio.shape)} and type {audio.dtype}, expected floating-point numbers of shape "
            "(n_sounds, n_samples): stack sounds of one length"
        )
    return audio


def _frame(audio: torch.Tensor, sample_rate: int) -> tuple[list[torch.Tensor], int]:
    """Cut sounds into centred frames: all of the first sound, then of the next; and how many each has."""
    frame, n_samples = round(_FRAME_S * sample_rate), audio.shape[1]
    padded = functional.pad(audio, (frame // 2, frame - frame // 2))
    starts = [round(i * _HOP_S * sample_rate) for i in range(int(n_samples / (_HOP_S * sample_rate)) + 2)]
    starts = [start for start in starts if start <= n_samples]
    return [sound[start : start + frame] for sound in padded for start in starts], len(starts)


def _embed(waveforms: list[torch.Tensor], device: torch.device, model: HearModel) -> torch.Tensor:
    extractor = model.extractor
    if extractor.device != device:
        extractor.to(device)
    calls = [waveforms[i : i + _FRAMES_PER_CALL] for i in range(0, len(waveforms), _FRAMES_PER_CALL)]
    return torch.cat([extractor.embed([waveform.float() for waveform in call]) for call in calls]).to(device)


class HearGuest(WaveformExtractor):
    """Scene embeddings of a package with `load_model` and `get_scene_embeddings`, in PyTorch or TensorFlow.

    It gets utterances of one length at a time, never padded, and one batch at a time: nothing is known about its
    safety in threads. Its `version` is part of its identity and not looked at.
    """

    def __init__(self, module: str, *, checkpoint: str | Path | None = None, version: str = "") -> None:
        self.module, self._lock = module, threading.Lock()
        prepare_for_tensorflow()
        self._code = self._run("the import", lambda: importlib.import_module(module))
        for name in ("load_model", "get_scene_embeddings"):
            if not callable(getattr(self._code, name, None)):
                raise SerabError(f"the module of hear:{module} has no function {name}: name the one that has it")
        self._model = self._run("load_model", self._code.load_model, *([str(checkpoint)] if checkpoint else []))
        if isinstance(self._model, torch.nn.Module):
            self.network, self.n_parameters = self._model.eval(), count_parameters(self._model)
        self.sample_rate, self.embedding_size = self._size("sample_rate"), self._size("scene_embedding_size")

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed waveforms, those of one length together, shape (len(prepared), embedding_size)."""
        embeddings = torch.empty(len(prepared), self.embedding_size)
        lengths = [len(waveform) for waveform in prepared]
        for length in set(lengths):
            group = [position for position, each in enumerate(lengths) if each == length]
            embeddings[group] = self._embed_equal(torch.stack([prepared[position] for position in group]))
        return embeddings

    def _embed_equal(self, audio: torch.Tensor) -> torch.Tensor:
        where = f"get_scene_embeddings on audio of shape {tuple(audio.shape)}"
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is not None and isinstance(self._model, tensorflow.Module):
            given: Any = tensorflow.convert_to_tensor(audio.numpy())
        else:
            given = audio.to(self.device)
        with self._lock:
            made = self._run(where, self._code.get_scene_embeddings, given, self._model)
        embeddings = made.detach().cpu() if isinstance(made, torch.Tensor) else torch.from_numpy(np.array(made))
        if embeddings.shape != (len(audio), self.embedding_size):
            raise SerabError(
                f"hear:{self.module} gave scene embeddings of shape {tuple(embeddings.shape)} for {len(audio)} sounds, "
                f"expected {(len(audio), self.embedding_size)}: the package breaks the HEAR API"
            )
        return embeddings.float()

    def _size(self, name: str) -> int:
        value = getattr(self._model, name, None)
        if not isinstance(value, int | np.integer) or value < 1:
            raise SerabError(
                f"the model of hear:{self.module} has {name} = {value!r}, expected a positive integer: "
                "the package breaks the HEAR API"
            )
        return int(value)

    def _run(self, where: str, function: Any, *arguments: Any) -> Any:
        """Call the package's code; whatever it raises becomes one line."""
        try:
            return function(*arguments)
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise SerabError(
                f"hear:{self.module} failed in {where} ({reason}): see that package's own documentation"
            ) from error
