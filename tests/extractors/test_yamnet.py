"""YAMNet: its network, its patches, and its weights out of either kind of file."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from asserting import one_line
from making import make_noise, write_yamnet_h5
from torch.nn import functional

from serab_lib.extractors.registry import EXTRACTORS
from serab_lib.extractors.weights import CheckpointError
from serab_lib.extractors.yamnet import YamnetExtractor, read_yamnet

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def schema() -> ModuleType:
    """TensorFlow Lite's file format, to write files with."""
    reason = "needs ai-edge-litert, part of the test extra on Linux"
    return pytest.importorskip("ai_edge_litert.schema_py_generated", reason=reason)


@pytest.fixture(scope="module")
def h5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("yamnet") / "random.h5"
    write_yamnet_h5(path)
    return path


def write_tflite(path: Path, state: State, schema: ModuleType, *, storage: str = "float32") -> None:
    """Write the convolutions as Google's converter does, in floats or in 8 bits with one scale or one per channel."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [schema.BufferT()], []
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []

    def add_tensor(values: np.ndarray | None, kind: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.type, tensor.name, tensor.buffer, tensor.shape = kind, "any", 0, []
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
            model.buffers.append(buffer)
            tensor.buffer, tensor.shape = len(model.buffers) - 1, list(values.shape)
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    def add_operator(name: str, inputs: list[int]) -> int:
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        model.operatorCodes.append(code)
        operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, inputs
        operator.outputs = [add_tensor(None)]
        graph.operators.append(operator)
        return operator.outputs[0]

    def add_weight(values: np.ndarray, axis: int) -> int:
        if storage == "float32":
            return add_tensor(values)
        if storage == "float16":
            return add_operator("DEQUANTIZE", [add_tensor(values.astype(np.float16), schema.TensorType.FLOAT16)])
        others = tuple(i for i in range(4) if i != axis) if storage == "per channel" else None
        scale = np.abs(values).max(axis=others, keepdims=True) / 127
        stored = add_tensor(np.rint(values / scale).astype(np.int8), schema.TensorType.INT8)
        quantisation = schema.QuantizationParametersT()
        quantisation.scale, quantisation.zeroPoint = scale.ravel(), np.zeros(scale.size, dtype=np.int64)
        quantisation.quantizedDimension = axis if others else 0
        graph.tensors[stored].quantization = quantisation
        return add_operator("DEQUANTIZE", [stored])

    maps = add_tensor(None)
    for i in range(len(state) // 2):
        weight, bias = (state[f"convolutions.{i}.{each}"].numpy() for each in ("weight", "bias"))
        kernel = add_weight(weight.transpose(1, 2, 3, 0), 3) if i % 2 else add_weight(weight.transpose(0, 2, 3, 1), 0)
        maps = add_operator("DEPTHWISE_CONV_2D" if i % 2 else "CONV_2D", [maps, kernel, add_tensor(bias)])
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())


def run_unfolded(h5: Path, patches: torch.Tensor) -> torch.Tensor:
    """The network as Google writes it: convolution, batch norm without scale and epsilon 1e-4, ReLU."""
    import h5py

    strides = {1: 2, 3: 2, 5: 2, 7: 2, 13: 2}
    content = h5py.File(h5)

    def layer(maps: torch.Tensor, name: str, kernel: str, stride: int) -> torch.Tensor:
        weight = torch.from_numpy(content[f"{name}/{name}/{kernel}:0"][:])
        weight = weight.permute(2, 3, 0, 1) if "depthwise" in kernel else weight.permute(3, 2, 0, 1)
        if weight.shape[-1] == 3:  # TensorFlow's "same" padding of an even size
            maps = functional.pad(maps, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        maps = functional.conv2d(maps, weight, stride=stride, groups=len(weight) if "depthwise" in kernel else 1)
        norm = content[f"{name}/bn/{name}/bn"]
        mean, variance, beta = (
            torch.from_numpy(norm[f"{each}:0"][:]) for each in ("moving_mean", "moving_variance", "beta")
        )
        return functional.batch_norm(maps, mean, variance, None, beta, eps=1e-4).relu()

    maps = layer(patches, "layer1/conv", "kernel", 2)
    for i in range(2, 15):
        maps = layer(maps, f"layer{i}/depthwise_conv", "depthwise_kernel", strides.get(i, 1))
        maps = layer(maps, f"layer{i}/pointwise_conv", "kernel", 1)
    assert maps.shape[1:] == (1024, 3, 2)
    return maps.mean(dim=(2, 3))


def test_folding_keeps_what_the_network_computes(h5: Path) -> None:
    patches = make_noise(3, 1, 96, 64) - 3
    result = YamnetExtractor(h5).network(patches)
    torch.testing.assert_close(result, run_unfolded(h5, patches), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("storage", "tolerance"), [("float32", 0), ("float16", 1e-3), ("per tensor", 0.5), ("per channel", 0.5)]
)
def test_tflite_weights_are_read_at_the_values_they_stand_for(
    h5: Path, schema: ModuleType, tmp_path: Path, storage: str, tolerance: float
) -> None:
    """Off by half a step at most, where a step is a 127th of the largest weight."""
    state = read_yamnet(h5)
    write_tflite(tmp_path / "y.tflite", state, schema, storage=storage)
    result = read_yamnet(tmp_path / "y.tflite")
    assert list(result) == list(state)
    for name, expected in state.items():
        exact = name.endswith("bias") or not tolerance
        step = expected.abs().max() if storage == "float16" else expected.abs().max() / 127
        torch.testing.assert_close(result[name], expected, rtol=0, atol=0 if exact else 1.001 * tolerance * float(step))


@pytest.mark.parametrize(
    ("n_samples", "n_patches"),
    [(1, 1), (15_600, 1), (15_601, 2), (23_280, 2), (23_281, 3)],
)
def test_patches_cover_the_whole_utterance(h5: Path, n_samples: int, n_patches: int) -> None:
    log_mel = YamnetExtractor(h5).prepare(torch.ones(n_samples))
    assert log_mel.shape == (64, 96 + 48 * (n_patches - 1))


def test_the_end_is_padded_with_silence(h5: Path) -> None:
    extractor, waveform = YamnetExtractor(h5), make_noise(20_000)
    padded = torch.cat([waveform, torch.zeros(23_280 - 20_000)])
    torch.testing.assert_close(extractor.prepare(waveform), extractor.prepare(padded), rtol=0, atol=0)


BREAKAGES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "text": lambda h5, tflite: b"hello",
    "HDF5 cut off": lambda h5, tflite: h5[:1_000_000],
    "TFLite cut off": lambda h5, tflite: tflite[:20_000],
    "TFLite of zeros": lambda h5, tflite: tflite[:40] + bytes(len(tflite) - 40),
    "TFLite's signature alone": lambda h5, tflite: tflite[:8],
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_what_is_not_yamnet_is_refused_in_one_line(h5: Path, schema: ModuleType, tmp_path: Path, breakage: str) -> None:
    write_tflite(tmp_path / "whole", read_yamnet(h5), schema)
    path = tmp_path / "broken"
    path.write_bytes(BREAKAGES[breakage](h5.read_bytes(), (tmp_path / "whole").read_bytes()))
    with one_line(re.escape(str(path)), CheckpointError):
        YamnetExtractor(path)


def test_another_network_of_either_kind_is_refused(h5: Path, schema: ModuleType, tmp_path: Path) -> None:
    import h5py

    (tmp_path / "other.h5").write_bytes(h5.read_bytes())
    with h5py.File(tmp_path / "other.h5", "a") as file:
        del file["layer3/depthwise_conv/layer3/depthwise_conv/depthwise_kernel:0"]
    narrow = {f"convolutions.{i}.bias": torch.zeros(4) for i in range(27)}
    narrow |= {f"convolutions.{i}.weight": torch.ones(4, 1, 3, 3) for i in range(27)}
    write_tflite(tmp_path / "narrow.tflite", narrow, schema)
    write_tflite(tmp_path / "short.tflite", {name: narrow[name] for name in narrow if ".0." in name}, schema)
    for name, message in (("other.h5", "YAMNet"), ("narrow.tflite", "does not fit"), ("short.tflite", "has 27")):
        with one_line(message, CheckpointError):
            YamnetExtractor(tmp_path / name)


def test_without_h5py_the_message_names_the_extra(h5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with one_line(r"serab-companion\[yamnet\].*yamnet\.tflite", CheckpointError):
        YamnetExtractor(h5)


def test_floats_are_preferred_to_8_bits() -> None:
    assert [each.file for each in EXTRACTORS["yamnet"].checkpoints] == ["yamnet.h5", "yamnet.tflite"]
