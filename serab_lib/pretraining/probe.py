"""How good a representation is while it is being learnt: logistic regression on a small labelled corpus."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from serab_lib.audio import AudioError, load_audio, log_mel
from serab_lib.core import SerabError
from serab_lib.corpora.corpus import load_task
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import get_task
from serab_lib.evaluation.classifiers import fit_classifier
from serab_lib.evaluation.protocol import normalise_speakers
from serab_lib.extractors.base import Statistics, length_sorted_batches
from serab_lib.extractors.cvt_network import CvtEncoder
from serab_lib.extractors.registry import load_extractor
from serab_lib.pretraining.checkpoint import write_encoder

Progress = Callable[[str, int, int], None]


class Probe:
    """A task's training and validation utterances, ready to be embedded again and again.

    Parameters
    ----------
    task : str
        Code or name.
    data : str or Path, optional
        Folder of the corpora; see `serab_lib.corpora.corpus.find_corpus`.
    device : str or torch.device
    n_jobs : int, optional
        Threads; one per core if None.
    progress : callable, optional

    Raises
    ------
    SerabError
        If the corpus is not there or cannot be split.

    Notes
    -----
    Split by true speakers. The test part is not touched, so that nothing chosen by the probe has seen it. The
    spectrograms are held in memory, 26 kB for a second of audio.
    """

    def __init__(
        self,
        task: str,
        data: str | Path | None = None,
        *,
        device: str | torch.device = "cpu",
        n_jobs: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.task, self.device = get_task(task), device
        utterances = split(load_task(self.task, data), self.task, "described")
        utterances = utterances[utterances["part"] != "test"].reset_index(drop=True)
        self.log_mels: list[torch.Tensor] = []
        kept = []
        with ThreadPoolExecutor(n_jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for position, spectrogram in enumerate(pool.map(_load, utterances["path"])):
                if spectrogram is not None:
                    kept.append(position)
                    self.log_mels.append(spectrogram)
                if progress:
                    progress(f"spectrograms of {self.task.title}", position + 1, len(utterances))
        self.utterances = utterances.iloc[kept].reset_index(drop=True)
        train = self.utterances["part"] == "train"
        if not train.any() or train.all():
            raise SerabError(f"the probe cannot decode {self.task.title}: run `serab check {self.task.name}`")
        moments = [(x.mean(), x.std()) for x, own in zip(self.log_mels, train, strict=True) if own]
        self.statistics = Statistics(*(float(torch.stack(values).mean()) for values in zip(*moments, strict=True)))

    def measure(self, encoder: torch.nn.Module) -> float:
        """Measure an encoder.

        Parameters
        ----------
        encoder : AudioNTTEncoder or CvtEncoder
            In any mode; it is not changed.

        Returns
        -------
        float
            Share of the validation utterances that logistic regression (C = 1, classes weighted alike), fitted
            on the training utterances' embeddings, gets right; embeddings are normalised by speaker.
        """
        embeddings = self._embed(encoder)
        rows = self.utterances
        features = normalise_speakers(embeddings.numpy(), rows["group"], rows["part"])
        train = (rows["part"] == "train").to_numpy()
        labels = rows["emotion"].to_numpy(dtype=str)
        X, y, held_out = features[train], labels[train], features[~train]
        # The refit on both parts predicts the validation part's first row, and is not looked at.
        return fit_classifier("LR", X, y, held_out, labels[~train], held_out[:1], search=False).validation_accuracy

    def _embed(self, encoder: torch.nn.Module) -> torch.Tensor:
        pooling = f":{encoder.pooling}" if isinstance(encoder, CvtEncoder) else ""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "encoder.pth"
            write_encoder(file, encoder)
            extractor = load_extractor(f"path:{file}{pooling}", device=self.device).with_statistics(self.statistics)
        lengths = [spectrogram.shape[-1] for spectrogram in self.log_mels]
        embeddings = torch.empty(len(lengths), extractor.embedding_size)
        with torch.inference_mode():
            for batch in length_sorted_batches(lengths, extractor.batch_frames[extractor.device.type]):
                embeddings[batch] = extractor.encode([self.log_mels[i] for i in batch])
        return embeddings.clone()


def _load(path: str) -> torch.Tensor | None:
    try:
        return log_mel(load_audio(path))
    except AudioError:
        return None
