"""The extractors by name. To add one: a class, and a line in `EXTRACTORS`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from serab_lib.checkpoints import CHECKPOINTS, find_checkpoint, require_checkpoint
from serab_lib.errors import SerabError, unknown_name

if TYPE_CHECKING:
    import torch

    from serab_lib.extractors.base import Extractor


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One extractor as the command line and the tables know it.

    Attributes
    ----------
    name, title : str
        On the command line, and in tables.
    family : str
        Class that implements it, as `module:Class` below `serab_lib.extractors`.
    embedding_size, n_parameters : int
        Held against the instantiated network by a test.
    licence : str
        Of the weights, or of the tool where there are none.
    options : mapping
        Keyword arguments of the class.
    paper_row : str or None
        The row of the paper's accuracy grid, or None where the paper has none.
    """

    name: str
    title: str
    family: str
    embedding_size: int
    n_parameters: int
    licence: str
    sample_rate: int = 16_000
    options: Mapping[str, object] = field(default_factory=dict)
    paper_row: str | None = None

    @property
    def needs_weights(self) -> bool:
        """Whether a checkpoint must be at hand."""
        return self.name in CHECKPOINTS

    def weights_state(self, weights: str | Path | None = None) -> str:
        """Say whether the weights are there: `at hand`, `missing` or `none needed`."""
        if not self.needs_weights:
            return "none needed"
        return "at hand" if find_checkpoint(self.name, weights) else "missing"


def _byol(letter: str, embedding_size: int, n_parameters: int, window_samples: int) -> Entry:
    name = f"byol-{letter}-{embedding_size}"
    return Entry(
        name=name,
        title=f"BYOL-{letter.upper()}, {embedding_size}",
        family="byol:ByolExtractor",
        embedding_size=embedding_size,
        n_parameters=n_parameters,
        licence=CHECKPOINTS[name].licence,
        options={"window_samples": window_samples, "embedding_size": embedding_size},
        paper_row=f"BYOL-{letter.upper()}, {embedding_size}",
    )


_ENTRIES = (
    Entry(
        name="logmel-stats",
        title="Log-mel statistics",
        family="logmel_stats:LogMelStats",
        embedding_size=128,
        n_parameters=0,
        licence="MIT",
    ),
    Entry(
        name="opensmile",
        title="openSMILE",
        family="opensmile:OpenSmile",
        embedding_size=6373,
        n_parameters=0,
        licence="audEERING research licence, non-commercial",
        paper_row="openSMILE",
    ),
    _byol("a", 512, 600_192, 1024),
    _byol("a", 1024, 1_649_792, 1024),
    _byol("a", 2048, 5_321_856, 1024),
    _byol("s", 512, 600_192, 400),
    _byol("s", 1024, 1_649_792, 400),
    _byol("s", 2048, 5_321_856, 400),
)

EXTRACTORS: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def get_entry(name: str) -> Entry:
    """Look an extractor up by its name, case-insensitively.

    Parameters
    ----------
    name : str
        A name in `EXTRACTORS`, or `path:FILE` for a checkpoint of one's own with BYOL-A's tensor names.

    Raises
    ------
    UnknownNameError
        Naming the nearest known ones.
    """
    if name.startswith("path:"):
        return _entry_of_file(name)
    if name.casefold() not in EXTRACTORS:
        raise unknown_name("extractor", name, EXTRACTORS, listing="serab models")
    return EXTRACTORS[name.casefold()]


def _entry_of_file(name: str) -> Entry:
    from serab_lib.checkpoints import read_state_dict

    path = Path(name.removeprefix("path:"))
    state = read_state_dict(path)
    width = len(state["fc.3.weight"]) if "fc.3.weight" in state else 0
    return Entry(
        name=f"path-{path.stem}",
        title=path.stem,
        family="byol:ByolExtractor",
        embedding_size=width,
        n_parameters=sum(tensor.numel() for tensor in state.values()),
        licence="the user's own",
        options={"checkpoint": str(path)},
    )


def load_extractor(
    name: str, *, weights: str | Path | None = None, device: str | torch.device = "cpu"
) -> Extractor:
    """Load an extractor by its name.

    Parameters
    ----------
    name : str
        As in `serab models`, or `path:FILE`.
    weights : str or Path, optional
        Folder of checkpoints; SERAB_WEIGHTS or the user's cache folder if None.
    device : str or torch.device

    Returns
    -------
    Extractor
        Frozen, on the device.

    Raises
    ------
    SerabError
        If the name is unknown, or the weights are missing or not the released ones.

    Examples
    --------
    >>> import torch
    >>> extractor = load_extractor("logmel-stats")
    >>> extractor.embed([torch.zeros(16_000)]).shape
    torch.Size([1, 128])
    """
    entry = get_entry(name)
    options = dict(entry.options)
    if entry.needs_weights:
        options["checkpoint"] = require_checkpoint(entry.name, weights)
    module, class_name = entry.family.split(":")
    family = getattr(importlib.import_module(f"serab_lib.extractors.{module}"), class_name)
    extractor = family(**options)
    extractor.name, extractor.title = entry.name, entry.title
    return extractor.to(_available(device))


def _available(device: str | torch.device) -> torch.device:
    import torch

    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise SerabError(f"{device!r} is no device: choose cpu or cuda") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise SerabError("there is no CUDA device on this machine: choose --device cpu")
    return chosen
