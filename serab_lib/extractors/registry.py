"""The extractors, one entry each, and all that loads by a name. To add one: a class, and an entry here."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from serab_lib.core import SerabError, cache_folder, hash_files, unknown_name
from serab_lib.corpora.task import RELEASED_WINDOW_SAMPLES
from serab_lib.extractors.weights import CHECKPOINTS, find_checkpoint, released_name, require_checkpoint

if TYPE_CHECKING:
    import torch

    from serab_lib.extractors.base import Extractor


_AUDEERING_LICENCE = "audEERING research licence, non-commercial"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One extractor as the command line and the tables know it.

    Attributes
    ----------
    name, title : str
        On the command line, and in tables.
    family : str
        Class that implements it, as `module:Class` below `serab_lib.extractors`.
    embedding_size : int
    n_parameters : int or None
        Measured, and held against the instantiated network by a test; None where nobody has measured it.
    licence : str
        Of the weights, or of the tool where there are none.
    version : int
        Raised when a change to the class changes its vectors, so that nothing older is taken for current.
    options : mapping
        Keyword arguments of the class. `window_samples` is the mel window of those whose log-mel input is normalised.
    released_options : mapping
        Those of `options` that the release's code has otherwise.
    paper_row : str or None
        The row of the paper's accuracy grid, or None where the paper has none.
    n_layers : int
        Layers that can be read, the last by default; 0 where there is no choice.
    """

    name: str
    title: str
    family: str
    embedding_size: int
    n_parameters: int | None
    licence: str
    sample_rate: int = 16_000
    version: int = 1
    options: Mapping[str, object] = field(default_factory=dict)
    released_options: Mapping[str, object] = field(default_factory=dict)
    paper_row: str | None = None
    n_layers: int = 0

    @property
    def needs_weights(self) -> bool:
        """Whether a checkpoint must be at hand."""
        return released_name(self.name) in CHECKPOINTS

    def under(self, protocol: str) -> Entry:
        """The entry as a protocol has it: `released` hears NTT's checkpoints through the release's window."""
        if protocol != "released" or not self.released_options:
            return self
        return replace(self, options={**self.options, **self.released_options})

    def weights_state(self, weights: str | Path | None = None) -> str:
        """Say whether the weights are there: `at hand`, `missing` or `none needed`."""
        if not self.needs_weights:
            return "none needed"
        return "at hand" if find_checkpoint(self.name, weights) else "missing"


def _byol(letter: str, embedding_size: int, n_parameters: int) -> Entry:
    name = f"byol-{letter}-{embedding_size}"
    # NTT trained with 1,024; the release's one configuration, for all checkpoints, has 400 (its config.yaml).
    window_samples = {"a": 1024, "s": RELEASED_WINDOW_SAMPLES}[letter]
    return Entry(
        name=name,
        title=f"BYOL-{letter.upper()}, {embedding_size}",
        family="byol:ByolExtractor",
        embedding_size=embedding_size,
        n_parameters=n_parameters,
        licence=CHECKPOINTS[name][0].licence,
        options={"window_samples": window_samples, "embedding_size": embedding_size},
        released_options={"window_samples": RELEASED_WINDOW_SAMPLES},
        paper_row=f"BYOL-{letter.upper()}, {embedding_size}",
    )


def _cvt(embedding_size: int, n_parameters: int, pooling: str) -> Entry:
    name = f"byol-s-cvt-{embedding_size}"
    return Entry(
        name=name,
        title=f"BYOL-S/CvT, {embedding_size}",
        family="cvt:CvtExtractor",
        embedding_size=embedding_size,
        n_parameters=n_parameters,
        licence=CHECKPOINTS[name][0].licence,
        options={"pooling": pooling, "embedding_size": embedding_size, "window_samples": RELEASED_WINDOW_SAMPLES},
        paper_row=f"BYOL-S/CvT, {embedding_size}",
    )


