import re
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile
import torch
from making import make_noise, one_line
from torch.torch_version import TorchVersion

from serab_lib.audio import AudioError, decode, import_torchaudio, log_mel, resample

torchaudio = import_torchaudio()
KAISER_BEST = {"lowpass_filter_width": 64, "rolloff": 0.9475937167399596, "beta": 14.769656459379492}


def test_decode_divides_16_bit_by_32767_and_averages_channels(tmp_path):
    samples = np.array([32767, -32768, 0, 1], dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    waveform, rate = decode(tmp_path / "a.wav")
    assert (rate, waveform.dtype) == (16_000, torch.float32)
    np.testing.assert_array_equal(waveform, samples.astype(np.float32) / np.float32(32767))
    soundfile.write(tmp_path / "b.wav", np.tile([0.5, -0.25], (100, 1)), 44_100, subtype="FLOAT")
    torch.testing.assert_close(decode(tmp_path / "b.wav")[0], torch.full((100,), 0.125))


@pytest.mark.parametrize(
    ("suffix", "samples", "n_bytes"),
    [
        ("wav", make_noise(1_000), 30),
        ("flac", make_noise(48_000) / 8, 50_000),
        ("wav", torch.zeros(0), None),
        ("wav", torch.full((1_000,), torch.nan), None),
    ],
    ids=["no audio", "cut off", "empty", "not finite"],
)
def test_unusable_files_are_named_in_one_line(tmp_path, suffix, samples, n_bytes):
    path = tmp_path / f"utterance.{suffix}"
    soundfile.write(path, samples.numpy(), 16_000, subtype="FLOAT" if suffix == "wav" else None)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with one_line(rf"{re.escape(str(path))}.*(replace the file|fetch the file again)", AudioError):
        decode(path)


@pytest.mark.parametrize("rate", [48_000, 44_100, 11_025, 8_000])
def test_resample_equals_torchaudio(rate):
    waveform = make_noise(rate // 2 + 7) / 4
    options = KAISER_BEST | {"resampling_method": "sinc_interp_kaiser"}
    expected = torchaudio.functional.resample(waveform.double(), rate, 16_000, **options)
    torch.testing.assert_close(resample(waveform, rate).double(), expected, atol=2e-6, rtol=0)


def test_resample_takes_rates_without_a_large_divisor():
    """Such a pair has too many phases for torchaudio's matrix; the low tone must come through."""
    tone, expected = (torch.sin(2 * torch.pi * 440 * torch.arange(n).double() / n).float() for n in (15_999, 16_000))
    torch.testing.assert_close(resample(tone, 15_999)[500:-500], expected[500:-500], atol=1e-4, rtol=0)


@pytest.mark.parametrize("window_samples", [400, 1024])
def test_log_mel_equals_torchaudio(window_samples):
    options = {"f_min": 60.0, "f_max": 7800.0, "n_mels": 64, "power": 2}
    transform = torchaudio.transforms.MelSpectrogram(16_000, 1024, window_samples, 160, **options)
    waveform = make_noise(20_000) / 4
    expected = (transform(waveform) + torch.finfo(torch.float32).eps).log()
    torch.testing.assert_close(log_mel(waveform, window_samples=window_samples), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("n_samples", [1, 512, 513, 160_000])
def test_log_mel_takes_any_length(n_samples):
    spectrogram = log_mel(torch.zeros(n_samples))
    assert spectrogram.shape == (64, 1 + max(n_samples, 513) // 160)
    assert spectrogram.isfinite().all()


BROKEN = """
import sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "torchaudio._extension":
            raise {}("Detected that PyTorch and TorchAudio were compiled with different CUDA versions.")
sys.meta_path.insert(0, Finder())
import torch
from serab_lib.audio import log_mel
from serab_lib.extractors.ssl import build_network
print(log_mel(torch.ones(1600)).mean(), build_network("HUBERT_BASE"))
"""


@pytest.mark.skipif(torchaudio.__version__ < TorchVersion("2.11"), reason="before 2.11 it asks for the torch that fits")
@pytest.mark.parametrize("error", ["RuntimeError", pytest.param("OSError", marks=pytest.mark.nightly)])
def test_torchaudio_works_without_the_extension_that_does_not_fit_torch(error):
    done = subprocess.run([sys.executable, "-c", BROKEN.format(error)], capture_output=True, text=True)
    assert f"tensor({log_mel(torch.ones(1600)).mean():.4f}) Wav2Vec2Model" in done.stdout, done.stderr


def test_a_torchaudio_that_does_not_load_is_one_line(monkeypatch):
    broken = OSError("Could not load this library: libtorchaudio.so\nundefined symbol: torch_library_impl")
    monkeypatch.setitem(sys.modules, "torchaudio._extension", Mock())
    monkeypatch.setattr("importlib.import_module", Mock(side_effect=broken))
    with one_line(r"torchaudio 2\S+ .* torch 2\S+ .*torch_library_impl\): pip install --upgrade torchaudio"):
        import_torchaudio()
