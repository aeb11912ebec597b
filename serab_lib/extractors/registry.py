"""The extractors by name, as `serab_lib/data/models.toml` describes them, and all that loads by a name."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serab_lib.core import SerabError, hash_file, read_toml, unknown_name
from serab_lib.corpora.task import RELEASED_WINDOW_SAMPLES
from serab_lib.extractors.weights import (
    Checkpoint,
    CheckpointError,
    find_checkpoint,
    read_state_dict,
    require_checkpoint,
)

if TYPE_CHECKING:
    import torch

    from serab_lib.extractors.base import Extractor


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One extractor as the command line and the tables know it; models.toml says what each field means."""

    name: str = ""
    title: str
    family: str
    embedding_size: int
    licence: str
    n_parameters: int | None = None
    licence_url: str = ""
    needs_consent: bool = False
    trained_on: str = ""
    trained_on_source: str = ""
    heard: tuple[str, ...] = ()
    notes: str = ""
    sample_rate: int = 16_000
    version: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    released_options: Mapping[str, Any] = field(default_factory=dict)
    released_frames: bool = False
    checkpoints: tuple[Checkpoint, ...] = ()
    own_checkpoint: Path | None = None
    n_layers: int = 0
    paper_row: str | None = None
    extra: str | None = None
    in_demo: bool = False

    def under(self, protocol: str) -> Entry:
        """The entry as a protocol has it: `released` hears NTT's checkpoints through the release's window."""
        if protocol != "released" or not self.released_options:
            return self
        return dataclasses.replace(self, options={**self.options, **self.released_options})

    def weights_state(self, weights: str | Path | None = None) -> str:
        """Say whether the weights are there: `at hand`, `missing` or `none needed`."""
        if not self.checkpoints:
            return "none needed"
        return "missing" if find_checkpoint(self, weights) is None else "at hand"


def read_entries(path: Path) -> dict[str, Entry]:
    """Read a file of extractors, a table each; an unknown or missing key, or a wrong kind, is named in one line."""
    tables = read_toml(path, dict[str, Entry])
    return {name: dataclasses.replace(entry, name=name) for name, entry in tables.items()}


EXTRACTORS = read_entries(Path(str(resources.files("serab_lib") / "data" / "models.toml")))


def get_entry(name: str) -> Entry:
    """Look an extractor up by its name, case-insensitively.

    Parameters
    ----------
    name : str
        A name in `EXTRACTORS`; one of them with a layer, as `wavlm-large-layer-12`; `path:FILE` for a checkpoint of
        one's own with the tensor names of BYOL-A or BYOL-S/CvT (which `path:FILE:mean+max` pools by mean plus maximum,
        not by the mean); or `hear:MODULE` or `hear:MODULE@WEIGHTS` for any package with the HEAR API.

    Raises
    ------
    SerabError
        If there is no such extractor, layer, checkpoint or module.
    """
    kind, _, rest = name.partition(":")
    if rest and kind in ("path", "hear"):
        return _entry_of_file(rest) if kind == "path" else _entry_of_module(rest)
    released, _, layer = name.casefold().partition("-layer-")
    if released not in EXTRACTORS or (layer and not layer.isdecimal()):
        raise unknown_name("extractor", name, EXTRACTORS, listing="serab models")
    return _entry_of_layer(EXTRACTORS[released], int(layer)) if layer else EXTRACTORS[released]


def choose_layer(name: str, layer: int | None) -> str:
    """Name an extractor that reads a layer, from 1: `wavlm-large-layer-12`; the plain name for None or the last."""
    return name if layer is None else _entry_of_layer(get_entry(name), layer).name


def _entry_of_layer(entry: Entry, layer: int) -> Entry:
    if not entry.n_layers:
        layered = ", ".join(each.name for each in EXTRACTORS.values() if each.n_layers)
        raise SerabError(f"{entry.name} has no layers to choose from: leave the layer out, or take one of {layered}")
    if not 1 <= layer <= entry.n_layers:
        raise SerabError(f"{entry.name} has no layer {layer}: choose 1 to {entry.n_layers}")
    if layer == entry.n_layers:
        return entry
    return dataclasses.replace(
        entry,
        name=f"{entry.name}-layer-{layer}",
        title=f"{entry.title}, layer {layer}",
        options={**entry.options, "layer": layer},
        n_layers=0,
    )


