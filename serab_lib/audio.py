"""From a file on disk to a log-mel spectrogram: decode, mix down, resample, transform.

All of it works on one utterance and is safe to call from several threads at once.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import os
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile
import torch
from scipy import signal
from torch.nn import functional

from serab_lib.core import SerabError, explain_no_audio, printable

SAMPLE_RATE_HZ = 16_000
N_MELS = 64

# "Kaiser best", the window that the release resamples with.
_ZERO_CROSSINGS = 64
_ROLLOFF = 0.9475937167399596
_KAISER_BETA = 14.769656459379492
# Output samples computed by one column of the resampling product. Any multiple of the reduced target
# rate gives the same samples; 32 was the fastest for 48 kHz to 16 kHz.
_OUTPUTS_PER_BLOCK = 32
# Above this many phases (rates that share no large divisor) the product's matrix would be huge, and a
# sparse polyphase filter takes over.
_MAX_PHASES = 1000


class AudioError(SerabError):
    """A file that holds no usable audio."""


def decode(path: str | Path) -> tuple[torch.Tensor, int]:
    """Read a .wav, .flac, .mp3 or .ogg file: its samples, float32 of shape (n_samples,), and its rate in Hz.

    As in the release, 16-bit samples are divided by 32,767, so that positive full scale is 1, and the channels of a
    stereo file are averaged. AudioError if the file cannot be decoded, is cut off, or holds no samples or ones that are
    not finite.
    """
    try:
        # As bytes: some corpora come with folder names that are not valid UTF-8.
        with soundfile.SoundFile(os.fsencode(path)) as file:
            sample_rate, n_promised = file.samplerate, file.frames
            if file.subtype == "PCM_16":
                samples = file.read(dtype="int16", always_2d=True).astype(np.float32) / np.float32(32767)
            else:
                samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        if what := explain_no_audio(path):
            raise AudioError(f"{printable(path)} is {what}") from error
        reason = str(error).split(": ", 1)[-1].strip().rstrip(".") or type(error).__name__
        raise AudioError(f"{printable(path)} cannot be decoded ({reason}): replace the file or leave it out") from error
    if len(samples) == 0:
        raise AudioError(f"{printable(path)} holds no samples: replace the file or leave it out")
    if len(samples) < n_promised:
        explain_no_audio(path)
        raise AudioError(
            f"{printable(path)} is cut off ({len(samples)} of {n_promised} samples decode): fetch the file again"
        )
    if not np.isfinite(samples).all():
        raise AudioError(f"{printable(path)} holds samples that are not finite: replace the file or leave it out")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    return torch.from_numpy(mono), sample_rate


def _windowed_sinc(time: np.ndarray) -> np.ndarray:
    """Kaiser-windowed sinc at times given in zero crossings."""
    time = time.clip(-_ZERO_CROSSINGS, _ZERO_CROSSINGS)
    window = np.i0(_KAISER_BETA * np.sqrt(1 - (time / _ZERO_CROSSINGS) ** 2)) / np.i0(_KAISER_BETA)
    return np.sinc(time) * window


@functools.lru_cache(maxsize=16)
def _block_kernel(n_in: int, n_out: int) -> tuple[torch.Tensor, int]:
    """Kernels (n_out, 1, n_taps) that make n_out samples of n_in, and the padding on the left."""
    cutoff = min(n_in, n_out) * _ROLLOFF
    width = math.ceil(_ZERO_CROSSINGS * n_in / cutoff)
    taps = np.arange(-width, width + n_in) / n_in
    kernel = _windowed_sinc((taps[None, :] - np.arange(n_out)[:, None] / n_out) * cutoff) * cutoff / n_in
    return torch.from_numpy(kernel.astype(np.float32))[:, None, :], width


def _resample_sparsely(waveform: torch.Tensor, n_in: int, n_out: int) -> torch.Tensor:
    """Apply the same filter phase by phase, for rates with too many phases for one matrix."""
    cutoff = min(n_in, n_out) * _ROLLOFF
    width = math.ceil(_ZERO_CROSSINGS * n_in * n_out / cutoff)
    prototype = _windowed_sinc(np.arange(-width, width + 1) * cutoff / (n_in * n_out)) * cutoff / (n_in * n_out)
    return torch.from_numpy(signal.resample_poly(waveform.numpy(), n_out, n_in, window=prototype.astype(np.float32)))


def resample(waveform: torch.Tensor, rate: int, target_rate: int = SAMPLE_RATE_HZ) -> torch.Tensor:
    """Resample a waveform (n_samples,) between rates in Hz with a Kaiser-windowed sinc ("kaiser best").

    The filter is torchaudio's `sinc_interp_kaiser` with 64 zero crossings, roll-off 0.9475937167399596 and beta
    14.769656459379492, which are those of librosa's and resampy's "kaiser_best" of 2021, the release's resampler. It is
    evaluated in blocks of outputs, as a matrix product.
    """
    if rate == target_rate:
        return waveform
    n_samples = math.ceil(len(waveform) * target_rate / rate)
    divisor = math.gcd(rate, target_rate)
    n_in, n_out = rate // divisor, target_rate // divisor
    if n_out > _MAX_PHASES:
        return _resample_sparsely(waveform, n_in, n_out)[:n_samples]
    n_repeats = max(1, _OUTPUTS_PER_BLOCK // n_out)
    kernel, width = _block_kernel(n_in * n_repeats, n_out * n_repeats)
    padded = functional.pad(waveform[None, None], (width, width + n_in * n_repeats))
    blocks = functional.conv1d(padded, kernel, stride=n_in * n_repeats)  # (1, n_outputs, n_blocks)
    return blocks[0].T.reshape(-1)[:n_samples]


def load_audio(path: str | Path, *, sample_rate: int = SAMPLE_RATE_HZ) -> torch.Tensor:
    """Decode a file, mix it down and resample it: float32, shape (n_samples,)."""
    waveform, rate = decode(path)
    return resample(waveform, rate, sample_rate)


def import_torchaudio() -> ModuleType:
    """Load torchaudio; without its compiled extension, which nothing here needs, where that does not load.

    From 2.11 on its packages do not say which torch and which CUDA they were built for.
    """
    reasons = (AttributeError, ImportError, OSError, RuntimeError)
    with contextlib.suppress(*reasons):
        return importlib.import_module("torchaudio")
    extension = ModuleType("torchaudio._extension")
    vars(extension).update(_IS_TORCHAUDIO_EXT_AVAILABLE=False, fail_if_no_align=lambda function: function)
    sys.modules[extension.__name__] = extension
    try:
        return importlib.import_module("torchaudio")
    except reasons as error:
        versions = f"torchaudio {metadata.version('torchaudio')} does not load beside torch {torch.__version__}"
        raise SerabError(f"{versions} ({str(error).splitlines()[-1]}): pip install --upgrade torchaudio") from error


@functools.lru_cache(maxsize=8)
def _mel_transform(window_samples: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Hann window, padded to the FFT length by torch, and the mel filter bank (513, 64)."""
    melscale_fbanks = import_torchaudio().functional.melscale_fbanks
    bank = melscale_fbanks(513, 60.0, 7800.0, N_MELS, SAMPLE_RATE_HZ, norm=None, mel_scale="htk")
    return torch.hann_window(window_samples).to(device), bank.to(device)


def log_mel(waveform: torch.Tensor, *, window_samples: int = 400) -> torch.Tensor:
    """Log-mel spectrogram of the BYOL-A family: (..., n_samples) at 16 kHz to (..., 64, 1 + n_samples // 160).

    64 HTK mel bands from 60 to 7,800 Hz, FFT of 1,024 samples, hop 160, as in the release's configuration; log(mel
    power + float32 epsilon). The Hann window has 400 samples (25 ms) for the SERAB checkpoints, 1,024 for NTT's BYOL-A
    ones. What is shorter than half an FFT window is first padded with silence to 513 samples.
    """
    shortfall = 513 - waveform.shape[-1]
    if shortfall > 0:
        waveform = functional.pad(waveform, (0, shortfall))
    window, bank = _mel_transform(window_samples, waveform.device)
    spectrum = torch.stft(waveform, 1024, hop_length=160, win_length=window_samples, window=window, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()  # (..., 513, n_frames)
    return torch.log(bank.T @ power + torch.finfo(torch.float32).eps)
