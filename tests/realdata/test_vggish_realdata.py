"""VGGish with its published weights, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from serab_lib.extractors.registry import EXTRACTORS, load_extractor
from serab_lib.extractors.weights import find_checkpoint

pytestmark = pytest.mark.realdata


def test_sine_gives_the_published_numbers(real_weights: Path) -> None:
    """Google's smoke test of VGGish: three seconds of 1 kHz, patches of mean 0.000657 and deviation 0.343."""
    if find_checkpoint(EXTRACTORS["vggish"], real_weights) is None:
        pytest.skip("SERAB_WEIGHTS holds no vggish-10086976.pth")
    extractor = load_extractor("vggish", weights=real_weights)
    sine = torch.sin(2 * torch.pi * 1000 * torch.arange(48_000) / 16_000)
    embeddings = extractor.network(extractor.prepare(sine).T.reshape(3, 1, 96, 64))
    assert float(embeddings.std()) == pytest.approx(0.343, rel=0.01)
    assert float(embeddings.mean()) == pytest.approx(0.000657, abs=0.003)
