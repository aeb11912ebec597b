"""Pre-training of BYOL-A, BYOL-S and BYOL-S/CvT encoders from audio files.

`pretrain` runs the whole recipe with the settings of a `PretrainConfig`; the modules hold its parts.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"PretrainConfig": "config", "pretrain": "train", "read_log": "run", "read_probe": "run"}

__all__ = ["PretrainConfig", "pretrain", "read_log", "read_probe"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
