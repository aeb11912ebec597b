import csv
import math
from importlib import resources
from pathlib import Path

import pytest
import torch
from making import assert_padding_changes_nothing, make_byol_state, make_cvt_state, make_noise, one_line
from torch.nn.functional import conv2d

from serab_lib.extractors.cvt import LARGE_WIDTHS, POOLINGS, SMALL_WIDTHS, CvtEncoder, CvtExtractor, FrozenCvt
from serab_lib.extractors.weights import CheckpointError

WIDTHS = {"small": SMALL_WIDTHS, "large": LARGE_WIDTHS}


def encoder(pooling: str = "mean") -> CvtEncoder:
    network = CvtEncoder(SMALL_WIDTHS, pooling=pooling)
    network.load_state_dict(make_cvt_state())
    return network.eval()


@pytest.mark.parametrize("size", WIDTHS)
def test_tensors_are_those_of_the_released_checkpoints(size: str) -> None:
    with (resources.files("serab_lib") / "data" / "manifests" / "cvt_state_dict.csv").open() as file:
        released = {row["name"]: row[f"shape_{size}"] for row in csv.DictReader(file)}
    state = CvtEncoder(WIDTHS[size]).state_dict()
    assert released == {name: "x".join(map(str, tensor.shape)) or "scalar" for name, tensor in state.items()}


class Plain:
    """The network in double precision, one position of attention at a time, from the tensors alone."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self.state = {name: tensor.double() for name, tensor in state.items()}

    def norm(self, maps: torch.Tensor, name: str) -> torch.Tensor:
        centred = maps - maps.mean(dim=0)
        std = (centred**2).mean(dim=0).sqrt()
        return centred / (std + 1e-5) * self.state[f"{name}.g"][0] + self.state[f"{name}.b"][0]

    def project(self, maps: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        maps = conv2d(maps[None], self.state[f"{name}.net.0.weight"], padding=1, stride=stride, groups=len(maps))[0]
        norm = (self.state[f"{name}.net.1.{each}"] for each in ("running_mean", "running_var", "weight", "bias"))
        mean, variance, scale, shift = (each[:, None, None] for each in norm)
        maps = (maps - mean) / (variance + 1e-5).sqrt() * scale + shift
        return conv2d(maps[None], self.state[f"{name}.net.2.weight"])[0]

    def attend(self, maps: torch.Tensor, name: str) -> torch.Tensor:
        queries = self.project(maps, f"{name}.to_q", 1)
        keys, values = self.project(maps, f"{name}.to_kv", 2).flatten(1).chunk(2)
        mixed = torch.zeros_like(queries)
        for head in range(0, len(queries), 64):
            for row in range(queries.shape[1]):
                for step in range(queries.shape[2]):
                    scores = queries[head : head + 64, row, step] @ keys[head : head + 64] / math.sqrt(64)
                    shares = scores.exp() / scores.exp().sum()
                    mixed[head : head + 64, row, step] = values[head : head + 64] @ shares
        return conv2d(mixed[None], self.state[f"{name}.to_out.0.weight"], self.state[f"{name}.to_out.0.bias"])[0]

    def feed_forward(self, maps: torch.Tensor, name: str) -> torch.Tensor:
        hidden = conv2d(maps[None], self.state[f"{name}.net.0.weight"], self.state[f"{name}.net.0.bias"])
        hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
        return conv2d(hidden, self.state[f"{name}.net.3.weight"], self.state[f"{name}.net.3.bias"])[0]

    def __call__(self, log_mel: torch.Tensor) -> torch.Tensor:
        """(1, 64, n_frames) to the last stage's maps, (channels, 4, steps)."""
        maps = log_mel.double()
        for stage, (stride, padding) in enumerate([(4, 3), (2, 1), (2, 1)]):
            name = f"layers.{stage}"
            weight, bias = self.state[f"{name}.0.weight"], self.state[f"{name}.0.bias"]
            maps = self.norm(conv2d(maps[None], weight, bias, stride=stride, padding=padding)[0], f"{name}.1")
            for layer, apply in ((f"{name}.2.layers.0.0", self.attend), (f"{name}.2.layers.0.1", self.feed_forward)):
                maps = maps + apply(self.norm(maps, f"{layer}.norm"), f"{layer}.fn")
        return maps


@pytest.mark.parametrize("n_frames", [1, 45])
def test_both_forms_agree_with_the_plain_implementation(n_frames: int) -> None:
    log_mel = make_noise(1, 64, n_frames)
    with torch.inference_mode():
        maps = Plain(make_cvt_state())(log_mel)
        assert maps.shape == (256, 4, math.ceil(n_frames / 16))
        by_row = [maps[:, row].mean(dim=1) + maps[:, row].max(dim=1).values for row in range(4)]
        for pooling, expected in {"mean": maps.mean(dim=(1, 2)), "mean+max": torch.cat(by_row)}.items():
            network = encoder(pooling)
            for result in (network(log_mel[None]), FrozenCvt(network)(log_mel[None], [n_frames])):
                torch.testing.assert_close(result[0].double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_is_exact_for_every_remainder_of_the_strides(pooling: str) -> None:
    assert_padding_changes_nothing(FrozenCvt(encoder(pooling)), range(1, 50), rtol=1e-5, atol=1e-5)


def test_freezing_leaves_a_network_in_training_as_it_is() -> None:
    network, before = encoder().train(), make_cvt_state()
    FrozenCvt(network)
    assert all(each.training for each in network.modules()) and all(each.requires_grad for each in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_another_encoder_and_another_size_are_refused_and_its_own_is_normalised(tmp_path: Path) -> None:
    byol, small = tmp_path / "byol.pth", tmp_path / "small.pth"
    torch.save(make_byol_state(), byol)
    torch.save(make_cvt_state(), small)
    with one_line(r"byol\.pth has no tensors layers.*not a BYOL-S/CvT encoder", CheckpointError):
        CvtExtractor(byol)
    with one_line(r"256 numbers \(stages 64/128/256, pooling mean\), the model has 512", CheckpointError):
        CvtExtractor(small, embedding_size=512)
    extractor, waveform = CvtExtractor(small), 0.1 * make_noise(8_000)
    normalised = (extractor.prepare(waveform) - extractor.statistics.mean) / extractor.statistics.std
    with torch.inference_mode():
        expected = encoder()(normalised[None, None])
    torch.testing.assert_close(extractor.embed([waveform]), expected, rtol=1e-5, atol=1e-5)
