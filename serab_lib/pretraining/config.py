"""The settings of a pre-training run, with the paper's as defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from serab_lib.core import SerabError

Schedule = Literal["constant", "cosine"]
CropStart = Literal["random", "released"]
Precision = Literal["32", "bf16"]
Device = Literal["auto", "cpu", "cuda"]

# What may differ between the part of a run before an interruption and the part after it.
_MAY_CHANGE = frozenset({"epochs", "device", "n_devices", "checkpoint_steps", "probe_epochs"})


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Everything that decides what a run computes; the defaults are those of the paper's BYOL-S.

    Attributes
    ----------
    model : str
        Encoder, by the name of its extractor: `byol-a-512`, `byol-s-2048`, `byol-s-cvt-256` and so on. The
        letter changes nothing here: BYOL-A and BYOL-S are one network and differ in the audio. Any other width
        of the convolutional encoder goes by `byol-s-WIDTH`.
    batch_size : int
        Crops in one step of the optimiser, over all devices and accumulated parts together. The released CvTs of
        256 and 512 were trained with 512.
    accumulate : int
        Parts that each device computes its share of a batch in, to save memory. Views are normalised over the
        whole batch all the same; batch norm sees one part at a time.
    learning_rate, weight_decay : float
        Of AdamW; the weight decay is PyTorch's default.
    schedule : {"constant", "cosine"}
        Of the learning rate: the same in all steps, or falling to 0 along half a cosine.
    momentum : float
        Of the target's moving average.
    crop_start : {"random", "released"}
        Where a crop of a longer clip begins: anywhere, or always at its start, as a wrong sign in the first
        public version of BYOL-A has it.
    mixup_ratio : float
        Upper bound of another clip's share in the energy of a view; 0 for no mixup.
    memory_size : int
        Past crops that mixup takes its partners from.
    canvas : tuple of float
        Size of the area that crops are cut from, in bands and in frames, relative to the spectrogram's.
    crop_scale : tuple of float
        Least and largest size of a cut, relative to the spectrogram's, on either axis.
    dropout : float or None
        Share of values dropped in the encoder; None for the network's own, 0.3 for BYOL-A's and 0 for CvT's.
    hidden_size, projection_size : int
        Widths of the projector and of the predictor.
    predictor : bool
        False leaves the predictor out, which lets the embeddings collapse: for showing that it does.
    precision : {"32", "bf16"}
        bf16 computes products in bfloat16 and keeps weights, losses and norms in float32.
    checkpoint_steps, probe_epochs : int
        Steps between two checkpoints besides that of each epoch; epochs between two measurements of the probe.

    Raises
    ------
    SerabError
        If the batch cannot be cut into equal parts.

    Examples
    --------
    >>> PretrainConfig(epochs=3).batch_size
    256
    """

    model: str = "byol-s-512"
    epochs: int = 100
    batch_size: int = 256
    accumulate: int = 1
    learning_rate: float = 3e-4
    weight_decay: float = 0.01
    schedule: Schedule = "constant"
    momentum: float = 0.99
    seed: int = 42
    crop_start: CropStart = "random"
    crops_per_clip: int = 1
    mixup_ratio: float = 0.4
    memory_size: int = 2048
    resized_crop: bool = True
    canvas: tuple[float, float] = (1.0, 1.5)
    crop_scale: tuple[float, float] = (0.6, 1.5)
    dropout: float | None = None
    hidden_size: int = 4096
    projection_size: int = 256
    predictor: bool = True
    precision: Precision = "32"
    device: Device = "auto"
    n_devices: int = 1
    checkpoint_steps: int = 500
    probe_epochs: int = 1

    def __post_init__(self) -> None:
        n_parts = self.n_devices * self.accumulate
        if self.batch_size % n_parts or self.batch_size // n_parts < 2:
            raise SerabError(
                f"a batch of {self.batch_size} crops cannot be cut into {n_parts} equal parts of 2 or more: choose "
                f"--batch-size {max(2, math.ceil(self.batch_size / n_parts)) * n_parts}"
            )

    def learning_rate_at(self, progress: float) -> float:
        """Learning rate after a part of the run, 0 to 1."""
        return self.learning_rate * (0.5 * (1 + math.cos(math.pi * progress)) if self.schedule == "cosine" else 1.0)

    def require_same_run(self, begun: Mapping[str, Any]) -> None:
        """Refuse to go on with a run that was begun under settings which make it another one."""
        # A falling learning rate depends on where the run ends.
        free = _MAY_CHANGE - ({"epochs"} if self.schedule == "cosine" else set())
        for name, value in vars(self).items():
            if name not in free and value != begun.get(name):
                raise SerabError(
                    f"the run was begun with {name} {begun.get(name)}, this one has {value}: resume with the same "
                    "settings, or choose another folder"
                )
