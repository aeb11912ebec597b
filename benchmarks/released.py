"""The released procedure, written plainly: one utterance at a time, nothing shared, nothing folded."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from scipy.signal.windows import kaiser

from serab_lib.audio import import_torchaudio
from serab_lib.extractors.byol import AudioNTTEncoder
from serab_lib.extractors.weights import load_into, read_state_dict

try:
    import resampy
except ImportError:
    resampy = None

torchaudio = import_torchaudio()
# "kaiser best" as it was in 2021; resampy has changed it since.
N_ZEROS, ROLLOFF, BETA = 64, 0.9475937167399596, 14.769656459379492


@functools.cache
def make_filter(**_: Any) -> tuple:
    """The filter in resampy's form."""
    return resampy.filters.sinc_window(
        N_ZEROS, precision=9, window=functools.partial(kaiser, beta=BETA), rolloff=ROLLOFF
    )


def load(path: str) -> torch.Tensor:
    """Decode, mix down and resample to 16 kHz with "kaiser best".

    The release calls librosa, and that resampy; where resampy is not installed, torchaudio's equal filter stands
    in, which is faster.
    """
    samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    waveform = torch.from_numpy((samples.astype(np.float32) / 32767).mean(axis=1))
    if rate == 16_000:
        return waveform
    if resampy is not None:
        return torch.from_numpy(resampy.resample(waveform.numpy(), rate, 16_000, filter=make_filter))
    return torchaudio.functional.resample(
        waveform,
        rate,
        16_000,
        lowpass_filter_width=N_ZEROS,
        rolloff=ROLLOFF,
        resampling_method="sinc_interp_kaiser",
        beta=BETA,
    )


def embed_byol(paths: Sequence[str], checkpoint: Path, mean: float, std: float) -> np.ndarray:
    """BYOL-S embeddings, shape (n, d)."""
    state = read_state_dict(checkpoint)
    network = AudioNTTEncoder(len(state["fc.3.weight"]))
    load_into(network, state, source=checkpoint)
    network.eval()
    to_mel = torchaudio.transforms.MelSpectrogram(
        sample_rate=16_000, n_fft=1024, win_length=400, hop_length=160, n_mels=64, f_min=60, f_max=7800
    )
    embeddings = []
    for path in paths:
        log_mel = (to_mel(load(path)[None]) + torch.finfo(torch.float32).eps).log()
        with torch.no_grad():
            embeddings.append(network(((log_mel - mean) / std)[None]).numpy()[0])
    return np.stack(embeddings)


def embed_opensmile(paths: Sequence[str]) -> np.ndarray:
    """ComParE 2016 functionals, shape (n, 6373)."""
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.Functionals)
    return np.stack([smile.process_signal(load(path).numpy(), 16_000).to_numpy()[0] for path in paths])
