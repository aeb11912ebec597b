"""How a demo voice sounds angry, sad or afraid: published rules of emotional prosody, as numbers in ``data/demo.toml``.

The rules are multipliers on a speaker's neutral voice, set after

- F. Burkhardt, "Emofilt: the simulation of emotional speech by prosody-transformation", Interspeech 2005 (pitch,
  range, duration, jitter and tension per emotion);
- M. Schröder, "Emotional speech synthesis: a review", Eurospeech 2001 (the settings of earlier systems);
- P. N. Juslin and P. Laukka, "Communication of emotions in vocal expression and music performance", Psychological
  Bulletin 129(5), 2003 (cues that listeners use: tempo, level, high-frequency energy, pitch);
- I. R. Murray and J. L. Arnott, "Toward the simulation of emotion in synthetic speech: a review of the literature on
  human vocal emotion", JASA 93(2), 1993 (disgust: low, slow, grumbled).

That a classifier of emotion can learn from speech so synthesised was shown by B. Schuller and F. Burkhardt, "Learning
with synthesized speech for automatic emotion recognition", ICASSP 2010. It says nothing about people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import signal

from serab_lib.core import read_toml
from serab_lib.corpora.task import Demo

# Measured on eSpeak NG 1.52: a unit of its pitch adds this much to the natural logarithm of the mean fundamental
# frequency, and a unit of its pitch range as much as this fraction of a unit of pitch.
LOG_F0_PER_PITCH = 0.0102
PITCH_PER_RANGE = 0.22
NEUTRAL_RANGE = 50.0
NEUTRAL_VOLUME = 60.0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What an emotion does to a neutral voice.

    Multipliers on the mean and the spread (both in Hz) of the fundamental frequency, on the length and on the
    amplitude; a gain above 1.5 kHz (vocal effort, or the lack of it); the depth of a 6-8 Hz modulation of the
    fundamental frequency and of an irregular one of the amplitude (creak and jitter), and noise that follows the
    amplitude, as fractions of these; the punctuation, which chooses the intonation contour.
    """

    pitch: float = 1.0
    pitch_range: float = 1.0
    duration: float = 1.0
    loudness: float = 1.0
    brightness_db: float = 0.0
    tremor: float = 0.0
    roughness: float = 0.0
    breath: float = 0.0
    ending: str = "."


@dataclass(frozen=True, kw_only=True)
class Language:
    """The eSpeak NG voice of a language, and what it says."""

    voice: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Speech:
    """eSpeak NG's voice variants by sex, the rules by emotion, the languages by ISO 639-1 code."""

    variants: Mapping[str, tuple[str, ...]]
    rules: Mapping[str, Rule]
    languages: Mapping[str, Language]


SPEECH: Speech = read_toml(Path(__file__).parents[1] / "data" / "demo.toml", Speech)


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One speaker's neutral voice, and the microphone: gain, gain above 1.5 kHz, noise relative to full scale."""

    variant: str
    pitch: float
    words_per_minute: float
    level_db: float
    brightness_db: float
    floor_db: float


def make_voice(sex: str, number: int, rng: np.random.Generator) -> Voice:
    """Draw a speaker; `number` counts the corpus's speakers of that sex, so that neighbours get other variants."""
    variants = SPEECH.variants[sex]
    return Voice(
        variant=variants[number % len(variants)],
        pitch=rng.uniform(32, 48),
        words_per_minute=rng.uniform(165, 205),
        level_db=rng.uniform(-3, 3),
        brightness_db=rng.uniform(-2, 2),
        floor_db=rng.uniform(-66, -56),
    )


def plan_delivery(
    emotion: str, voice: Voice, demo: Demo, rng: np.random.Generator, *, intensity: float = 1.0
) -> tuple[dict[str, int], Rule]:
    """Say how one utterance is spoken: eSpeak NG's settings, and the rule as strong as it is here."""
    rule = SPEECH.rules[emotion]
    amount = demo.strength * intensity * (1 / 3 if rng.random() < demo.weakened else 1.0)

    def multiply(factor: float) -> float:
        return float(np.exp(amount * np.log(factor) + demo.noise * rng.standard_normal()))

    pitch_range = float(np.clip(NEUTRAL_RANGE * multiply(rule.pitch_range), 3, 99))
    pitch = voice.pitch + np.log(multiply(rule.pitch)) / LOG_F0_PER_PITCH
    pitch -= PITCH_PER_RANGE * (pitch_range - NEUTRAL_RANGE)
    settings = {
        "words_per_minute": round(float(np.clip(voice.words_per_minute / multiply(rule.duration), 90, 400))),
        "volume": round(float(np.clip(NEUTRAL_VOLUME * multiply(rule.loudness), 5, 200))),
        "pitch": round(float(np.clip(pitch, 0, 99))),
        "pitch_range": round(pitch_range),
    }
    return settings, replace(
        rule,
        brightness_db=amount * rule.brightness_db + 10 * demo.noise * rng.standard_normal(),
        tremor=amount * rule.tremor,
        roughness=amount * rule.roughness,
        breath=amount * rule.breath,
        ending=rule.ending if rng.random() < amount else ".",
    )


def colour(waveform: np.ndarray, rule: Rule, voice: Voice, rng: np.random.Generator, *, rate_hz: int) -> np.ndarray:
    """Add what eSpeak NG has no setting for: silence around, tremor, roughness, breath, brightness, a room's noise."""
    silences = rng.integers(rate_hz // 20, rate_hz // 5, size=2)
    waveform = np.pad(waveform.astype(np.float64), tuple(silences))
    n_samples = len(waveform)
    time_s = np.arange(n_samples) / rate_hz
    if rule.tremor > 0:
        omega = 2 * np.pi * rng.uniform(6, 8)
        # A delay of depth / omega makes the rate of the clock, and with it the pitch, swing by depth.
        warped_s = time_s + rule.tremor / omega * np.sin(omega * time_s + rng.uniform(0, 2 * np.pi))
        waveform = np.interp(warped_s, time_s, waveform)
    if rule.roughness > 0:
        nodes_s = np.arange(0, time_s[-1] + 0.03, 1 / 60)
        modulation = 1 + rule.roughness * rng.standard_normal(len(nodes_s))
        waveform = waveform * np.interp(time_s, nodes_s, np.maximum(modulation, 0.1))
    if rule.breath > 0:
        envelope = signal.lfilter(*signal.butter(1, 25, fs=rate_hz), np.abs(waveform))
        waveform = waveform + rule.breath * envelope * rng.standard_normal(n_samples)
    high = signal.lfilter(*signal.butter(1, 1500, "highpass", fs=rate_hz), waveform)
    brighter = waveform + (10 ** ((rule.brightness_db + voice.brightness_db) / 20) - 1) * high
    # Brightness is not loudness, which eSpeak NG has set already.
    level = np.sqrt(np.mean(waveform**2) / max(np.mean(brighter**2), 1e-12))
    waveform = 10 ** (voice.level_db / 20) * level * brighter
    waveform = waveform + 10 ** (voice.floor_db / 20) * rng.standard_normal(n_samples)
    return waveform / max(1.0, float(np.abs(waveform).max()) / 0.99)
