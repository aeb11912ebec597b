import re
import sys
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite
import torch
from making import make_noise, one_line, write_yamnet_h5
from torch.nn import functional

from serab_lib.extractors import registry, weights, yamnet


@pytest.fixture(scope="module")
def h5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("yamnet") / "random.h5"
    write_yamnet_h5(path)
    return path


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
        names = [f"{name}/bn/{name}/bn/{each}:0" for each in ("moving_mean", "moving_variance", "beta")]
        mean, variance, beta = (torch.from_numpy(content[each][:]) for each in names)
        return functional.batch_norm(maps, mean, variance, None, beta, eps=1e-4).relu()

    maps = layer(patches, "layer1/conv", "kernel", 2)
    for i in range(2, 15):
        maps = layer(maps, f"layer{i}/depthwise_conv", "depthwise_kernel", strides.get(i, 1))
        maps = layer(maps, f"layer{i}/pointwise_conv", "kernel", 1)
    assert maps.shape[1:] == (1024, 3, 2)
    return maps.mean(dim=(2, 3))


def test_folding_keeps_what_the_network_computes_and_patches_cover_the_whole_utterance(h5: Path) -> None:
    patches = make_noise(3, 1, 96, 64) - 3
    result = yamnet.YamnetExtractor(h5).network(patches)
    torch.testing.assert_close(result, run_unfolded(h5, patches), rtol=1e-4, atol=1e-5)
    extractor, waveform = yamnet.YamnetExtractor(h5), make_noise(20_000)
    for n_samples, n_patches in ((1, 1), (15_600, 1), (15_601, 2), (23_280, 2), (23_281, 3)):
        assert extractor.prepare(torch.ones(n_samples)).shape == (64, 96 + 48 * (n_patches - 1))
    assert extractor.prepare(waveform).equal(extractor.prepare(functional.pad(waveform, (0, 23_280 - 20_000))))


@pytest.mark.parametrize(("scales", "zeros", "expected"), [([0.5], [1], [0, 1.5]), ([0.5, 2.0], [1, -1], [0, 10])])
def test_8_bits_are_read_at_the_values_they_stand_for(scales: list, zeros: list, expected: list) -> None:
    reason = "needs ai-edge-litert, part of the test extra on Linux"
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason=reason)
    quantisation = schema.QuantizationParametersT(scale=scales, zeroPoint=zeros, quantizedDimension=len(scales) - 1)
    tensor = schema.TensorT(type=schema.TensorType.INT8, shape=[1, 2], quantization=quantisation)
    graph, buffer = schema.SubGraphT(tensors=[tensor]), schema.BufferT(data=np.array([1, 4], dtype=np.uint8))
    model, builder = schema.ModelT(subgraphs=[graph], buffers=[buffer]), flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    assert yamnet._tflite_tensor(tflite.Model.GetRootAs(builder.Output()), 0).tolist() == [expected]


@pytest.mark.parametrize("content", [b"hello", slice(1_000_000), b"\x1c\0\0\0TFL3", b"\x1c\0\0\0TFL3" + bytes(5_000)])
def test_what_is_not_yamnet_is_refused_in_one_line(h5: Path, tmp_path: Path, content: bytes | slice) -> None:
    path = tmp_path / "broken"
    path.write_bytes(h5.read_bytes()[content] if isinstance(content, slice) else content)
    with one_line(re.escape(str(path)), weights.CheckpointError):
        yamnet.YamnetExtractor(path)


def test_another_network_is_refused_and_without_h5py_the_extra_is_named(h5: Path, tmp_path: Path, monkeypatch) -> None:
    import h5py

    (tmp_path / "other.h5").write_bytes(h5.read_bytes())
    with h5py.File(tmp_path / "other.h5", "a") as file:
        del file["layer3/depthwise_conv/layer3/depthwise_conv/depthwise_kernel:0"]
    with one_line("YAMNet", weights.CheckpointError):
        yamnet.YamnetExtractor(tmp_path / "other.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with one_line(r"serab-companion\[yamnet\].*yamnet\.tflite", weights.CheckpointError):
        yamnet.YamnetExtractor(h5)
    assert [each.file for each in registry.EXTRACTORS["yamnet"].checkpoints] == ["yamnet.h5", "yamnet.tflite"]
