"""Guests: any package that speaks the API of HEAR, the Holistic Evaluation of Audio Representations."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import threading
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from serab_lib.core import SerabError
from serab_lib.extractors.base import WaveformExtractor
from serab_lib.extractors.trill import prepare_for_tensorflow


class HearGuest(WaveformExtractor):
    """Scene embeddings of a package with `load_model` and `get_scene_embeddings`.

    Parameters
    ----------
    module : str
        Name that Python imports.
    checkpoint : str or Path, optional
        Given to the package's `load_model`; its own default if None.
    version : str
        What `module_version` says; part of the guest's identity and not looked at here.

    Raises
    ------
    SerabError
        If the module is missing, lacks a part of the API, or fails.

    Notes
    -----
    The package gets utterances of one length at a time, never padded, and one batch at a time, since
    nothing is known about its safety in threads. PyTorch and TensorFlow packages are both served.
    """

    def __init__(self, module: str, *, checkpoint: str | Path | None = None, version: str = "") -> None:
        super().__init__()
        self.module = module
        self._code = _import(module)
        if checkpoint is not None and not Path(checkpoint).exists():
            raise SerabError(f"there is nothing at {checkpoint}: give the path of the weights as hear:{module}@PATH")
        self._model = self._load(checkpoint)
        self.sample_rate = self._size("sample_rate")
        self.embedding_size = self._size("scene_embedding_size")
        self._lock = threading.Lock()
        # A first second shows what breaks the API, and some models make their weights on the first call only.
        self._embed_equal(0.1 * torch.randn(1, self.sample_rate, generator=torch.Generator().manual_seed(0)))
        self.n_parameters = _count_parameters(self._model)
        self.licence = f"that of {module}"

    def to(self, device: str | torch.device) -> HearGuest:
        """Move the package's model to a device and return the extractor itself."""
        super().to(device)
        if isinstance(self._model, torch.nn.Module):
            self._model.to(self.device)
        return self

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed waveforms, those of one length together, shape (len(prepared), embedding_size)."""
        embeddings = torch.empty(len(prepared), self.embedding_size)
        groups: dict[int, list[int]] = {}
        for position, waveform in enumerate(prepared):
            groups.setdefault(len(waveform), []).append(position)
        for group in groups.values():
            embeddings[group] = self._embed_equal(torch.stack([prepared[i] for i in group]))
        return embeddings

    def _embed_equal(self, audio: torch.Tensor) -> torch.Tensor:
        given: Any = audio.to(self.device)
        if _is_tensorflow(self._model):
            given = importlib.import_module("tensorflow").convert_to_tensor(audio.numpy())
        try:
            with self._lock:
                made = self._code.get_scene_embeddings(given, self._model)
            embeddings = made.detach().cpu() if isinstance(made, torch.Tensor) else torch.from_numpy(np.array(made))
        except Exception as error:
            raise self._failure(f"get_scene_embeddings on audio of shape {tuple(audio.shape)}", error) from error
        if embeddings.shape != (len(audio), self.embedding_size):
            raise SerabError(
                f"hear:{self.module} gave scene embeddings of shape {tuple(embeddings.shape)} for {len(audio)} sounds, "
                f"expected {(len(audio), self.embedding_size)}: the package breaks the HEAR API"
            )
        return embeddings.float()

    def _load(self, checkpoint: str | Path | None) -> Any:
        arguments = [] if checkpoint is None else [str(checkpoint)]
        if not arguments and _wants_path(self._code.load_model):
            arguments = [""]
        try:
            model = self._code.load_model(*arguments)
        except Exception as error:
            raise self._failure("load_model", error) from error
        return model.eval() if isinstance(model, torch.nn.Module) else model

    def _size(self, name: str) -> int:
        value = getattr(self._model, name, None)
        try:
            size = int(value)
        except (TypeError, ValueError):
            size = 0
        if size < 1:
            raise SerabError(
                f"the model of hear:{self.module} has {name} = {value!r}, expected a positive integer: "
                "the package breaks the HEAR API"
            )
        return size

    def _failure(self, where: str, error: Exception) -> SerabError:
        return SerabError(
            f"hear:{self.module} failed in {where} ({_one_line(error)}): see that package's own documentation"
        )


def module_version(module: str) -> str:
    """Identify a module without importing it: its distribution's version and a hash of its sources.

    Parameters
    ----------
    module : str

    Raises
    ------
    SerabError
        If there is no such module.
    """
    _find(module)
    package = module.partition(".")[0]
    spec = _find(package)
    files = [Path(spec.origin)] if spec.origin else []
    for folder in spec.submodule_search_locations or ():
        files += Path(folder).rglob("*.py")
    sources = hashlib.sha256()
    for path in sorted({path for path in files if path.is_file()}):
        sources.update(hashlib.sha256(path.read_bytes()).digest())
    distributions = sorted(set(metadata.packages_distributions().get(package, [])))
    versions = [f"{name} {metadata.version(name)}" for name in distributions] or ["no distribution"]
    return f"{', '.join(versions)}, sources {sources.hexdigest()[:16]}"


def _find(module: str) -> Any:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise SerabError(
            f"there is no module {module!r} to run as hear:{module}: install its package here, "
            "or name its folder in PYTHONPATH"
        )
    return spec


def _import(module: str) -> ModuleType:
    _find(module)
    prepare_for_tensorflow()  # the guest may import TensorFlow
    try:
        code = importlib.import_module(module)
    except Exception as error:
        raise SerabError(
            f"the module of hear:{module} cannot be imported ({_one_line(error)}): install what it needs"
        ) from error
    if missing := [name for name in ("load_model", "get_scene_embeddings") if not callable(getattr(code, name, None))]:
        raise SerabError(
            f"the module of hear:{module} has no function {' and no '.join(missing)}: "
            "name the module of the package that has them"
        )
    return code


def _wants_path(load_model: Any) -> bool:
    """Whether the function cannot be called without a path."""
    try:
        parameters = list(inspect.signature(load_model).parameters.values())
    except (TypeError, ValueError):
        return False
    return bool(parameters) and parameters[0].default is inspect.Parameter.empty and parameters[0].kind < 2


def _is_tensorflow(model: Any) -> bool:
    return any(base.__module__.startswith("tensorflow.") for base in type(model).__mro__)


def _count_parameters(model: Any) -> int:
    if isinstance(model, torch.nn.Module):
        return sum(parameter.numel() for parameter in model.parameters())
    return sum(int(np.prod(variable.shape)) for variable in model.variables) if _is_tensorflow(model) else 0


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
