"""YAMNet's weights out of the files that Google publishes: Keras' HDF5 and TensorFlow Lite.

Both become one state dict, `convolutions.{0..26}.{weight,bias}`, with batch norm folded into the convolutions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from serab_lib.extractors.weights import CheckpointError

if TYPE_CHECKING:
    import h5py
    import tflite

INSTALL_HINT = "pip install 'serab-companion[yamnet]'"
N_CONVOLUTIONS = 27
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Stands in bytes 4 to 8 of the file.
_TFLITE_IDENTIFIER = b"TFL3"
# YAMNet's own; its batch norms shift but do not scale.
_BATCH_NORM_EPSILON = 1e-4


def read_yamnet(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the convolutions of YAMNet from a file of either kind.

    Parameters
    ----------
    path : str or Path
        Told apart by content, not by name.

    Returns
    -------
    dict of str to torch.Tensor
        float32, in torch's layout (out, in, time, mel).

    Raises
    ------
    CheckpointError
        If the file is neither kind, is cut off or holds another network, or if h5py is needed and missing.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}: give the path of yamnet.h5 or yamnet.tflite")
    start = path.open("rb").read(8)
    if start == _HDF5_SIGNATURE:
        pairs = _read_h5(path)
    elif start[4:] == _TFLITE_IDENTIFIER:
        pairs = _read_tflite(path)
    else:
        raise CheckpointError(f"{path} is neither a Keras .h5 file nor a .tflite file: give Google's yamnet.h5")
    state: dict[str, torch.Tensor] = {}
    for i, (weight, bias) in enumerate(pairs):
        state[f"convolutions.{i}.weight"] = torch.from_numpy(np.array(weight, dtype=np.float32))
        state[f"convolutions.{i}.bias"] = torch.from_numpy(np.array(bias, dtype=np.float32))
    return state


def _read_h5(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    try:
        import h5py
    except ImportError as error:
        raise CheckpointError(f"{path} needs h5py: {INSTALL_HINT}, or use yamnet.tflite") from error
    try:
        with h5py.File(path, "r") as file:
            return [_fold(file, name) for name in _keras_names()]
    except (KeyError, ValueError, TypeError, AttributeError, OSError, RuntimeError) as error:
        raise _not_yamnet(path, error) from error


def _keras_names() -> Iterator[str]:
    yield "layer1/conv"
    for layer in range(2, 15):
        yield f"layer{layer}/depthwise_conv"
        yield f"layer{layer}/pointwise_conv"


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


def _read_tflite(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    import tflite

    try:
        model = tflite.Model.GetRootAs(path.read_bytes())
        pairs = list(_tflite_convolutions(model))
    except (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise _not_yamnet(path, error) from error
    if len(pairs) != N_CONVOLUTIONS:
        raise CheckpointError(
            f"{path} has {len(pairs)} convolutions, YAMNet has {N_CONVOLUTIONS}: it is another network; "
            "give Google's yamnet.tflite"
        )
    return pairs


def _tflite_convolutions(model: tflite.Model) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of every convolution in the order of the graph; the tensors' names do not matter."""
    from tflite import BuiltinOperator

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


def _not_yamnet(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).replace("\n", " ") or type(error).__name__
    return CheckpointError(f"{path} does not hold YAMNet's weights, or is cut off ({reason}): fetch it again")
