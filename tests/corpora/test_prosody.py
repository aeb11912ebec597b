import dataclasses

import numpy as np
import pytest
from scipy import signal

from serab_lib.corpora.espeak import RATE_HZ, Request, speak
from serab_lib.corpora.prosody import SPEECH, colour, make_voice, plan_delivery
from serab_lib.corpora.task import TASKS, Demo

TEXTS = ("The kitchen window is open again", "The box is for you", "He left the umbrella on the bench")


def make_demo(**changes: float) -> Demo:
    return dataclasses.replace(TASKS["EMB"].demo, **{"strength": 1, "noise": 0, "weakened": 0} | changes)


def measure(emotion: str, sex: str) -> np.ndarray:
    """Median fundamental frequency (Hz), duration (s) and level (rms) of three sentences."""
    rng, voice = np.random.default_rng(1), make_voice(sex, 0, np.random.default_rng(5))
    deliveries = [plan_delivery(emotion, voice, make_demo(), rng) for _ in TEXTS]
    requests = [
        Request(text + rule.ending, f"en-us+{voice.variant}", settings)
        for text, (settings, rule) in zip(TEXTS, deliveries, strict=True)
    ]
    rows = []
    for spoken, (_, rule) in zip(speak(requests), deliveries, strict=True):
        samples = np.frombuffer(spoken, dtype=np.int16) / 32768
        waveform = colour(samples, rule, voice, rng, rate_hz=RATE_HZ)
        rows.append((estimate_f0(waveform), len(samples) / RATE_HZ, np.std(waveform)))
    return np.mean(rows, axis=0)


def estimate_f0(waveform: np.ndarray) -> float:
    """Median over the loud frames of the highest peak of the autocorrelation between 60 and 400 Hz."""
    waveform = signal.lfilter(*signal.butter(2, 900, fs=RATE_HZ), waveform)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 1024)[::256]
    frames = frames[frames.std(axis=1) > np.quantile(frames.std(axis=1), 0.6)]
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 4096)) ** 2)
    lags = np.arange(RATE_HZ // 400, RATE_HZ // 60)
    return float(np.median(RATE_HZ / lags[correlation[:, lags].argmax(axis=1)]))


@pytest.mark.parametrize("sex", ["female", "male"])
def test_rules_act_in_the_published_direction(sex):
    pytest.importorskip("espeakng_loader", reason="needs the extra [demo]")
    f0, duration, level = np.array([measure(e, sex) for e in ("anger", "sadness", "fear", "neutral")]).T
    anger, sadness, fear, neutral = range(4)
    assert level[anger] > 1.5 * level[neutral] > 1.5 * level[sadness]
    assert duration[anger] < duration[neutral] < duration[sadness]
    assert f0[fear] > 1.2 * f0[neutral] > 1.2 * f0[sadness]
    assert f0[anger] > f0[sadness]


def test_difficulty_weakens_and_blurs_within_espeaks_ranges():
    voice = make_voice("female", 0, np.random.default_rng(0))

    def volumes(emotion: str, **difficulty: float) -> list[int]:
        rng = np.random.default_rng(1)
        return [plan_delivery(emotion, voice, make_demo(**difficulty), rng)[0]["volume"] for _ in range(200)]

    assert np.std(volumes("neutral")) == 0 < np.std(volumes("neutral", noise=0.1))
    changes = ({"weakened": 1}, {"strength": 0.5}, {})
    means = [np.mean(volumes("neutral")), *(np.mean(volumes("anger", **change)) for change in changes)]
    assert means == sorted(set(means))
    rng, demo = np.random.default_rng(0), make_demo(strength=3, noise=0.5)
    ranges = {"words_per_minute": (80, 450), "volume": (0, 200), "pitch": (0, 99), "pitch_range": (0, 99)}
    for emotion in 100 * sorted(SPEECH.rules):
        settings, _ = plan_delivery(emotion, make_voice("male", 0, rng), demo, rng, intensity=1.3)
        assert all(low <= settings[name] <= high for name, (low, high) in ranges.items())
