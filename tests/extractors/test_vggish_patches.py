import numpy as np
import pytest
import torch
from torch import nn

from serab_lib.extractors.vggish import audioset_log_mel, average_over_patches


def slow_log_mel(samples: np.ndarray, log_offset: float) -> np.ndarray:
    """Google's published formulas, one frame and one band at a time, in float64."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    places = 1127 * np.log(1 + np.arange(257) * 16_000 / 512 / 700)
    edges, result = np.linspace(*1127 * np.log(1 + np.array([125, 7500]) / 700), 66), []
    for start in range(0, len(samples) - 399, 160):
        spectrum = np.abs(np.fft.rfft(samples[start : start + 400] * window, 512))
        bands = np.zeros(64)
        for band in range(64):
            lower, centre, upper = edges[band : band + 3]
            for place, magnitude in zip(places, spectrum, strict=True):
                weight = min((place - lower) / (centre - lower), (upper - place) / (upper - centre))
                bands[band] += max(0, weight) * magnitude
        result.append(np.log(bands + log_offset))
    return np.array(result).T


@pytest.mark.parametrize("log_offset", [0.001, 0.01])
def test_log_mel_follows_the_published_formulas(log_offset: float) -> None:
    samples = np.random.default_rng(0).normal(size=1_700, scale=0.1)
    result = audioset_log_mel(torch.from_numpy(samples).float(), log_offset=log_offset)
    assert result.shape == (64, 9)
    np.testing.assert_allclose(result.numpy(), slow_log_mel(samples, log_offset), atol=1e-4)


class Middle(nn.Module):
    """In place of a network: the value in a patch's middle, and its mel band 3."""

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        assert patches.shape[1:] == (1, 96, 64)
        return patches[:, 0, 48, [0, 3]]


@pytest.mark.parametrize(("hop_frames", "n_patches"), [(48, 3), (96, 2), (48, 200)])
def test_patches_start_a_hop_apart_and_are_averaged_per_utterance(hop_frames: int, n_patches: int) -> None:
    """200 are more than go through a network in one pass."""
    frames = torch.arange(96.0 + hop_frames * (n_patches - 1))
    long = frames + 1000 * torch.arange(64)[:, None]
    result = average_over_patches(Middle(), [long[:, :96], long], hop_frames=hop_frames, device=torch.device("cpu"))
    expected = torch.tensor([48, 48 + hop_frames * (n_patches - 1) / 2])
    torch.testing.assert_close(result, expected[:, None] + torch.tensor([0.0, 3000.0]))
