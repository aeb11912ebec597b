"""What several tests make: a corpus of tones, a random checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch


def write_savee(data: Path, *, n_takes: int = 3, rate: int = 16_000) -> None:
    """Write a small SAVEE: seven classes told apart by pitch, four speakers by loudness."""
    generator = np.random.default_rng(0)
    folder = data / "savee"
    folder.mkdir(parents=True)
    for level, speaker in enumerate(("DC", "JE", "JK", "KL"), start=1):
        for pitch, emotion in enumerate(("a", "d", "f", "h", "n", "sa", "su"), start=2):
            for take in range(1, n_takes + 1):
                n_samples = int(rate * generator.uniform(0.3, 0.6))
                time = np.arange(n_samples) / rate
                tone = 0.1 * level * np.sin(2 * np.pi * 100 * pitch * generator.uniform(0.97, 1.03) * time)
                noise = 0.01 * generator.standard_normal(n_samples)
                soundfile.write(folder / f"{speaker}_{emotion}{take:02d}.wav", tone + noise, rate)


def make_byol_state(embedding_size: int = 512, *, seed: int = 0) -> dict[str, torch.Tensor]:
    """A random checkpoint with the released names; batch norm moved away from its neutral start."""
    from serab_lib.extractors.audio_ntt import AudioNTTEncoder

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = AudioNTTEncoder(embedding_size)
        for layer in encoder.features:
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.5, 0.5)
                layer.running_var.uniform_(0.5, 2.0)
                torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
                torch.nn.init.uniform_(layer.bias, -0.5, 0.5)
        return encoder.state_dict()
