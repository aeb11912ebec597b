"""The settings of a pre-training run, with the paper's as defaults."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from serab_lib.core import SerabError

SCHEDULES = ("constant", "cosine")
CROP_STARTS = ("random", "released")
PRECISIONS = ("32", "bf16")
DEVICES = ("auto", "cpu", "cuda")

# What may differ between the part of a run before an interruption and the part after it.
_MAY_CHANGE = frozenset({"epochs", "device", "n_devices", "checkpoint_steps", "probe_epochs"})


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Everything that decides what a run computes.

    Attributes
    ----------
    model : str
        Encoder, by the name of its extractor: `byol-a-512`, `byol-s-2048`, `byol-s-cvt-256` and so on. The
        letter changes nothing here: BYOL-A and BYOL-S are one network and differ in the audio. Any other width
        of the convolutional encoder goes by `byol-s-WIDTH`.
    epochs : int
    batch_size : int
        Crops in one step of the optimiser, over all devices and accumulated parts together.
    accumulate : int
        Parts that each device computes its share of a batch in, one after the other, to save memory. Views are
        normalised over the whole batch all the same; batch norm sees one part at a time.
    learning_rate, weight_decay : float
        Of AdamW; the weight decay is PyTorch's default.
    schedule : {"constant", "cosine"}
        Of the learning rate: the same in all steps, or falling to 0 along half a cosine, which a run of few steps
        gains from.
    momentum : float
        Of the target's moving average.
    seed : int
        Of the weights, the order of the clips, the crops, the augmentations and dropout.
    crop_start : {"random", "released"}
        Where a crop of a longer clip begins: anywhere, or always at its start, as a wrong sign in the first
        public version of BYOL-A has it.
    crops_per_clip : int
        Crops of each clip in an epoch.
    mixup_ratio : float
        Upper bound of another clip's share in the energy of a view; 0 for no mixup.
    memory_size : int
        Past crops that mixup takes its partners from.
    resized_crop : bool
        Whether views are cropped and resized at random.
    canvas : tuple of float
        Size of the area that crops are cut from, in bands and in frames, relative to the spectrogram's.
    crop_scale : tuple of float
        Least and largest size of a crop, relative to the spectrogram's, on either axis.
    dropout : float or None
        Share of values dropped in the encoder; None for the network's own, 0.3 for BYOL-A's and 0 for CvT's.
    hidden_size, projection_size : int
        Widths of the projector and of the predictor.
    predictor : bool
        False leaves the predictor out, which lets the embeddings collapse: for showing that it does.
    precision : {"32", "bf16"}
        bf16 computes products in bfloat16 and keeps weights, losses and norms in float32.
    device : {"auto", "cpu", "cuda"}
    n_devices : int
    checkpoint_steps : int
        Steps between two checkpoints; one is also written after each epoch.
    probe_epochs : int
        Epochs between two measurements of the probe, where there is one.

    Raises
    ------
    SerabError
        If a value makes no sense.

    Notes
    -----
    Defaults are those of the paper's BYOL-S. The released CvTs of 256 and 512 were trained with batches of 512.

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
    schedule: str = "constant"
    momentum: float = 0.99
    seed: int = 42
    crop_start: str = "random"
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
    precision: str = "32"
    device: str = "auto"
    n_devices: int = 1
    checkpoint_steps: int = 500
    probe_epochs: int = 1

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise SerabError(f"{name} is {getattr(self, name)}, expected {least} or more")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise SerabError(f"there is no {name} {getattr(self, name)!r}: choose {' or '.join(known)}")
        for name in ("momentum", "mixup_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise SerabError(f"{name} is {getattr(self, name)}, expected a number from 0 to 1")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise SerabError(f"learning_rate is {self.learning_rate}, expected a number above 0")
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] or min(self.canvas) < 1:
            raise SerabError(
                f"crop_scale is {self.crop_scale} and canvas {self.canvas}: expected a least and a largest size above "
                "0, and a canvas of 1 or more on both axes"
            )
        n_parts = self.n_devices * self.accumulate
        if self.batch_size % n_parts or self.batch_size // n_parts < 2:
            raise SerabError(
                f"a batch of {self.batch_size} crops cannot be cut into {n_parts} equal parts of 2 or more: choose "
                f"--batch-size {max(2, math.ceil(self.batch_size / n_parts)) * n_parts}"
            )

    def learning_rate_at(self, progress: float) -> float:
        """Learning rate after a part of the run, 0 to 1."""
        return self.learning_rate * (0.5 * (1 + math.cos(math.pi * progress)) if self.schedule == "cosine" else 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Write the settings as numbers, texts and lists."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> PretrainConfig:
        """Read what `to_dict` wrote; settings that this version does not know are the user's mistake."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(settings) - known):
            raise SerabError(f"there is no setting {unknown[0]!r} of pre-training: use the version that wrote it")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})

    def require_same_run(self, other: PretrainConfig) -> None:
        """Refuse to go on with a run under settings that would have made it another one.

        Parameters
        ----------
        other : PretrainConfig
            Settings of the run's checkpoint.

        Raises
        ------
        SerabError
            Naming the first setting that differs.
        """
        # A falling learning rate depends on where the run ends.
        free = _MAY_CHANGE - ({"epochs"} if self.schedule == "cosine" else set())
        for name, value in vars(self).items():
            if name not in free and value != getattr(other, name):
                raise SerabError(
                    f"the run was begun with {name} {getattr(other, name)}, this one has {value}: resume with the same "
                    "settings, or choose another folder"
                )


_CHOICES = {"schedule": SCHEDULES, "crop_start": CROP_STARTS, "precision": PRECISIONS, "device": DEVICES}
_LEAST: dict[str, float] = {
    "epochs": 1,
    "batch_size": 2,
    "accumulate": 1,
    "weight_decay": 0,
    "seed": 0,
    "crops_per_clip": 1,
    "memory_size": 1,
    "hidden_size": 1,
    "projection_size": 1,
    "n_devices": 1,
    "checkpoint_steps": 1,
    "probe_epochs": 1,
}
