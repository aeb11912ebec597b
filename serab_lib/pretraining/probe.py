"""How good a representation is while it is being learnt: logistic regression on a small labelled corpus."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression

from serab_lib.audio import load_audio, log_mel
from serab_lib.core import Progress
from serab_lib.corpora.corpus import load_task
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import get_task
from serab_lib.evaluation.protocol import normalise_speakers
from serab_lib.extractors.base import Statistics
from serab_lib.extractors.cvt import CvtEncoder
from serab_lib.extractors.registry import load_extractor
from serab_lib.pretraining.run import write_encoder


class Probe:
    """A task's training and validation utterances, ready to be embedded again and again; no test speaker is heard."""

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
        self.utterances = utterances[utterances["part"] != "test"]
        self.is_train = (self.utterances["part"] == "train").to_numpy()
        self.waveforms: list[torch.Tensor] = []
        with ThreadPoolExecutor(n_jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for waveform in pool.map(load_audio, self.utterances["path"]):
                self.waveforms.append(waveform)
                if progress:
                    progress(f"audio of {self.task.title}", len(self.waveforms), len(self.utterances))
        train = [log_mel(each) for each, own in zip(self.waveforms, self.is_train, strict=True) if own]
        mean, std = (
            float(torch.stack(each).mean()) for each in zip(*((x.mean(), x.std()) for x in train), strict=True)
        )
        self.statistics = Statistics(mean, std)

    def measure(self, encoder: torch.nn.Module) -> float:
        """Validation accuracy of logistic regression (C = 1, classes weighted alike) on an encoder's embeddings."""
        pooling = f":{encoder.pooling}" if isinstance(encoder, CvtEncoder) else ""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "encoder.pth"
            write_encoder(file, encoder)
            extractor = load_extractor(f"path:{file}{pooling}", device=self.device).with_statistics(self.statistics)
        embeddings = extractor.embed(self.waveforms).double().numpy()
        X = normalise_speakers(embeddings, self.utterances["group"], self.utterances["part"])
        y = self.utterances["emotion"].to_numpy(dtype=str)
        model = LogisticRegression(class_weight="balanced", max_iter=10_000)
        return float(model.fit(X[self.is_train], y[self.is_train]).score(X[~self.is_train], y[~self.is_train]))
