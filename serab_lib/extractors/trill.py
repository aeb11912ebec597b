"""TRILL, layer 19: the published TensorFlow SavedModel, averaged over its frames."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from serab_lib.core import SerabError
from serab_lib.extractors.base import WaveformExtractor
from serab_lib.extractors.weights import CheckpointError

_OUTPUT = "layer19"
# Room for one of the model's windows of 0.96 s with a margin; a shorter utterance may give no frame at all.
_MIN_SAMPLES = 16_000


class Trill(WaveformExtractor):
    """Mean over frames of TRILL's output `layer19`.

    Parameters
    ----------
    checkpoint : str or Path
        Folder of the SavedModel, as unpacked from TF-Hub or Kaggle.
    embedding_size : int
        Width that the output must have.

    Raises
    ------
    SerabError
        If TensorFlow is not installed.
    CheckpointError
        If the folder holds no such model.

    Notes
    -----
    As in the release, which calls `nonsemantic-speech-benchmark/trill/3` on one utterance at a time and
    averages over frames. Utterances shorter than 1 s are padded with silence to 1 s, which the release does
    not do. TensorFlow computes on the CPU, whatever the device.
    """

    def __init__(self, checkpoint: str | Path, *, embedding_size: int = 12_288) -> None:
        super().__init__()
        folder = Path(checkpoint)
        self.embedding_size = embedding_size
        self._tensorflow = _import_tensorflow()
        self._model = _load(self._tensorflow, folder)
        # Published models take one waveform, or a batch of them: found out on the first call.
        self._takes_batch: bool | None = None
        variables = self._tensorflow.train.list_variables(str(folder / "variables" / "variables"))
        self.n_parameters = sum(int(np.prod(shape)) for name, shape in variables if _is_weight(name, shape))

    def to(self, device: str | torch.device) -> Trill:
        """Return the extractor itself: TensorFlow stays on the CPU, so that threads share the work."""
        return self

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Waveform of at least 1 s, shape (n_samples,)."""
        return functional.pad(waveform, (0, max(0, _MIN_SAMPLES - len(waveform))))

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed waveforms one at a time, shape (len(prepared), embedding_size)."""
        return torch.stack([self._embed_one(waveform.numpy()) for waveform in prepared])

    def _embed_one(self, samples: np.ndarray) -> torch.Tensor:
        frames = self._find_form(samples) if self._takes_batch is None else self._call(samples, self._takes_batch)
        width = frames.shape[-1] if frames.ndim else 0
        if width != self.embedding_size or frames.size == 0:
            raise CheckpointError(
                f"the output {_OUTPUT} has shape {frames.shape} for {samples.size} samples, expected frames of "
                f"{self.embedding_size} numbers: use the model trill/3, not its distilled form"
            )
        return torch.from_numpy(frames.reshape(-1, width).mean(axis=0, dtype=np.float32))

    def _find_form(self, samples: np.ndarray) -> np.ndarray:
        refusals = (TypeError, ValueError, self._tensorflow.errors.InvalidArgumentError)
        for takes_batch in (False, True):
            try:
                frames = self._call(samples, takes_batch)
            except refusals:
                continue
            self._takes_batch = takes_batch
            return frames
        raise CheckpointError(
            "the SavedModel takes neither a waveform nor a batch of them as samples, with sample_rate: "
            "use the model trill/3"
        )

    def _call(self, samples: np.ndarray, takes_batch: bool) -> np.ndarray:
        given = self._tensorflow.constant(samples[None] if takes_batch else samples)
        outputs: Any = self._model(samples=given, sample_rate=self.sample_rate)
        if _OUTPUT not in outputs:
            raise CheckpointError(
                f"the SavedModel has the outputs {', '.join(sorted(outputs))}, not {_OUTPUT}: use the model trill/3"
            )
        return outputs[_OUTPUT].numpy()


def prepare_for_tensorflow() -> None:
    """Import first what ends the process if it is imported after TensorFlow.

    Triton, which torch may import at any later time, carries LLVM as TensorFlow does, and the second copy
    aborts. openSMILE's library corrupts the heap.
    """
    for name in ("triton", "opensmile"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _import_tensorflow() -> Any:
    prepare_for_tensorflow()
    try:
        import tensorflow
    except ImportError as error:
        raise SerabError(
            "trill needs TensorFlow, which is not installed: pip install 'serab-companion[tensorflow]'"
        ) from error
    # Beside torch on one GPU it would reserve all of the memory.
    with contextlib.suppress(RuntimeError):
        tensorflow.config.set_visible_devices([], "GPU")
    return tensorflow


def _load(tensorflow: Any, folder: Path) -> Any:
    if not (folder / "saved_model.pb").is_file():
        raise CheckpointError(
            f"{folder} holds no saved_model.pb: unpack the model trill/3 there, with its folder variables/"
        )
    try:
        model = tensorflow.saved_model.load(str(folder))
    except Exception as error:  # a damaged file surfaces as any of a dozen classes
        raise CheckpointError(
            f"{folder} is no SavedModel that loads ({type(error).__name__}): fetch and unpack it again"
        ) from error
    if not callable(model):
        raise CheckpointError(f"{folder} is a SavedModel that cannot be called: use the model trill/3")
    return model


def _is_weight(name: str, shape: Sequence[int]) -> bool:
    """Whether a variable of the checkpoint is a weight and not the book-keeping of saving."""
    return bool(shape) and "CHECKPOINTABLE" not in name and "OPTIMIZER_SLOT" not in name