def _ssl(name: str, title: str, bundle: str, n_parameters: int) -> Entry:
    is_base = "base" in name
    return Entry(
        name=name,
        title=title,
        family="ssl:SslExtractor",
        embedding_size=768 if is_base else 1024,
        n_parameters=n_parameters,
        licence=CHECKPOINTS[name][0].licence,
        options={"bundle": bundle},
        n_layers=12 if is_base else 24,
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
        name="byol-random-512",
        title="Random BYOL, 512",
        family="byol:ByolExtractor",
        embedding_size=512,
        n_parameters=600_192,
        licence="MIT",
        options={"checkpoint": None, "seed": 42, "window_samples": RELEASED_WINDOW_SAMPLES, "embedding_size": 512},
    ),
    Entry(
        name="egemaps",
        title="eGeMAPS",
        family="opensmile:OpenSmile",
        embedding_size=88,
        n_parameters=0,
        licence=_AUDEERING_LICENCE,
        options={"feature_set": "eGeMAPSv02"},
    ),
    Entry(
        name="opensmile",
        title="openSMILE",
        family="opensmile:OpenSmile",
        embedding_size=6373,
        n_parameters=0,
        licence=_AUDEERING_LICENCE,
        paper_row="openSMILE",
    ),
    Entry(
        name="vggish",
        title="VGGish",
        family="vggish:VggishExtractor",
        embedding_size=128,
        n_parameters=72_141_184,
        licence=CHECKPOINTS["vggish"][0].licence,
        paper_row="VGGish",
    ),
    Entry(
        name="yamnet",
        title="YAMNet",
        family="yamnet:YamnetExtractor",
        embedding_size=1024,
        n_parameters=3_195_456,
        licence=CHECKPOINTS["yamnet"][0].licence,
        paper_row="YAMNet",
    ),
    Entry(
        name="trill",
        title="TRILL, layer 19",
        family="trill:Trill",
        embedding_size=12_288,
        n_parameters=None,  # never measured; a loaded model counts its own
        licence=CHECKPOINTS["trill"][0].licence,
        paper_row="TRILL, layer 19",
    ),
    _byol("a", 512, 600_192),
    _byol("a", 1024, 1_649_792),
    _byol("a", 2048, 5_321_856),
    _byol("s", 512, 600_192),
    _byol("s", 1024, 1_649_792),
    _byol("s", 2048, 5_321_856),
    _cvt(256, 1_583_488, "mean"),
    _cvt(512, 5_012_992, "mean"),
    _cvt(2048, 5_012_992, "mean+max"),
    _ssl("wav2vec2-base", "wav2vec 2.0 base", "WAV2VEC2_BASE", 94_370_944),
    _ssl("wav2vec2-xlsr-53", "wav2vec 2.0 XLSR-53", "WAV2VEC2_XLSR53", 315_437_696),
    _ssl("wav2vec2-xls-r-300m", "wav2vec 2.0 XLS-R 300M", "WAV2VEC2_XLSR_300M", 315_437_696),
    _ssl("hubert-base", "HuBERT base", "HUBERT_BASE", 94_370_944),
    _ssl("hubert-large", "HuBERT large", "HUBERT_LARGE", 315_434_112),
    _ssl("wavlm-base-plus", "WavLM base+", "WAVLM_BASE_PLUS", 94_381_168),
    _ssl("wavlm-large", "WavLM large", "WAVLM_LARGE", 315_452_096),
)

EXTRACTORS: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def get_entry(name: str) -> Entry:
    """Look an extractor up by its name, case-insensitively.

    Parameters
    ----------
    name : str
        A name in `EXTRACTORS`; one of them with a layer, as `wavlm-large-layer-12`; `path:FILE` for a checkpoint
        of one's own with the tensor names of BYOL-A or BYOL-S/CvT; or `hear:MODULE` or `hear:MODULE@WEIGHTS` for
        any package with the HEAR API. A CvT's output is pooled by its mean, with `path:FILE:mean+max` by mean
        plus maximum.

    Raises
    ------
    UnknownNameError
        Naming the nearest known ones.
    CheckpointError
        If the file is no checkpoint.
    SerabError
        If there is no such layer or module.
    """
    if name.startswith("path:"):
        return _entry_of_file(name)
    if name.startswith("hear:"):
        return _entry_of_module(name)
    folded = name.casefold()
    layered = re.fullmatch(r"(.+)-layer-(\d+)", folded)
    if layered and layered[1] in EXTRACTORS:
        return _entry_of_layer(EXTRACTORS[layered[1]], int(layered[2]))
    if folded not in EXTRACTORS:
        raise unknown_name("extractor", name, EXTRACTORS, listing="serab models")
    return EXTRACTORS[folded]


def choose_layer(name: str, layer: int | None) -> str:
    """Name an extractor that reads a given layer.

    Parameters
    ----------
    name : str
    layer : int or None
        From 1; None for the name as it is.

    Returns
    -------
    str
        Such as `wavlm-large-layer-12`; the plain name for the last layer, which it reads anyway.

    Raises
    ------
    SerabError
        If the extractor has no such layer.
    """
    return name if layer is None else _entry_of_layer(get_entry(name), layer).name


