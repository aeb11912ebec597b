"""YAMNet: MobileNet v1 on log-mel patches of 0.96 s, from Google's own files: Keras' HDF5 or TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from serab_lib.extractors.base import Extractor, count_parameters
from serab_lib.extractors.vggish import HOP_SAMPLES, PATCH_FRAMES, audioset_log_mel, average_over_patches, n_samples_of
from serab_lib.extractors.weights import CheckpointError, load_into

if TYPE_CHECKING:
    import h5py
    import tflite

_LOG_OFFSET = 0.001
_HOP_FRAMES = 48
# Of the 13 separable layers: width of the pointwise convolution, and stride of the depthwise one before it.
_WIDTHS = (64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
_N_CONVOLUTIONS = 1 + 2 * len(_WIDTHS)
# YAMNet's own; its batch norms shift but do not scale.
_BATCH_NORM_EPSILON = 1e-4
_TFLITE_IDENTIFIER = b"TFL3"


class YamnetNetwork(nn.Module):
    """YAMNet's 27 convolutions and the average pool behind them; batch norm is folded into the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        width = 32
        layers = [nn.Conv2d(1, width, 3, stride=2)]
        for stride, n_channels in zip(_STRIDES, _WIDTHS, strict=True):
            padding = 1 if stride == 1 else 0
            layers.append(nn.Conv2d(width, width, 3, stride=stride, padding=padding, groups=width))
            layers.append(nn.Conv2d(width, n_channels, 1))
            width = n_channels
        self.convolutions = nn.ModuleList(layers)
        # Channels last is what the CPU's and the GPU's convolution kernels are fastest with.
        self.requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Embed log-mel patches (n, 1, 96, 64), time before mel, as (n, 1024)."""
        maps = patches.contiguous(memory_format=torch.channels_last)
        for convolution in self.convolutions:
            if convolution.stride == (2, 2):
                # TensorFlow's "same" padding of an even size puts the odd row and column behind.
                maps = functional.pad(maps, (0, 1, 0, 1))
            maps = convolution(maps).relu_()
        return maps.mean(dim=(2, 3))


class YamnetExtractor(Extractor):
    """Average of YAMNet's 1,024-d embeddings over patches of 0.96 s, one every 0.48 s."""

    embedding_size = 1024

    def __init__(self, checkpoint: str | Path) -> None:
        self.network = YamnetNetwork().eval()
        load_into(self.network, read_yamnet(checkpoint), source=checkpoint)
        self.n_parameters = count_parameters(self.network)

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Log-mel spectrogram of whole patches, shape (64, 96 + 48 n)."""
        patch_samples, hop_samples = n_samples_of(PATCH_FRAMES), _HOP_FRAMES * HOP_SAMPLES
        n_hops = max(0, -(-(len(waveform) - patch_samples) // hop_samples))
        padded = functional.pad(waveform, (0, patch_samples + n_hops * hop_samples - len(waveform)))
        return audioset_log_mel(padded, log_offset=_LOG_OFFSET)

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed a batch of log-mel spectrograms, shape (len(prepared), 1024)."""
        return average_over_patches(self.network, prepared, hop_frames=_HOP_FRAMES, device=self.device)


def read_yamnet(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a `YamnetNetwork` from a file of either kind, told apart by content."""
    try:
        content = Path(path).read_bytes()
        pairs = list(_read_tflite(content) if content[4:8] == _TFLITE_IDENTIFIER else _read_h5(path))
        if len(pairs) != _N_CONVOLUTIONS:
            raise ValueError(f"it has {len(pairs)} convolutions, YAMNet has {_N_CONVOLUTIONS}")
    except ImportError as error:
        raise CheckpointError(
            f"{path} needs h5py: pip install 'serab-companion[yamnet]', or use yamnet.tflite"
        ) from error
    except Exception as error:  # a damaged file surfaces as any of a dozen classes
        reason = str(error).replace("\n", " ") or type(error).__name__
        raise CheckpointError(
            f"{path} does not hold YAMNet's weights, or is cut off ({reason}): fetch it again"
        ) from error
    state: dict[str, torch.Tensor] = {}
    for i, (weight, bias) in enumerate(pairs):
        state[f"convolutions.{i}.weight"] = torch.from_numpy(np.array(weight, dtype=np.float32))
        state[f"convolutions.{i}.bias"] = torch.from_numpy(np.array(bias, dtype=np.float32))
    return state


def _read_h5(path: str | Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import h5py

    kinds = ("depthwise_conv", "pointwise_conv")
    names = ["layer1/conv", *(f"layer{layer}/{kind}" for layer in range(2, 15) for kind in kinds)]
    with h5py.File(path, "r") as file:
        yield from (_fold(file, name) for name in names)


def _fold(file: h5py.File, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A convolution with the batch norm behind it: Keras writes each layer's name twice."""
    norm = file[f"{name}/bn/{name}/bn"]
    beta, mean, variance = (norm[f"{each}:0"][:] for each in ("beta", "moving_mean", "moving_variance"))
    scale = 1 / np.sqrt(variance.astype(np.float64) + _BATCH_NORM_EPSILON)
    if name.endswith("depthwise_conv"):
        kernel = file[f"{name}/{name}/depthwise_kernel:0"][:].transpose(2, 3, 0, 1)
    else:
        kernel = file[f"{name}/{name}/kernel:0"][:].transpose(3, 2, 0, 1)
    return kernel * scale[:, None, None, None], beta - mean * scale


def _read_tflite(content: bytes) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of every convolution in the order of the graph; the tensors' names do not matter."""
    from tflite import BuiltinOperator, Model

    model = Model.GetRootAs(content)
    graph = model.Subgraphs(0)
    stored_as: dict[int, int] = {}  # what a tensor was made of, where it is a de-quantised copy
    for i in range(graph.OperatorsLength()):
        operator = graph.Operators(i)
        code = model.OperatorCodes(operator.OpcodeIndex())
        # Files from before the code outgrew 8 bits have it in the old field alone.
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if kind == BuiltinOperator.DEQUANTIZE:
            stored_as[operator.Outputs(0)] = operator.Inputs(0)
        elif kind in (BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D):
            weight, bias = (
                _tflite_tensor(model, stored_as.get(operator.Inputs(j), operator.Inputs(j))) for j in (1, 2)
            )
            depthwise = kind == BuiltinOperator.DEPTHWISE_CONV_2D
            yield weight.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2)), bias


def _tflite_tensor(model: tflite.Model, index: int) -> np.ndarray:
    """A constant tensor at the values it stands for."""
    from tflite import TensorType

    dtypes = {
        TensorType.FLOAT32: np.float32,
        TensorType.FLOAT16: np.float16,
        TensorType.INT8: np.int8,
        TensorType.UINT8: np.uint8,
        TensorType.INT32: np.int32,
    }
    if index < 0:
        raise ValueError("a convolution has no bias")
    tensor = model.Subgraphs(0).Tensors(index)
    content = model.Buffers(tensor.Buffer()).DataAsNumpy()
    values = np.asarray(content).view(dtypes[tensor.Type()]).reshape(tensor.ShapeAsNumpy()).astype(np.float32)
    quantisation = tensor.Quantization()
    if quantisation is None or quantisation.ScaleLength() == 0:
        return values
    # One scale for the whole tensor, or one per slice along one of its axes.
    shape = [1] * values.ndim
    shape[quantisation.QuantizedDimension()] = -1
    scales, zeros = quantisation.ScaleAsNumpy(), quantisation.ZeroPointAsNumpy()
    return (values - zeros.reshape(shape).astype(np.float32)) * scales.reshape(shape)
