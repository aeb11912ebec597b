"""openSMILE: functionals, hand-crafted features of a whole utterance; ComParE 2016 (6,373) or eGeMAPS (88)."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
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
_SIZES = {"ComParE_2016": 6373, "eGeMAPSv02": 88}


@functools.cache
def _smile(feature_set: str) -> opensmile.Smile:
    import opensmile

    class Smile(opensmile.Smile):
        @property
        def default_config_root(self) -> str:
            return _find_ascii(super().default_config_root)

    return Smile(feature_set=opensmile.FeatureSet[feature_set], feature_level=opensmile.FeatureLevel.Functionals)


@functools.cache
def _find_ascii(folder: str) -> str:
    """A way to a folder in ASCII, which is all that openSMILE's wrapper takes: itself, or a link to it."""
    if folder.isascii():
        return folder
    link = os.path.join(tempfile.mkdtemp(prefix="serab-"), "config")
    os.symlink(folder, link)
    atexit.register(shutil.rmtree, os.path.dirname(link), ignore_errors=True)
    return link


class OpenSmile(Extractor):
    """Functionals of the 16 kHz signal: the paper's set, or the smaller one that is most used in the field."""

    needs_processes = True

    def __init__(self, feature_set: str = "ComParE_2016") -> None:
        self.feature_set, self.embedding_size = feature_set, _SIZES[feature_set]

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Functionals of one utterance, shape (embedding_size, 1)."""
        waveform = functional.pad(waveform, (0, max(0, _MIN_SAMPLES - len(waveform))))
        signal = waveform.clamp(-1.0, _LARGEST_SAMPLE).numpy()
        features = _smile(self.feature_set).process_signal(signal, self.sample_rate).to_numpy(dtype=np.float32)[0]
        return torch.from_numpy(np.nan_to_num(features, nan=0.0, posinf=0.0, neginf=0.0))[:, None]
