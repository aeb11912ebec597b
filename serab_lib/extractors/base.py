"""What every extractor is: audio of any length in, one vector per utterance out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from serab_lib.corpora.task import TASKS


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation that a log-mel spectrogram is normalised with."""

    mean: float
    std: float


class Extractor(ABC):
    """A frozen feature extractor.

    A subclass sets the class attributes and writes `encode`, and `prepare` where there is work to do on
    one utterance at a time.

    Attributes
    ----------
    name : str
        The name on the command line.
    title : str
        The name in tables.
    sample_rate : int
        In Hz, of the waveforms that `prepare` and `embed` take.
    embedding_size : int
    n_parameters : int
        Weights of the network; 0 where nothing is learnt.
    licence : str
        Of the weights.
    fingerprint : str
        Changes whenever the vectors would, for the same statistics: it names the code's version, the weights and the
        settings. `serab_lib.extractors.registry.load_extractor` sets it.
    needs_processes : bool
        True where `prepare` holds Python's lock, so that threads would not run it in parallel.
    """

    name: str
    title: str
    sample_rate: int = 16_000
    embedding_size: int
    n_parameters: int = 0
    licence: str = ""
    fingerprint: str = "1"
    needs_processes: bool = False
    # Prepared frames (last axis) that one batch may hold. Small batches stay inside a CPU core's cache.
    batch_frames: ClassVar[dict[str, int]] = {"cpu": 800, "cuda": 100_000}

    def __init__(self) -> None:
        self.device = torch.device("cpu")

    def to(self, device: str | torch.device) -> Extractor:
        """Move the network to a device and return the extractor itself."""
        self.device = torch.device(device)
        if self.device.type == "cuda":
            # Convolutions in TF32 would differ from the CPU's by about 1e-3.
            torch.backends.cudnn.allow_tf32 = False
        return self

    def identify(self) -> list[str]:
        """Say in words, by which embeddings are kept on disk, all that the vectors depend on besides the audio."""
        return [self.fingerprint]

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Do the part of the work that concerns one utterance alone; safe in several threads.

        Parameters
        ----------
        waveform : torch.Tensor [shape=(n_samples,)]
            At `sample_rate`.

        Returns
        -------
        torch.Tensor [shape=(..., n_frames)]
        """
        return waveform

    @abstractmethod
    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Make the embeddings of one batch.

        Parameters
        ----------
        prepared : sequence of torch.Tensor
            What `prepare` returned, of any lengths.

        Returns
        -------
        torch.Tensor [shape=(len(prepared), embedding_size)]
            float32, on the CPU.
        """

    def embed(self, waveforms: Sequence[torch.Tensor]) -> torch.Tensor:
        """Make the embeddings of waveforms of any lengths.

        Parameters
        ----------
        waveforms : sequence of torch.Tensor [shape=(n_samples,)]
            At `sample_rate`, one channel.

        Returns
        -------
        torch.Tensor [shape=(len(waveforms), embedding_size)]
            float32. Each row is what its utterance would get alone.
        """
        prepared = [self.prepare(waveform) for waveform in waveforms]
        lengths = [tensor.shape[-1] for tensor in prepared]
        embeddings = torch.empty(len(prepared), self.embedding_size)
        with torch.inference_mode():
            for batch in length_sorted_batches(lengths, self.batch_frames[self.device.type]):
                embeddings[batch] = self.encode([prepared[i] for i in batch])
        return embeddings


class StatisticsExtractor(Extractor):
    """An extractor whose log-mel input is normalised with one mean and standard deviation per task.

    Parameters
    ----------
    window_samples : int
        Length of the mel window that the network was trained with, or that the release hears it through.
    """

    def __init__(self, window_samples: int = 400) -> None:
        super().__init__()
        self.window_samples = window_samples
        self.statistics = default_statistics()

    def with_statistics(self, statistics: Statistics) -> StatisticsExtractor:
        """Set the statistics that spectrograms are normalised with and return the extractor itself."""
        self.statistics = statistics
        return self

    def identify(self) -> list[str]:
        """Name the statistics, too."""
        return [*super().identify(), f"{self.statistics.mean:.6f} {self.statistics.std:.6f}"]

    def normalise(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Subtract the task's mean and divide by its standard deviation."""
        return (log_mel - self.statistics.mean) / self.statistics.std


def default_statistics() -> Statistics:
    """Mean of the pairs that the release hard-codes: for audio that belongs to no task."""
    pairs = [task.log_mel_statistics for task in TASKS.values() if task.log_mel_statistics]
    means, stds = zip(*pairs, strict=True)
    return Statistics(sum(means) / len(means), sum(stds) / len(stds))


def length_sorted_batches(lengths: Sequence[int], max_frames: int) -> list[list[int]]:
    """Group utterances of similar length.

    Parameters
    ----------
    lengths : sequence of int
    max_frames : int
        Upper bound of a batch's size times its longest length; a longer utterance gets a batch alone.

    Returns
    -------
    list of list of int
        Positions in `lengths`, longest first, so that memory peaks at the start.
    """
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


_SAMPLES_PER_STEP = 160


class WaveformExtractor(Extractor):
    """An extractor whose `prepare` returns waveforms, shape (n_samples,).

    Batches are counted in steps of 160 samples, about the frames of a log-mel spectrogram, so that
    `batch_frames` means the same in all families.
    """

    batch_frames: ClassVar[dict[str, int]] = {"cpu": 1500, "cuda": 20_000}

    def embed(self, waveforms: Sequence[torch.Tensor]) -> torch.Tensor:
        """Make the embeddings of waveforms of any lengths, shape (len(waveforms), embedding_size)."""
        prepared = [self.prepare(waveform) for waveform in waveforms]
        steps = [len(waveform) // _SAMPLES_PER_STEP for waveform in prepared]
        embeddings = torch.empty(len(prepared), self.embedding_size)
        with torch.inference_mode():
            for batch in length_sorted_batches(steps, self.batch_frames[self.device.type]):
                embeddings[batch] = self.encode([prepared[i] for i in batch])
        return embeddings
