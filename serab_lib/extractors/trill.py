"""TRILL, layer 19: the published TensorFlow SavedModel, averaged over its frames."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

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
    """Mean over frames of TRILL's output `layer19`, one utterance at a time, on the CPU whatever the device."""

    def __init__(self, checkpoint: str | Path, *, embedding_size: int = 12_288) -> None:
        self.embedding_size = embedding_size
        self._tensorflow = _import_tensorflow()
        try:
            self._model = self._tensorflow.saved_model.load(str(checkpoint))
        except Exception as error:  # a damaged file surfaces as any of a dozen classes
            raise CheckpointError(
                f"{checkpoint} is no SavedModel that loads ({type(error).__name__}): unpack the model trill/3 there, "
                "saved_model.pb and the folder variables/"
            ) from error
        variables = self._tensorflow.train.list_variables(str(Path(checkpoint) / "variables" / "variables"))
        # The rest is the book-keeping of saving.
        weights = [shape for name, shape in variables if "CHECKPOINTABLE" not in name and "OPTIMIZER_SLOT" not in name]
        self.n_parameters = sum(int(np.prod(shape)) for shape in weights if shape)

    def to(self, device: str | torch.device) -> Self:
        """Return the extractor itself: TensorFlow stays on the CPU, so that threads share the work."""
        return self

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Waveform of at least 1 s, shape (n_samples,)."""
        return functional.pad(waveform, (0, max(0, _MIN_SAMPLES - len(waveform))))

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed waveforms one at a time, as the published model takes them, shape (len(prepared), embedding_size)."""
        return torch.stack([self._embed_one(waveform.numpy()) for waveform in prepared])

    def _embed_one(self, samples: np.ndarray) -> torch.Tensor:
        try:
            outputs: Any = self._model(samples=self._tensorflow.constant(samples), sample_rate=self.sample_rate)
            frames = outputs[_OUTPUT].numpy()  # (n_frames, embedding_size)
        except Exception as error:  # another model's signature or outputs
            raise CheckpointError(
                f"the SavedModel does not give {_OUTPUT} for samples and sample_rate ({type(error).__name__}): "
                "use the model trill/3"
            ) from error
        if frames.ndim != 2 or frames.shape[1] != self.embedding_size or not len(frames):
            raise CheckpointError(
                f"the output {_OUTPUT} has shape {frames.shape} for {samples.size} samples, expected frames of "
                f"{self.embedding_size} numbers: use the model trill/3, not its distilled form"
            )
        return torch.from_numpy(frames.mean(axis=0, dtype=np.float32))


def prepare_for_tensorflow() -> None:
    """Import first what would end the process if it came after TensorFlow."""
    # Triton, which torch may import at any later time, carries LLVM as TensorFlow does, and the second copy aborts.
    # openSMILE's library corrupts the heap.
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
