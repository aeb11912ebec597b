from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("seaborn", reason="the extra `book` is not installed")

from serab_lib.book.plots.pretraining import plot_augmentations, plot_gain, plot_probe, plot_training
from serab_lib.pretraining.augmentations import illustrate


def make_waveform(seed: int, n_samples: int = 20_000) -> torch.Tensor:
    return 0.1 * torch.randn(n_samples, generator=torch.Generator().manual_seed(seed))


def make_log() -> pd.DataFrame:
    steps = np.arange(1, 13)
    return pd.DataFrame(
        {
            "step": steps,
            "epoch": (steps + 3) // 4,
            "loss": 4 / steps,
            "embedding_std": 0.8,
            "projection_std": 0.7,
            "agreement": 0.9,
        }
    )


def test_figures_have_labels() -> None:
    probe = pd.DataFrame({"epoch": [0, 1], "task": "SAV", "validation_accuracy": [0.3, 0.4]})
    rows = [("random", 0.4, 0.35, 0.46), ("pretrained", 0.5, 0.45, 0.55)]
    gain = pd.DataFrame(rows, columns=["condition", "accuracy", "low", "high"]).assign(model="byol-s-512", seed=1)
    figures = [
        plot_augmentations(*illustrate(make_waveform(0), make_waveform(1))),
        plot_training(make_log()),
        plot_training({"predictor": make_log(), "none": make_log()}),
        plot_probe(probe),
        plot_gain(gain),
    ]
    for figure in figures:
        figure.draw_without_rendering()
        drawn = [axis for axis in figure.axes if axis.get_images() or axis.lines]
        assert drawn
        assert any(axis.get_xlabel() for axis in drawn)
        assert any(axis.get_ylabel() for axis in drawn)
