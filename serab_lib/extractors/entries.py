"""The extractors, one entry each. To add one: a class, and an entry here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from serab_lib.corpora.task import RELEASED_WINDOW_SAMPLES
from serab_lib.extractors.checkpoints import CHECKPOINTS, find_checkpoint, released_name

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
