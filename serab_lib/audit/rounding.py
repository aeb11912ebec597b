"""How far an accuracy moves when the audio changes by less than a step of its 16 bits.

A file in 16 bits is one of many signals that round to it. Which of them the authors' code heard cannot be known: it
resamples in floating point and stores nothing, while a copy on disk has been rounded.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from serab_lib.audit.corpora import FULL_SCALE
from serab_lib.corpus import Corpus
from serab_lib.embeddings import extract
from serab_lib.errors import SerabError
from serab_lib.evaluation.classifiers import CLASSIFIERS, fit_classifier
from serab_lib.evaluation.metrics import accuracy
from serab_lib.evaluation.protocol import Problem, select
from serab_lib.extraction import set_statistics
from serab_lib.extractors.base import Extractor
from serab_lib.fingerprints import hash_files
from serab_lib.splits import split

STEP = 1 / FULL_SCALE
# A recording is silent where no sample within half a millisecond reaches one step.
_NEIGHBOURS = 8
# What counts as the paper's number, in points.
NEAR_POINTS = 2


def unround(waveform: torch.Tensor, rng: np.random.Generator | int = 0) -> torch.Tensor:
    """Draw one of the signals that a recording in 16 bits may have been rounded from.

    Parameters
    ----------
    waveform : torch.Tensor [shape=(n_samples,)]
    rng : numpy.random.Generator or int
        A generator, or a seed.

    Returns
    -------
    torch.Tensor [shape=(n_samples,)]
        Up to half a step away at each sample, uniformly; the same where the recording is silent, since the silence
        of an edited recording is digital.
    """
    rng = np.random.default_rng(rng)
    fraction = torch.from_numpy(rng.uniform(-0.5, 0.5, len(waveform)).astype(np.float32))
    loudest = functional.max_pool1d(waveform.abs()[None], 2 * _NEIGHBOURS + 1, stride=1, padding=_NEIGHBOURS)[0]
    return waveform + fraction * STEP * (loudest > STEP / 2)


class Unrounded(Extractor):
    """An extractor that hears each recording as one of the signals it may have been rounded from.

    Parameters
    ----------
    extractor : Extractor
        With its statistics set.
    seed : int
        Which of them; the same for the same recording.
    """

    def __init__(self, extractor: Extractor, seed: int) -> None:
        super().__init__()
        self.extractor, self.seed = extractor, seed
        self.device, self.batch_frames = extractor.device, extractor.batch_frames  # type: ignore[misc]
        for name in ("name", "title", "sample_rate", "embedding_size", "n_parameters", "licence", "needs_processes"):
            setattr(self, name, getattr(extractor, name))

    def identify(self) -> list[str]:
        """Name the extractor and the draw."""
        return [*self.extractor.identify(), f"unrounded {self.seed}"]

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Prepare another signal that rounds to the same."""
        rng = np.random.default_rng([self.seed, zlib.crc32(waveform.numpy().tobytes())])
        return self.extractor.prepare(unround(waveform, rng))

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Make the embeddings of one batch, as the extractor does."""
        return self.extractor.encode(prepared)


def measure_rounding(
    corpus: Corpus,
    extractor: Extractor,
    *,
    cache: Path,
    n_draws: int = 20,
    protocol: str = "released",
    classifiers: Sequence[str] = CLASSIFIERS,
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Evaluate one cell on signals that round to the same recordings.

    Parameters
    ----------
    corpus : Corpus
    extractor : Extractor
    cache : Path
        Folder of embeddings.
    n_draws : int
        Signals per recording, besides the recording itself.
    protocol : str
        Whose split and groups.
    classifiers : sequence of str
        Some of the five.
    n_jobs : int, optional
        Workers for extraction; one per core if None.
    progress : callable, optional
        Told how many signals are evaluated, the recording among them, and how many will be.

    Returns
    -------
    pandas.DataFrame
        One row per draw and classifier: `draw` (0 is the recording as it is), `classifier`, `validation_accuracy` and
        `test_accuracy` (0 to 1), and `best_params`.

    Raises
    ------
    SerabError
        If a file cannot be used.
    """
    parts = split(corpus.utterances, corpus.task, protocol)
    paths = list(parts["path"])
    hashes = hash_files(paths, cache=cache)
    set_statistics(extractor, corpus, n_jobs=n_jobs or 1)
    truth = parts.loc[parts["part"] == "test", "emotion"].to_numpy(dtype=str)
    rows = []
    for draw in range(1 + n_draws):
        made = extract(paths, hashes, Unrounded(extractor, draw) if draw else extractor, cache=cache, n_jobs=n_jobs)
        if made.unusable:
            raise SerabError(next(iter(made.unusable.values())))
        problem = Problem(made.matrix, parts, corpus.task.classes).parts()
        for name in classifiers:
            fitted = fit_classifier(name, *problem)
            guessed = np.array(corpus.task.classes)[fitted.predictions]
            rows.append((draw, name, fitted.validation_accuracy, accuracy(truth, guessed), fitted.best_params))
        if progress:
            progress(1 + draw, 1 + n_draws)
    return pd.DataFrame(rows, columns=["draw", "classifier", "validation_accuracy", "test_accuracy", "best_params"])


def report_draws(rounding: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Take from each draw what a protocol would report.

    Parameters
    ----------
    rounding : pandas.DataFrame
        As from `measure_rounding`, with `task` and `model`.
    protocol : str

    Returns
    -------
    pandas.DataFrame
        `task`, `model`, `draw`, `setting` (classifier, of an SVM its kernel too), `test_accuracy`.
    """
    rows = []
    for (task, model, draw), scores in rounding.groupby(["task", "model", "draw"], sort=False):
        best = scores.set_index("classifier").loc[select(scores, protocol)]
        rows.append((task, model, draw, _name_setting(str(best.name), best["best_params"]), best["test_accuracy"]))
    return pd.DataFrame(rows, columns=["task", "model", "draw", "setting", "test_accuracy"])


def describe_draws(reported: pd.DataFrame, printed: Mapping[str, float]) -> str:
    """Say how far each model's accuracy moves, and how the paper's lies to it.

    Parameters
    ----------
    reported : pandas.DataFrame
        As from `report_draws`, of one task.
    printed : mapping
        Model to the paper's accuracy, percent, where it has one.

    Returns
    -------
    str
        Markdown, one line per model.
    """
    lines = []
    for model, own in reported.groupby("model", sort=False):
        accuracy_pct = 100 * own.set_index("draw")["test_accuracy"]
        drawn = accuracy_pct.drop(0)
        line = f"- `{model}`: {accuracy_pct[0]:.1f} % as stored, {drawn.min():.1f} to {drawn.max():.1f} % else"
        if model in printed:
            near = int(((drawn - printed[model]).abs().round(1) <= NEAR_POINTS).sum())
            line += f"; {near} of {len(drawn)} within {NEAR_POINTS} points of the printed {printed[model]:.1f}"
        lines.append(f"{line}.")
    return "\n".join(lines)


def _name_setting(classifier: str, params: dict[str, object]) -> str:
    return f"{classifier}, {params['kernel']}" if "kernel" in params else classifier
