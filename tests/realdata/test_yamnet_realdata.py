"""YAMNet against TensorFlow Lite's interpreter, both with Google's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from serab_lib.audio import load_audio
from serab_lib.extractors.yamnet import YamnetExtractor

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`"),
]

_EMBEDDING = "yamnet_frames/global_average_pooling2d/Mean"


@pytest.fixture(scope="module")
def checkpoint(real_weights: Path) -> Path:
    if not (real_weights / "yamnet.tflite").is_file():
        pytest.skip("SERAB_WEIGHTS holds no yamnet.tflite")
    return real_weights / "yamnet.tflite"


@pytest.fixture(scope="module")
def extractor(checkpoint: Path) -> YamnetExtractor:
    extractor = YamnetExtractor(checkpoint)
    extractor.name = "yamnet"
    return extractor


class Reference:
    """The interpreter on whole patches, with the tensors in the middle of the network."""

    def __init__(self, content: bytes) -> None:
        reason = "needs ai-edge-litert, part of the test extra on Linux"
        module = pytest.importorskip("ai_edge_litert.interpreter", reason=reason)
        self.interpreter = module.Interpreter(
            model_content=content, num_threads=1, experimental_preserve_all_tensors=True
        )
        self.interpreter.allocate_tensors()
        self.indices = {each["name"]: each["index"] for each in self.interpreter.get_tensor_details()}

    def run(self, patch: torch.Tensor) -> np.ndarray:
        self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], patch[None].numpy())
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.indices[_EMBEDDING])[0].copy()

    def embed(self, waveform: torch.Tensor) -> np.ndarray:
        """Average over patches of 15,600 samples, one every 7,680, silence behind."""
        n_hops = max(0, -(-(len(waveform) - 15_600) // 7_680))
        padded = torch.nn.functional.pad(waveform, (0, 15_600 + 7_680 * n_hops - len(waveform)))
        return np.mean([self.run(patch) for patch in padded.unfold(0, 15_600, 7_680)], axis=0)


def recordings(data: Path, *, every: int) -> list[torch.Tensor]:
    return [load_audio(path) for path in sorted((data / "ravdess").rglob("*.flac"))[::every]]


def cosines(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> np.ndarray:
    first, second = np.stack(first), np.stack(second)
    return (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


@pytest.mark.parametrize("every", [36, pytest.param(1, marks=pytest.mark.nightly)])
def test_embeddings_agree_with_the_file_as_it_is(
    checkpoint: Path, extractor: YamnetExtractor, real_data: Path, every: int
) -> None:
    """As shipped, the interpreter also rounds the activations between its layers to 8 bits, which a few files show."""
    waveforms = recordings(real_data, every=every)
    reference = Reference(checkpoint.read_bytes())
    agreement = cosines(extractor.embed(waveforms).numpy(), [reference.embed(waveform) for waveform in waveforms])
    assert agreement.min() > (0.97 if every > 1 else 0.8)
    assert np.median(agreement) > 0.999
