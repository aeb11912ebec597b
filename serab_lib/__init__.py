"""The SERAB benchmark for speech emotion recognition, recomputed.

`load_task` gives a corpus as a table, `load_extractor` a frozen feature extractor, `evaluate` the
accuracies of its embeddings. They are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "load_task": "serab_lib.corpora.corpus",
    "load_extractor": "serab_lib.extractors.registry",
    "check_extractor": "serab_lib.extractors.base",
    "evaluate": "serab_lib.evaluation.protocol",
    "split": "serab_lib.corpora.splits",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
