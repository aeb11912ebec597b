"""Libraries that only the statistics need."""

from __future__ import annotations

import importlib
from types import ModuleType

from serab_lib.core import SerabError

INSTALL_HINT = "pip install 'serab-companion[stats]'"


def require(module: str) -> ModuleType:
    """Import a library of the extra `stats`.

    Parameters
    ----------
    module : str
        Such as `statsmodels.stats.multitest`.

    Raises
    ------
    SerabError
        If it is not installed, naming the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SerabError(f"{module.split('.')[0]} is not installed: {INSTALL_HINT}") from error