def _entry_of_module(name: str) -> Entry:
    """Describe a guest. Its sizes are known once it is loaded: 0 until then."""
    module, _, weights = name.partition("@")
    label = f"{module}-{Path(weights).stem}" if weights else module
    return Entry(
        name=f"hear-{label}",
        title=f"{label} (HEAR)",
        family="hear:HearGuest",
        embedding_size=0,
        licence=f"that of {module}",
        options={"module": module, "version": _version_of(module)},
        own_checkpoint=Path(weights) if weights else None,
    )


def _version_of(module: str) -> str:
    """Version of the distribution that a module is from; of one without, the hash of its file."""
    package = module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise SerabError(
            f"there is no module {module!r} to run as hear:{module}: install its package here, "
            "or name its folder in PYTHONPATH"
        )
    distributions = sorted(set(metadata.packages_distributions().get(package, [])))
    versions = [f"{name} {metadata.version(name)}" for name in distributions]
    return ", ".join(versions) or f"file {hash_file(str(spec.origin))}"


def _entry_of_file(name: str) -> Entry:
    """Describe a checkpoint of the user's own. Its sizes are known once it is loaded: 0 until then."""
    from serab_lib.extractors.cvt import POOLINGS, infer_widths

    file, _, pooling = name.rpartition(":")
    if pooling not in POOLINGS:
        file, pooling = name, ""
    path, options = Path(file), {"window_samples": RELEASED_WINDOW_SAMPLES}
    is_cvt = infer_widths(read_state_dict(path)) is not None
    if is_cvt:
        options["pooling"] = pooling or "mean"
    elif pooling:
        raise CheckpointError(f"{path} is no BYOL-S/CvT checkpoint, whose pooling can be chosen: leave out :{pooling}")
    # The name tells results apart that differ in pooling alone.
    label = f"{path.stem}-mean+max" if pooling == "mean+max" else path.stem
    return Entry(
        name=f"path-{label}",
        title=label,
        family="cvt:CvtExtractor" if is_cvt else "byol:ByolExtractor",
        embedding_size=0,
        licence="the user's own",
        options=options,
        own_checkpoint=path,
    )


def identify(entry: Entry, weights: str) -> str:
    """Say all that vectors depend on besides audio and log-mel statistics; weights by their content's hash."""
    settings = ", ".join(f"{name} {value}" for name, value in sorted(entry.options.items()))
    return f"{entry.family} {entry.version}, {settings or 'no options'}, weights {weights}"


def load_extractor(
    name: str | Entry, *, weights: str | Path | None = None, device: str | torch.device = "cpu"
) -> Extractor:
    """Load an extractor by its name, frozen, on a device.

    Parameters
    ----------
    name : str or Entry
        As in `serab models`, or another that `get_entry` takes.
    weights : str or Path, optional
        Folder of checkpoints; SERAB_WEIGHTS or the user's cache folder if None.
    device : str or torch.device

    Raises
    ------
    SerabError
        If the name is unknown, or the weights are missing or not the released ones.

    Examples
    --------
    >>> import torch
    >>> load_extractor("logmel-stats").embed([torch.zeros(16_000)]).shape
    torch.Size([1, 128])
    """
    entry = name if isinstance(name, Entry) else get_entry(name)
    checkpoint, content = require_checkpoint(entry, weights)
    module, class_name = entry.family.split(":")
    module = module if "." in module else f"serab_lib.extractors.{module}"
    family = getattr(importlib.import_module(module), class_name)
    extractor = family(**entry.options, **({"checkpoint": checkpoint} if checkpoint else {}))
    extractor.name, extractor.title, extractor.fingerprint = entry.name, entry.title, identify(entry, content)
    return extractor.to(find_device(device))


def find_device(device: str | torch.device) -> torch.device:
    """The device of a name, refused where torch finds none of its kind."""
    import torch

    kinds = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": torch.xpu}
    there = ["cpu", *(kind for kind, backend in kinds.items() if backend.is_available())]
    if str(device).partition(":")[0] not in there:
        raise SerabError(f"torch finds no device {str(device)!r} on this machine: choose --device {' or '.join(there)}")
    return torch.device(device)
