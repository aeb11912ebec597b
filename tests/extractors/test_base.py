from collections.abc import Sequence

import pytest
import torch
from making import one_line

from serab_lib.extractors.base import Extractor, check_extractor, pad_batch


class Moments(Extractor):
    """Scaled mean and mean square of a waveform: an extractor as short as one can be."""

    embedding_size = 2

    def __init__(self, scale: float = 1.0) -> None:
        self.scale, self.fingerprint = scale, f"scale {scale}"

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        moments = [torch.stack([waveform.mean(), waveform.square().mean()]) for waveform in prepared]
        return self.scale * torch.stack(moments)


embed = Moments.encode
BREAKAGES = {
    r"Broken gives torch.float32 of shape \(5, 2\), expected .*\(5, 3\)": {"embedding_size": 3, "embed": embed},
    "gives torch.float64": {"embed": lambda self, waveforms: embed(self, waveforms).double()},
    # The padding of a batch is taken for audio.
    "another vector in a batch than alone": {
        "encode": lambda self, prepared: embed(self, list(pad_batch(prepared, self.device))),
        "batch_frames": {"cpu": 100_000},
    },
    "other vectors on the next call": {
        "encode": lambda self, prepared: embed(self, prepared) + 1e-6 * torch.rand(len(prepared), 2)
    },
    "changes the audio": {"prepare": lambda self, waveform: waveform.mul_(2)},
    # Silence is divided by its standard deviation.
    "not finite for silence": {"prepare": lambda self, waveform: waveform / waveform.std()},
    # There is no frame in less than 0.2 s.
    "not finite for noise": {"prepare": lambda self, waveform: waveform[: len(waveform) // 3200 * 3200]},
    "the same vectors with other weights": {"encode": lambda self, prepared: embed(self, prepared) / self.scale},
    "one identity for two sets of weights": {"fingerprint": property(lambda self: "1", lambda self, value: None)},
}


@pytest.mark.parametrize("message", BREAKAGES)
def test_each_broken_promise_is_named(message: str) -> None:
    kind = type("Broken", (Moments,), BREAKAGES[message])
    with one_line(message):
        check_extractor(kind(), kind(2.0))
