"""The CvT against what the released network made of the same inputs, with the same random weights."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from serab_lib.extractors.base import pad_batch
from serab_lib.extractors.cvt import CvtEncoder, FrozenCvt
from serab_lib.extractors.weights import load_into, read_state_dict

N_FRAMES = (96, 173, 370)


FILES = ("cvt_small_random.pth", "cvt_small_reference.npz")


def find_reference() -> tuple[Path, Path] | None:
    """The two files in SERAB_REFERENCE, or in the folder `reference` beside SERAB_WEIGHTS's."""
    weights = os.environ.get("SERAB_WEIGHTS")
    folder = os.environ.get("SERAB_REFERENCE") or (weights and Path(weights).resolve().parent / "reference")
    files = tuple(Path(folder) / file for file in FILES) if folder else ()
    return files if files and all(file.is_file() for file in files) else None


pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(
        find_reference() is None,
        reason=f"neither SERAB_REFERENCE nor `reference` beside SERAB_WEIGHTS is a folder with {' and '.join(FILES)}",
    ),
]


@pytest.mark.parametrize(("pooling", "key"), [("mean", "mean"), ("mean+max", "meanmax")])
def test_both_forms_agree_with_the_released_network(pooling: str, key: str) -> None:
    weights, vectors = find_reference()
    encoder = CvtEncoder(pooling=pooling)
    load_into(encoder, read_state_dict(weights), source=weights)
    frozen = FrozenCvt(encoder.eval())
    with np.load(vectors) as content:
        inputs = [torch.from_numpy(content[f"input_{n}"]) for n in N_FRAMES]
        expected = torch.cat([torch.from_numpy(content[f"{key}_{n}"]) for n in N_FRAMES])
    with torch.inference_mode():
        trained_form = torch.cat([encoder(each) for each in inputs])
        alone = torch.cat([frozen(each, [each.shape[-1]]) for each in inputs])
        batch = frozen(pad_batch([each[0] for each in inputs], torch.device("cpu")), N_FRAMES)
    for result in (trained_form, alone, batch):
        assert (result - expected).abs().max() < 1e-5
