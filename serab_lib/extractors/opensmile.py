"""openSMILE: the ComParE 2016 functionals, 6,373 hand-crafted features."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from serab_lib.extractors.base import Extractor

if TYPE_CHECKING:
    import opensmile

# The wrapper multiplies by 32,768 and converts to 16 bits without clipping.
_LARGEST_SAMPLE = 32767 / 32768
# openSMILE answers NaN for anything shorter than its longest analysis window.
_MIN_SAMPLES = 1600


@functools.cache
def _smile() -> opensmile.Smile:
    import opensmile

    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.ComParE_2016, feature_level=opensmile.FeatureLevel.Functionals
    )


class OpenSmile(Extractor):
    """ComParE 2016 functionals of the 16 kHz signal.

    Notes
    -----
    openSMILE's Python wrapper turns a sample of exactly 1.0, which dividing 16-bit audio by 32,767 makes
    of full scale, into the most negative value: a click that the release has. Here such samples are
    clipped instead. Utterances shorter than 0.1 s are padded with silence to 0.1 s. Features that
    openSMILE cannot compute (NaN or infinite) are 0.
    """

    embedding_size = 6373
    licence = "audEERING research licence, non-commercial"
    needs_processes = True

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Functionals of one utterance, shape (6373, 1)."""
        waveform = functional.pad(waveform, (0, max(0, _MIN_SAMPLES - len(waveform))))
        signal = waveform.clamp(-1.0, _LARGEST_SAMPLE).numpy()
        features = _smile().process_signal(signal, self.sample_rate).to_numpy(dtype=np.float32)[0]
        return torch.from_numpy(np.nan_to_num(features, nan=0.0, posinf=0.0, neginf=0.0))[:, None]

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Stack the functionals of a batch, shape (len(prepared), 6373)."""
        return torch.stack([tensor[:, 0] for tensor in prepared])
