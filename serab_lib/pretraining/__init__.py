"""Pre-training of BYOL-A, BYOL-S and BYOL-S/CvT encoders from audio files.

`pretrain` runs the whole recipe with the settings of a `PretrainConfig`; the modules hold its parts.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "PretrainConfig": "serab_lib.pretraining.config",
    "pretrain": "serab_lib.pretraining.train",
    "read_log": "serab_lib.pretraining.journal",
    "read_probe": "serab_lib.pretraining.journal",
}

__all__ = ["PretrainConfig", "pretrain", "read_log", "read_probe"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
