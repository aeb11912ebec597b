"""`check_extractor` finds each promise that an extractor can break."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from serab_lib.core import SerabError
from serab_lib.extractors.base import Extractor, check_extractor, pad_batch


class Moments(Extractor):
    """Scaled mean and mean square of a waveform: an extractor as short as one can be."""

    embedding_size = 2

    def __init__(self, scale: float = 1.0) -> None:
        self.scale, self.fingerprint = scale, f"scale {scale}"

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        moments = [torch.stack([waveform.mean(), waveform.square().mean()]) for waveform in prepared]
        return self.scale * torch.stack(moments)


class WrongShape(Moments):
    embedding_size = 3

    def embed(self, waveforms: Sequence[torch.Tensor]) -> torch.Tensor:
        return self.encode(waveforms)


class WrongType(Moments):
    def embed(self, waveforms: Sequence[torch.Tensor]) -> torch.Tensor:
        return self.encode(waveforms).double()


class Padded(Moments):
    """Takes the padding of a batch for audio."""

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        return super().encode(list(pad_batch(prepared, self.device)))

    batch_frames = {"cpu": 100_000}  # noqa: RUF012


class Random(Moments):
    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        return super().encode(prepared) + 1e-6 * torch.rand(len(prepared), 2)


class Greedy(Moments):
    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        return waveform.mul_(2)


class Normalised(Moments):
    """Divides silence by its standard deviation."""

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        return waveform / waveform.std()


class Framed(Moments):
    """Has no frame in less than 0.2 s."""

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        return waveform[: len(waveform) // 3200 * 3200]


class Deaf(Moments):
    """Does not use its weights."""

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        return super().encode(prepared) / self.scale


class Anonymous(Moments):
    """Has one identity whatever its weights."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(scale)
        self.fingerprint = "1"


def test_an_extractor_that_keeps_its_promises() -> None:
    check_extractor(Moments(), Moments(2.0))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (WrongShape, r"WrongShape gives torch.float32 of shape \(5, 2\), expected .*\(5, 3\)"),
        (WrongType, "gives torch.float64"),
        (Padded, "another vector in a batch than alone"),
        (Random, "other vectors on the next call"),
        (Greedy, "changes the audio"),
        (Normalised, "not finite for silence"),
        (Framed, "not finite for noise"),
        (Deaf, "the same vectors with other weights"),
        (Anonymous, "one identity for two sets of weights"),
    ],
)
def test_each_broken_promise_is_named_in_one_line(kind: type[Moments], message: str) -> None:
    with pytest.raises(SerabError, match=message) as caught:
        check_extractor(kind(), kind(2.0))
    assert "\n" not in str(caught.value)
