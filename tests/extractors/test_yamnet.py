from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from making import write_yamnet_h5
from torch.nn import functional

from serab_lib.extractors.registry import EXTRACTORS, load_extractor
from serab_lib.extractors.weights import CheckpointError, require_checkpoint
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


@pytest.fixture(scope="module")
def tflite(h5: Path, schema: ModuleType) -> Path:
    path = h5.with_suffix(".tflite")
    write_tflite(path, read_yamnet(h5), schema, storage="float32")
    return path


@pytest.fixture(scope="module")
def patches() -> torch.Tensor:
    return torch.randn(3, 1, 96, 64, generator=torch.Generator().manual_seed(0)) - 3


class Flat:
    """A TensorFlow Lite model of YAMNet's network, written layer by layer."""

    def __init__(self, schema: ModuleType, storage: str) -> None:
        self.schema, self.storage = schema, storage
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []

    def tensor(self, values: np.ndarray | None, shape: tuple[int, ...], kind: int = 0) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer, tensor.name = list(shape), kind, 0, f"t{len(self.graph.tensors)}"
        if values is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def weight(self, values: np.ndarray, axis: int) -> int:
        """Store a kernel as asked for: in floats, or in 8 bits with one scale or one per output channel."""
        schema = self.schema
        if self.storage == "float32":
            return self.tensor(values, values.shape)
        if self.storage == "float16":
            stored = self.tensor(values.astype(np.float16), values.shape, schema.TensorType.FLOAT16)
        else:
            others = tuple(i for i in range(4) if i != axis) if self.storage == "per channel" else None
            scale = np.abs(values).max(axis=others, keepdims=True) / 127
            stored = self.tensor(np.rint(values / scale).astype(np.int8), values.shape, schema.TensorType.INT8)
            quantisation = schema.QuantizationParametersT()
            quantisation.scale, quantisation.zeroPoint = scale.ravel(), np.zeros(scale.size, dtype=np.int64)
            quantisation.quantizedDimension = axis if others else 0
            self.graph.tensors[stored].quantization = quantisation
        copy = self.tensor(None, values.shape)
        self.operator("DEQUANTIZE", [stored], [copy])
        return copy

    def operator(self, name: str, inputs: list[int], outputs: list[int], options: object = None) -> None:
        code, operator = self.schema.OperatorCodeT(), self.schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(self.schema.BuiltinOperator, name)
        code.version = {"DEQUANTIZE": 3}.get(name, 1)
        self.model.operatorCodes.append(code)
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.model.operatorCodes) - 1, inputs, outputs
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, type(options).__name__[:-1])
        self.graph.operators.append(operator)

    def convolution(self, maps: int, weight: np.ndarray, bias: np.ndarray, stride: int, depthwise: bool) -> int:
        schema = self.schema
        if depthwise:
            kernel, options = self.weight(weight.transpose(1, 2, 3, 0), 3), schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = 1
        else:
            kernel, options = self.weight(weight.transpose(0, 2, 3, 1), 0), schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.SAME, stride, stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
        n, height, width, _ = self.graph.tensors[maps].shape
        made = self.tensor(None, (n, height // stride, width // stride, len(bias)))
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        self.operator(kind, [maps, kernel, self.tensor(bias, bias.shape)], [made], options)
        return made

    def write(self, path: Path, outputs: list[int]) -> None:
        import flatbuffers

        self.graph.inputs, self.graph.outputs = [0], outputs
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(builder.Output())


def write_tflite(path: Path, state: State, schema: ModuleType, *, storage: str, n_layers: int = 27) -> None:
    """Write YAMNet as Google's converter does: batch norm folded, patches in, average pool out."""
    flat = Flat(schema, storage)
    maps = flat.tensor(None, (1, 96, 64, 1))
    strided = {0, 3, 7, 11, 23}
    for i in range(n_layers):
        weight, bias = (state[f"convolutions.{i}.{each}"].numpy() for each in ("weight", "bias"))
        maps = flat.convolution(maps, weight, bias, 2 if i in strided else 1, i % 2 == 1)
    pooled = flat.tensor(None, (1, 1024))
    axes = flat.tensor(np.array([1, 2], dtype=np.int32), (2,), schema.TensorType.INT32)
    flat.operator("MEAN", [maps, axes], [pooled], schema.ReducerOptionsT())
    flat.write(path, [pooled])


def unfolded(h5: Path, patches: torch.Tensor) -> torch.Tensor:
    """The network as Google writes it: convolution, batch norm without scale and epsilon 1e-4, ReLU."""
    import h5py

    strides = {1: 2, 3: 2, 5: 2, 7: 2, 13: 2}
    content = h5py.File(h5)

    def read(name: str) -> torch.Tensor:
        return torch.from_numpy(content[name][:])

    def layer(maps: torch.Tensor, name: str, kernel: str, stride: int) -> torch.Tensor:
        weight = read(f"{name}/{name}/{kernel}:0")
        weight = weight.permute(2, 3, 0, 1) if "depthwise" in kernel else weight.permute(3, 2, 0, 1)
        if weight.shape[-1] == 3:
            maps = functional.pad(maps, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        maps = functional.conv2d(maps, weight, stride=stride, groups=len(weight) if "depthwise" in kernel else 1)
        mean, variance, beta = (
            read(f"{name}/bn/{name}/bn/{each}:0") for each in ("moving_mean", "moving_variance", "beta")
        )
        return functional.batch_norm(maps, mean, variance, None, beta, eps=1e-4).relu()

    maps = layer(patches, "layer1/conv", "kernel", 2)
    for i in range(2, 15):
        maps = layer(maps, f"layer{i}/depthwise_conv", "depthwise_kernel", strides.get(i, 1))
        maps = layer(maps, f"layer{i}/pointwise_conv", "kernel", 1)
    assert maps.shape[1:] == (1024, 3, 2)
    return maps.mean(dim=(2, 3))


def test_folding_keeps_what_the_network_computes(h5: Path, patches: torch.Tensor) -> None:
    result = YamnetExtractor(h5).network(patches)
    torch.testing.assert_close(result, unfolded(h5, patches), rtol=1e-4, atol=1e-5)


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


def test_network_is_what_the_interpreter_runs(tflite: Path, patches: torch.Tensor) -> None:
    """TensorFlow's own "same" padding, strides and order of axes."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(tflite), num_threads=1)
    interpreter.allocate_tensors()
    expected = []
    for patch in patches:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], patch.permute(1, 2, 0)[None].numpy())
        interpreter.invoke()
        expected.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    result = YamnetExtractor(tflite).network(patches)
    torch.testing.assert_close(result, torch.from_numpy(np.stack(expected)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("n_samples", "n_patches"),
    [(1, 1), (15_600, 1), (15_601, 2), (23_280, 2), (23_281, 3), (160_000, 20)],
)
def test_patches_cover_the_whole_utterance(h5: Path, n_samples: int, n_patches: int) -> None:
    log_mel = YamnetExtractor(h5).prepare(torch.ones(n_samples))
    assert log_mel.shape == (64, 96 + 48 * (n_patches - 1))


def test_the_end_is_padded_with_silence(h5: Path) -> None:
    extractor, waveform = YamnetExtractor(h5), torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([waveform, torch.zeros(23_280 - 20_000)])
    torch.testing.assert_close(extractor.prepare(waveform), extractor.prepare(padded), rtol=0, atol=0)


def missing(path: Path, h5: bytes, tflite: bytes) -> None:
    pass


def text(path: Path, h5: bytes, tflite: bytes) -> None:
    path.write_text("hello")


def torch_file(path: Path, h5: bytes, tflite: bytes) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


def cut_off_h5(path: Path, h5: bytes, tflite: bytes) -> None:
    path.write_bytes(h5[:1_000_000])


def other_h5(path: Path, h5: bytes, tflite: bytes) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["layer1/conv/layer1/conv/kernel:0"] = np.zeros((3, 3, 1, 32))


def h5_with_a_group_for_a_tensor(path: Path, h5: bytes, tflite: bytes) -> None:
    import h5py

    path.write_bytes(h5)
    with h5py.File(path, "a") as file:
        del file["layer3/depthwise_conv/layer3/depthwise_conv/depthwise_kernel:0"]
        file.create_group("layer3/depthwise_conv/layer3/depthwise_conv/depthwise_kernel:0")


def cut_off_tflite(path: Path, h5: bytes, tflite: bytes) -> None:
    path.write_bytes(tflite[:20_000])


def tflite_of_zeros(path: Path, h5: bytes, tflite: bytes) -> None:
    path.write_bytes(tflite[:40] + bytes(len(tflite) - 40))


def tflite_signature_alone(path: Path, h5: bytes, tflite: bytes) -> None:
    path.write_bytes(tflite[:8])


@pytest.mark.parametrize(
    "breakage",
    [
        missing,
        text,
        torch_file,
        cut_off_h5,
        other_h5,
        h5_with_a_group_for_a_tensor,
        cut_off_tflite,
        tflite_of_zeros,
        tflite_signature_alone,
    ],
)
def test_what_is_not_yamnet_is_refused_in_one_line(
    h5: Path, tflite: Path, tmp_path: Path, breakage: Callable[[Path, bytes, bytes], None]
) -> None:
    path = tmp_path / "broken"
    breakage(path, h5.read_bytes(), tflite.read_bytes())
    with pytest.raises(CheckpointError) as caught:
        YamnetExtractor(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("n_layers", "message"), [(5, "5 convolutions, YAMNet has 27"), (27, "does not fit")])
def test_a_tflite_file_of_another_network_is_refused(
    schema: ModuleType, tmp_path: Path, n_layers: int, message: str
) -> None:
    narrow = {f"convolutions.{i}.bias": torch.zeros(4) for i in range(n_layers)}
    narrow |= {f"convolutions.{i}.weight": torch.ones(4, 1, 3, 3) for i in range(n_layers)}
    write_tflite(tmp_path / "narrow.tflite", narrow, schema, storage="float32", n_layers=n_layers)
    with pytest.raises(CheckpointError, match=message):
        YamnetExtractor(tmp_path / "narrow.tflite")


def test_without_h5py_the_message_names_the_extra(h5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CheckpointError, match=r"serab-companion\[yamnet\].*yamnet\.tflite"):
        YamnetExtractor(h5)


@pytest.mark.parametrize("file", ["yamnet.h5", "yamnet.tflite"])
def test_a_file_under_a_released_name_must_have_its_hash(h5: Path, tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_bytes(h5.read_bytes())
    with pytest.raises(CheckpointError, match="not the released file"):
        load_extractor("yamnet", weights=tmp_path)


def test_another_build_of_the_same_file_is_let_through(tmp_path: Path) -> None:
    path = tmp_path / "yamnet.tflite"
    path.write_bytes(b"weights")
    content = hashlib.sha256(b"weights").hexdigest()
    released = replace(EXTRACTORS["yamnet"].checkpoints[1], also_sha256=("1" * 64, content))
    with pytest.raises(CheckpointError):
        require_checkpoint(EXTRACTORS["yamnet"], tmp_path)
    assert require_checkpoint(replace(EXTRACTORS["yamnet"], checkpoints=(released,)), tmp_path) == (path, content)


def test_floats_are_preferred_to_8_bits() -> None:
    assert [each.file for each in EXTRACTORS["yamnet"].checkpoints] == ["yamnet.h5", "yamnet.tflite"]
