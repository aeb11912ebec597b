"""What every extractor is: audio of any length in, one vector per utterance out; and a check that it keeps to that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import nn
from torch.nn.functional import pad

from serab_lib.audio import log_mel
from serab_lib.core import SerabError
from serab_lib.corpora.task import RELEASED_WINDOW_SAMPLES, TASKS


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation that a log-mel spectrogram is normalised with."""

    mean: float
    std: float


class Extractor:
    """A frozen feature extractor.

    A subclass sets the class attributes and writes `prepare`, for work on one utterance at a time, `encode`, or both.
    `check_extractor` says whether it keeps to what is promised here.

    Attributes
    ----------
    sample_rate : int
        In Hz, of the waveforms that `prepare` and `embed` take.
    n_parameters : int
        Weights of the network; 0 where nothing is learnt.
    fingerprint : str
        Changes whenever the vectors would, for the same statistics; set, as the names are, by `load_extractor`.
    network : torch.nn.Module or None
        What `to` moves to a device.
    needs_processes : bool
        True where `prepare` holds Python's lock, so that threads would not run it in parallel.
    """

    name: str = ""
    title: str = ""
    sample_rate: int = 16_000
    embedding_size: int
    n_parameters: int = 0
    fingerprint: str = "1"
    network: nn.Module | None = None
    device: torch.device = torch.device("cpu")
    needs_processes: bool = False
    # Prepared frames that one batch may hold. Small batches stay inside a CPU core's cache.
    batch_frames: ClassVar[dict[str, int]] = {"cpu": 800, "gpu": 100_000}
    # Steps of what `prepare` returns (along its last axis) that are counted as one frame.
    steps_per_frame: ClassVar[int] = 1

    @property
    def max_frames(self) -> int:
        """How many prepared frames one batch may hold on the extractor's device."""
        return self.batch_frames["cpu" if self.device.type == "cpu" else "gpu"]

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device and return the extractor itself."""
        self.device = torch.device(device)
        if self.device.type == "cuda":
            # Convolutions in TF32 would differ from the CPU's by about 1e-3.
            torch.backends.cudnn.allow_tf32 = False
        if self.network is not None:
            self.network.to(self.device)
        return self

    def identify(self) -> list[str]:
        """Say in words, by which embeddings are kept on disk, all that the vectors depend on besides the audio."""
        return [self.fingerprint]

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Do what concerns one utterance alone, from (n_samples,) to (..., n_steps); safe in several threads."""
        return waveform

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed a batch of what `prepare` returned, of any lengths: (n, embedding_size), float32, on the CPU.

        As it is, for an extractor whose `prepare` makes embeddings, of shape (embedding_size, 1).
        """
        return torch.stack([embedding[:, 0] for embedding in prepared])

    def embed(self, waveforms: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed waveforms of any lengths, (n_samples,) each: (n, embedding_size), each row as if it were alone."""
        prepared = [self.prepare(waveform) for waveform in waveforms]
        n_frames = [tensor.shape[-1] // self.steps_per_frame for tensor in prepared]
        embeddings = torch.empty(len(prepared), self.embedding_size)
        with torch.inference_mode():
            for batch in length_sorted_batches(n_frames, self.max_frames):
                embeddings[batch] = self.encode([prepared[i] for i in batch])
        return embeddings


class WaveformExtractor(Extractor):
    """An extractor whose `prepare` returns waveforms, shape (n_samples,)."""

    batch_frames: ClassVar[dict[str, int]] = {"cpu": 1500, "gpu": 20_000}
    # The hop of a log-mel spectrogram, so that `batch_frames` means the same in all families.
    steps_per_frame: ClassVar[int] = 160


class StatisticsExtractor(Extractor):
    """An extractor whose log-mel input is normalised with one mean and standard deviation per task."""

    # Fewer than the strides of the network need are followed by zeros.
    min_frames: ClassVar[int] = 1

    def __init__(self, window_samples: int = RELEASED_WINDOW_SAMPLES) -> None:
        self.window_samples = window_samples
        self.statistics = default_statistics()

    def with_statistics(self, statistics: Statistics) -> Self:
        """Set the statistics that spectrograms are normalised with and return the extractor itself."""
        self.statistics = statistics
        return self

    def identify(self) -> list[str]:
        """Name the statistics, too."""
        return [*super().identify(), f"{self.statistics.mean:.6f} {self.statistics.std:.6f}"]

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Log-mel spectrogram, not yet normalised, shape (64, n_frames)."""
        return log_mel(waveform, window_samples=self.window_samples)

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed a batch of log-mel spectrograms, normalised: (len(prepared), embedding_size)."""
        normalised = [((spectrogram - self.statistics.mean) / self.statistics.std)[None] for spectrogram in prepared]
        padded = [pad(each, (0, max(0, self.min_frames - each.shape[-1]))) for each in normalised]
        return self.network(pad_batch(padded, self.device), [each.shape[-1] for each in padded]).cpu()


def default_statistics() -> Statistics:
    """Mean of the pairs that the release hard-codes: for audio that belongs to no task."""
    pairs = [task.log_mel_statistics for task in TASKS.values() if task.log_mel_statistics]
    means, stds = zip(*pairs, strict=True)
    return Statistics(sum(means) / len(means), sum(stds) / len(stds))


def length_sorted_batches(lengths: Sequence[int], max_frames: int) -> list[list[int]]:
    """Group positions by length, longest first; size times longest length within the bound, or a size of one."""
    batches: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= max_frames:
            batches[-1].append(position)
        else:
            batches.append([position])
    return batches


def pad_batch(prepared: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
    """Stack tensors of different last axes, zero past each one's end."""
    n_frames = max(tensor.shape[-1] for tensor in prepared)
    padded = prepared[0].new_zeros(len(prepared), *prepared[0].shape[:-1], n_frames)
    for row, tensor in zip(padded, prepared, strict=True):
        row[..., : tensor.shape[-1]] = tensor
    return padded.to(device)


def count_parameters(network: nn.Module) -> int:
    """Count the weights of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def check_extractor(extractor: Extractor, other: Extractor | None = None, *, longest_s: float = 60.0) -> None:
    """Hold an extractor to what `Extractor` promises; with `other`, the same with other weights, its identity, too.

    Parameters
    ----------
    extractor, other : Extractor
        Of this library or of one's own.
    longest_s : float
        Duration in seconds of the longest waveform that is tried.

    Raises
    ------
    SerabError
        Naming the promise that is broken: vectors of the right shape and type, the same alone as in a batch and on the
        next call, finite on silence, short, clipped and long audio, and moving with the weights as the identity does.
    """
    rate, generator = extractor.sample_rate, torch.Generator().manual_seed(0)
    waveforms = [0.1 * torch.randn(int(rate * s), generator=generator) for s in (1.0, 0.27, 2.0, 1.5, 0.1)]
    before = [waveform.clone() for waveform in waveforms]
    together = extractor.embed(waveforms)
    expected = (len(waveforms), extractor.embedding_size)
    if together.shape != expected or together.dtype != torch.float32:
        got = f"{together.dtype} of shape {tuple(together.shape)}"
        raise _broken(extractor, f"gives {got}, expected {torch.float32} of shape {expected}")
    if not together.isfinite().all():
        raise _broken(extractor, "gives numbers that are not finite for noise of 0.1 to 2 s")
    if not all(torch.equal(*pair) for pair in zip(waveforms, before, strict=True)):
        raise _broken(extractor, "changes the audio that it is given: copy it first")
    if not torch.equal(extractor.embed(waveforms), together):
        raise _broken(extractor, "gives other vectors on the next call: draw no random numbers, and call eval()")
    alone = torch.cat([extractor.embed([waveform]) for waveform in waveforms])
    if ((together - alone).abs().amax(dim=1) > 1e-4 * alone.abs().amax(dim=1)).any():
        raise _broken(extractor, "gives an utterance another vector in a batch than alone: mask what was padded")
    tone = torch.sin(torch.arange(int(rate * longest_s)) / 10)
    odd = {
        "silence": torch.zeros(rate),
        "0.1 s of silence": torch.zeros(rate // 10),
        "full scale": torch.ones(rate),
        "clipped audio": (3 * tone[:rate]).clamp(-1, 1),
        f"{longest_s:g} s of audio": tone,
    }
    for what, waveform in odd.items():
        if not extractor.embed([waveform]).isfinite().all():
            raise _broken(extractor, f"gives numbers that are not finite for {what}")
    if other is not None and torch.equal(other.embed(waveforms), together):
        raise _broken(extractor, "gives the same vectors with other weights: they are not used")
    if other is not None and other.identify() == extractor.identify():
        raise _broken(extractor, "has one identity for two sets of weights: load it by `load_extractor`")


def _broken(extractor: Extractor, what: str) -> SerabError:
    return SerabError(f"{extractor.name or type(extractor).__name__} {what}")
