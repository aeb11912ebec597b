import os
from pathlib import Path

import numpy as np
import pytest
import torch

from serab_lib.audio import load_audio
from serab_lib.extractors import base, cvt, registry, yamnet
from serab_lib.extractors.weights import find_checkpoint, load_into, read_state_dict

pytestmark = [pytest.mark.realdata, pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve")]
N_FRAMES = (96, 173, 370)


@pytest.mark.parametrize(("pooling", "key"), [("mean", "mean"), ("mean+max", "meanmax")])
def test_both_forms_of_the_cvt_agree_with_the_released_network(pooling, key):
    folder = Path(os.environ.get("SERAB_WEIGHTS") or "nowhere").resolve().parent / "reference"
    folder = Path(os.environ.get("SERAB_REFERENCE") or folder)
    weights, vectors = folder / "cvt_small_random.pth", folder / "cvt_small_reference.npz"
    if not (weights.is_file() and vectors.is_file()):
        pytest.skip("neither SERAB_REFERENCE nor `reference` beside SERAB_WEIGHTS holds cvt_small_*")
    encoder = cvt.CvtEncoder(pooling=pooling)
    load_into(encoder, read_state_dict(weights), source=weights)
    frozen = cvt.FrozenCvt(encoder.eval())
    with np.load(vectors) as content:
        inputs = [torch.from_numpy(content[f"input_{n}"]) for n in N_FRAMES]
        expected = torch.cat([torch.from_numpy(content[f"{key}_{n}"]) for n in N_FRAMES])
    with torch.inference_mode():
        trained_form = torch.cat([encoder(each) for each in inputs])
        alone = torch.cat([frozen(each, [each.shape[-1]]) for each in inputs])
        batch = frozen(base.pad_batch([each[0] for each in inputs], torch.device("cpu")), N_FRAMES)
    for result in (trained_form, alone, batch):
        assert (result - expected).abs().max() < 1e-5


def test_vggish_gives_the_published_numbers_for_a_sine(real_weights):
    """Google's smoke test of VGGish: three seconds of 1 kHz, patches of mean 0.000657 and deviation 0.343."""
    if find_checkpoint(registry.EXTRACTORS["vggish"], real_weights) is None:
        pytest.skip("SERAB_WEIGHTS holds no vggish-10086976.pth")
    extractor = registry.load_extractor("vggish", weights=real_weights)
    sine = torch.sin(2 * torch.pi * 1000 * torch.arange(48_000) / 16_000)
    embeddings = extractor.network(extractor.prepare(sine).T.reshape(3, 1, 96, 64))
    assert float(embeddings.std()) == pytest.approx(0.343, rel=0.01)
    assert float(embeddings.mean()) == pytest.approx(0.000657, abs=0.003)


class Interpreter:
    """TensorFlow Lite's interpreter of YAMNet on whole patches."""

    def __init__(self, path: Path) -> None:
        reason = "needs ai-edge-litert, part of the test extra on Linux"
        module = pytest.importorskip("ai_edge_litert.interpreter", reason=reason)
        self.net = module.Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
        self.net.allocate_tensors()
        indices = {each["name"]: each["index"] for each in self.net.get_tensor_details()}
        self.embedding = indices["yamnet_frames/global_average_pooling2d/Mean"]

    def run(self, patch: torch.Tensor) -> np.ndarray:
        self.net.set_tensor(self.net.get_input_details()[0]["index"], patch[None].numpy())
        self.net.invoke()
        return self.net.get_tensor(self.embedding)[0].copy()

    def embed(self, waveform: torch.Tensor) -> np.ndarray:
        """Average over patches of 15,600 samples, one every 7,680, silence behind."""
        n_hops = max(0, -(-(len(waveform) - 15_600) // 7_680))
        padded = torch.nn.functional.pad(waveform, (0, 15_600 + 7_680 * n_hops - len(waveform)))
        return np.mean([self.run(patch) for patch in padded.unfold(0, 15_600, 7_680)], axis=0)


@pytest.mark.parametrize("every", [144, pytest.param(1, marks=pytest.mark.nightly)])
def test_yamnet_agrees_with_the_file_as_it_is(real_weights, real_data, every):
    """As shipped, the interpreter also rounds the activations between its layers to 8 bits, which a few files show."""
    checkpoint = real_weights / "yamnet.tflite"
    if not checkpoint.is_file():
        pytest.skip("SERAB_WEIGHTS holds no yamnet.tflite")
    waveforms = [load_audio(path) for path in sorted((real_data / "ravdess").rglob("*.flac"))[::every]]
    interpreter, extractor = Interpreter(checkpoint), yamnet.YamnetExtractor(checkpoint)
    extractor.name = "yamnet"
    first, second = extractor.embed(waveforms).numpy(), np.stack([interpreter.embed(each) for each in waveforms])
    cosines = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    assert cosines.min() > (0.97 if every > 1 else 0.8)
    assert np.median(cosines) > 0.999
