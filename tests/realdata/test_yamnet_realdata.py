"""YAMNet against TensorFlow Lite's interpreter, both with Google's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from serab_lib.audio import load_audio
from serab_lib.extractors.registry import EXTRACTORS, load_extractor
from serab_lib.extractors.vggish import mel_bank
from serab_lib.extractors.weights import require_checkpoint
from serab_lib.extractors.yamnet import YamnetExtractor

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.filterwarnings("ignore:Warning. Enabling `experimental_preserve_all_tensors`"),
]

_LOG_MEL, _EMBEDDING = "Identity_1", "yamnet_frames/global_average_pooling2d/Mean"
_MEL_BANK = "yamnet_frames/tf_op_layer_MatMul_2/MatMul_2"


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

    def run(self, patch: torch.Tensor, *names: str) -> list[np.ndarray]:
        self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], patch[None].numpy())
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(self.indices[name]).copy() for name in names]

    def embed(self, waveform: torch.Tensor) -> np.ndarray:
        """Average over patches of 15,600 samples, one every 7,680, silence behind."""
        n_hops = max(0, -(-(len(waveform) - 15_600) // 7_680))
        padded = torch.nn.functional.pad(waveform, (0, 15_600 + 7_680 * n_hops - len(waveform)))
        return np.mean([self.run(patch, _EMBEDDING)[0][0] for patch in padded.unfold(0, 15_600, 7_680)], axis=0)


def with_float_weights(content: bytes) -> bytes:
    """The same model with each 8-bit weight replaced by the value it stands for, so that nothing is rounded."""
    reason = "needs ai-edge-litert, part of the test extra on Linux"
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason=reason)
    flatbuffers = pytest.importorskip("flatbuffers")
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph, copies, kept = model.subgraphs[0], {}, []
    for tensor in graph.tensors:
        if tensor.type == schema.TensorType.INT8:
            buffer = model.buffers[tensor.buffer]
            values = np.asarray(buffer.data, dtype=np.uint8).view(np.int8) * np.float32(tensor.quantization.scale[0])
            buffer.data = values.astype(np.float32).view(np.uint8)
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].deprecatedBuiltinCode == schema.BuiltinOperator.DEQUANTIZE:
            copies[operator.outputs[0]] = operator.inputs[0]
        else:
            operator.inputs = [copies.get(index, index) for index in operator.inputs]
            kept.append(operator)
    graph.operators = kept
    builder = flatbuffers.Builder(1 << 24)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def made_up() -> list[torch.Tensor]:
    """Tones, a sweep, noise and clicks of several lengths."""
    generator, time = torch.Generator().manual_seed(0), torch.arange(40_000) / 16_000
    clicks = torch.zeros(20_000)
    clicks[::1_600] = 0.9
    return [
        0.5 * torch.sin(2 * torch.pi * 440 * time),
        0.3 * torch.sin(2 * torch.pi * 1_000 * time**2)[:15_600],
        0.1 * torch.randn(30_000, generator=generator),
        0.01 * torch.randn(1_600, generator=generator),
        clicks,
    ]


def recordings(data: Path, *, every: int) -> list[torch.Tensor]:
    return [load_audio(path) for path in sorted((data / "ravdess").rglob("*.flac"))[::every]]


def cosines(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> np.ndarray:
    first, second = np.stack(first), np.stack(second)
    return (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


def test_mel_bank_is_the_files_own(checkpoint: Path) -> None:
    """The file holds its mel bank in steps of 0.0078: the same numbers up to half a step."""
    import tflite

    model = tflite.Model.GetRootAs(checkpoint.read_bytes())
    graph = model.Subgraphs(0)
    tensors = {graph.Tensors(i).Name().decode(): graph.Tensors(i) for i in range(graph.TensorsLength())}
    stored = model.Buffers(tensors[_MEL_BANK].Buffer()).DataAsNumpy().view(np.int8).reshape(64, 257)
    step = tensors[_MEL_BANK].Quantization().Scale(0)
    np.testing.assert_allclose(mel_bank().numpy(), stored * step, atol=0.501 * step)


def test_network_equals_the_interpreter(checkpoint: Path, extractor: YamnetExtractor, real_data: Path) -> None:
    """From the same log-mel patch to the same embedding, where neither side rounds to 8 bits."""
    reference = Reference(with_float_weights(checkpoint.read_bytes()))
    for waveform in made_up() + recordings(real_data, every=200):
        patch = torch.nn.functional.pad(waveform, (0, max(0, 15_600 - len(waveform))))[:15_600]
        log_mel, expected = reference.run(patch, _LOG_MEL, _EMBEDDING)
        result = extractor.encode([torch.from_numpy(log_mel).T])
        torch.testing.assert_close(result, torch.from_numpy(expected), rtol=1e-4, atol=1e-4)


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


def test_floats_and_8_bits_agree(extractor: YamnetExtractor, real_weights: Path, real_data: Path) -> None:
    if not (real_weights / "yamnet.h5").is_file():
        pytest.skip("SERAB_WEIGHTS holds no yamnet.h5")
    floats = load_extractor("yamnet", weights=real_weights)
    waveforms = recordings(real_data, every=144)
    assert np.median(cosines(extractor.embed(waveforms).numpy(), floats.embed(waveforms).numpy())) > 0.95


def test_the_file_at_hand_is_a_released_one(checkpoint: Path, extractor: YamnetExtractor) -> None:
    assert require_checkpoint(EXTRACTORS["yamnet"], checkpoint.parent)[0] == checkpoint
    assert extractor.n_parameters == EXTRACTORS["yamnet"].n_parameters
