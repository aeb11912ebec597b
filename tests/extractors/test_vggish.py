import numpy as np
import pytest
import torch
from making import make_noise, make_vggish_state
from torch import nn
from torch.nn import functional

from serab_lib.extractors.vggish import VggishExtractor, audioset_log_mel, average_over_patches


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> VggishExtractor:
    path = tmp_path_factory.mktemp("vggish") / "random.pth"
    torch.save(make_vggish_state(), path)
    return VggishExtractor(path)


def test_network_is_the_published_one(extractor: VggishExtractor) -> None:
    """Six 3 x 3 convolutions, four poolings, and linear layers in TensorFlow's order of axes."""
    # The published file has 288,567,937 bytes: the numbers and some 3 kB of names, those of torchvggish.
    assert 0 < 288_567_937 - 4 * extractor.n_parameters < 5_000
    patches, state = make_noise(2, 1, 96, 64) - 2, make_vggish_state()
    layers = [f"features.{i}" for i in (0, 3, 6, 8, 11, 13)] + [f"embeddings.{i}" for i in (0, 2, 4)]
    assert set(state) == {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    maps = patches
    for layer, pooled in ((0, True), (3, True), (6, False), (8, True), (11, False), (13, True)):
        weight, bias = state[f"features.{layer}.weight"].contiguous(), state[f"features.{layer}.bias"]
        maps = functional.conv2d(maps, weight, bias, padding=1).relu()
        maps = functional.max_pool2d(maps, 2) if pooled else maps
    assert maps.shape == (2, 512, 6, 4)
    expected = torch.stack([maps[:, :, time, mel] for time in range(6) for mel in range(4)], dim=1).flatten(1)
    for layer in (0, 2, 4):
        expected = functional.linear(expected, state[f"embeddings.{layer}.weight"], state[f"embeddings.{layer}.bias"])
        expected = expected.relu() if layer < 4 else expected
    result = extractor.network(patches)
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-4)
    assert (result < 0).any()  # raw: no activation behind the last layer


def test_patches_are_whole_and_less_than_a_second_is_put_in_its_middle(extractor: VggishExtractor) -> None:
    """96 frames each; one frame is 400 samples, the next begins 160 later."""
    wanted = {1: 1, 15_999: 1, 16_000: 1, 30_959: 1, 30_960: 2, 46_319: 2, 46_320: 3}
    shapes = {n_samples: tuple(extractor.prepare(torch.zeros(n_samples)).shape) for n_samples in wanted}
    assert shapes == {n_samples: (64, 96 * n_patches) for n_samples, n_patches in wanted.items()}
    short, long = make_noise(5_001), make_noise(20_000)
    padded = torch.cat([torch.zeros(5_499), short, torch.zeros(5_500)])
    for waveform, expected in ((short, padded), (long, long)):
        expected = audioset_log_mel(expected, log_offset=0.01)[:, :96]
        torch.testing.assert_close(extractor.prepare(waveform), expected)


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
