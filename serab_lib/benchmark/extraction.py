"""Embeddings of a whole corpus, with the log-mel statistics that belong to it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from serab_lib.benchmark.embeddings import Progress, extract, measure_statistics
from serab_lib.core import SerabError, cache_folder, hash_files
from serab_lib.corpora.corpus import Corpus
from serab_lib.corpora.splits import find_training
from serab_lib.extractors.base import Extractor, Statistics, StatisticsExtractor


def set_statistics(
    extractor: Extractor, corpus: Corpus, *, n_jobs: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Give an extractor the log-mel statistics of a corpus: the published ones, or measured on train.

    Parameters
    ----------
    extractor : Extractor
        Changed in place, if it is one that normalises its input.
    corpus : Corpus
    n_jobs : int
    progress : callable, optional

    Returns
    -------
    dict
        For the provenance: the statistics and where they come from; empty for other extractors.

    Notes
    -----
    One pair per task and window, whatever the protocol, so that both share their embeddings. The release has constants
    for the paper's nine tasks, which hold for its window of 400 samples; for other corpora, and other windows, they are
    measured on the training speakers of the described split.
    """
    if not isinstance(extractor, StatisticsExtractor):
        return {}
    if published := corpus.find_statistics(extractor.window_samples):
        extractor.with_statistics(Statistics(*published))
        source = "published"
    else:
        train = list(corpus.utterances["path"][find_training(corpus.utterances, corpus.task)])
        extractor.with_statistics(measure_statistics(train, extractor, n_jobs=n_jobs, progress=progress))
        source = "measured on the training speakers of the described split"
    return {"log_mel_statistics": dataclasses.asdict(extractor.statistics) | {"source": source}}


def extract_corpus(
    corpus: Corpus, extractor: Extractor, *, n_jobs: int | None = None, progress: Progress | None = None
) -> np.ndarray:
    """Extract one vector per utterance of a corpus.

    Parameters
    ----------
    corpus : Corpus
    extractor : Extractor
    n_jobs : int, optional
        Workers; one per core if None.
    progress : callable, optional

    Returns
    -------
    np.ndarray [shape=(n_utterances, embedding_size)]
        float32, in the order of `corpus.utterances`. Cached by content in the user's cache folder.

    Raises
    ------
    SerabError
        If a file cannot be used.
    """
    paths, cache = list(corpus.utterances["path"]), cache_folder()
    set_statistics(extractor, corpus, n_jobs=n_jobs or 1, progress=progress)
    made = extract(paths, hash_files(paths, cache=cache), extractor, cache=cache, n_jobs=n_jobs, progress=progress)
    for reason in made.unusable.values():
        raise SerabError(reason)
    return made.matrix