def _entry_of_layer(entry: Entry, layer: int) -> Entry:
    if not entry.n_layers:
        layered = ", ".join(each.name for each in EXTRACTORS.values() if each.n_layers)
        raise SerabError(f"{entry.name} has no layers to choose from: leave the layer out, or take one of {layered}")
    if not 1 <= layer <= entry.n_layers:
        raise SerabError(f"{entry.name} has no layer {layer}: choose 1 to {entry.n_layers}")
    if layer == entry.n_layers:
        return entry
    return replace(
        entry,
        name=f"{entry.name}-layer-{layer}",
        title=f"{entry.title}, layer {layer}",
        options={**entry.options, "layer": layer},
        n_layers=0,
    )


def _entry_of_module(name: str) -> Entry:
    """Describe a guest. Its sizes are known once it is loaded: 0 until then."""
    from serab_lib.extractors.hear_guest import module_version

    module, _, weights = name.removeprefix("hear:").partition("@")
    options: dict[str, object] = {"module": module, "version": module_version(module)}
    if weights:
        options["checkpoint"] = weights
    label = f"{module}-{Path(weights).stem}" if weights else module
    return Entry(
        name=f"hear-{label}",
        title=f"{label} (HEAR)",
        family="hear_guest:HearGuest",
        embedding_size=0,
        n_parameters=0,
        licence=f"that of {module}",
        options=options,
    )


def _entry_of_file(name: str) -> Entry:
    from serab_lib.extractors.cvt import infer_widths
    from serab_lib.extractors.cvt_network import N_ROWS, POOLINGS
    from serab_lib.extractors.weights import CheckpointError, read_state_dict

    file, _, pooling = name.removeprefix("path:").rpartition(":")
    if pooling not in POOLINGS:
        file, pooling = name.removeprefix("path:"), ""
    path = Path(file)
    state = read_state_dict(path)
    widths = infer_widths(state)
    options: dict[str, object] = {"checkpoint": str(path), "window_samples": RELEASED_WINDOW_SAMPLES}
    if widths:
        options["pooling"] = pooling or "mean"
        embedding_size = widths[-1] * (N_ROWS if pooling == "mean+max" else 1)
    elif pooling:
        raise CheckpointError(f"{path} is no BYOL-S/CvT checkpoint, whose pooling can be chosen: leave out :{pooling}")
    else:
        embedding_size = len(state["fc.3.weight"]) if "fc.3.weight" in state else 0
    # The name tells results apart that differ in pooling alone.
    suffix = "-mean+max" if pooling == "mean+max" else ""
    return Entry(
        name=f"path-{path.stem}{suffix}",
        title=f"{path.stem}{suffix}",
        family="cvt:CvtExtractor" if widths else "byol:ByolExtractor",
        embedding_size=embedding_size,
        n_parameters=sum(
            tensor.numel() for each, tensor in state.items() if "running_" not in each and "num_batches" not in each
        ),
        licence="the user's own",
        options=options,
    )


def hash_weights(entry: Entry, weights: str | Path | None = None, *, cache: Path | None = None) -> str:
    """Hash the files of an extractor's weights, verified; `none` where there are none.

    Raises
    ------
    CheckpointError
        If they are missing or are not the released ones.
    """
    file = require_checkpoint(entry.name, weights) if entry.needs_weights else entry.options.get("checkpoint")
    files = [Path(str(file))] if file else []
    if files and files[0].is_dir():
        files = sorted(path for path in files[0].rglob("*") if path.is_file())
    return " ".join(hash_files([str(path) for path in files], cache=cache or cache_folder())) or "none"


def identify(entry: Entry, weights: str) -> str:
    """Say in a line all that an extractor's vectors depend on besides the audio and its log-mel statistics.

    Parameters
    ----------
    entry : Entry
    weights : str
        As from `hash_weights`.
    """
    options = sorted((name, str(value)) for name, value in entry.options.items() if name != "checkpoint")
    settings = ", ".join(f"{name} {value}" for name, value in options)
    return f"{entry.family} {entry.version}, {settings or 'no options'}, weights {weights}"


def load_extractor(
    name: str | Entry, *, weights: str | Path | None = None, device: str | torch.device = "cpu"
) -> Extractor:
    """Load an extractor by its name.

    Parameters
    ----------
    name : str
        As in `serab models`, or another that `get_entry` takes.
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
    entry = name if isinstance(name, Entry) else get_entry(name)
    options = dict(entry.options)
    if entry.needs_weights:
        options["checkpoint"] = require_checkpoint(entry.name, weights)
    module, class_name = entry.family.split(":")
    family = getattr(importlib.import_module(f"serab_lib.extractors.{module}"), class_name)
    extractor = family(**options)
    extractor.name, extractor.title = entry.name, entry.title
    extractor.fingerprint = identify(entry, hash_weights(entry, weights))
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
