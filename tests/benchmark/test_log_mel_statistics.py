"""Which log-mel statistics a corpus is normalised with: the published ones for the real corpus and the release's window
alone, else those of the training speakers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from making import write_savee

from serab_lib.benchmark.embeddings import extract_corpus, measure_statistics
from serab_lib.corpora.corpus import MARKER, find_corpus
from serab_lib.corpora.splits import split
from serab_lib.extractors.registry import load_extractor


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_savee(tmp_path, n_takes=1)
    return tmp_path


def make_synthetic(data: Path) -> None:
    files = {path.name: "" for path in (data / "savee").iterdir()}
    (data / "savee" / MARKER).write_text(json.dumps({"generator": 1, "seed": 0, "files": files}))


def test_published_statistics_hold_for_the_real_corpus_and_the_releases_window(data: Path) -> None:
    assert find_corpus("SAV", data).find_statistics(400) == (-7.3621, 4.7177)
    assert find_corpus("SAV", data).find_statistics(1024) is None
    make_synthetic(data)
    assert find_corpus("SAV", data).find_statistics(400) is None


def test_a_synthetic_corpus_is_measured_on_its_training_speakers_alone(data: Path) -> None:
    make_synthetic(data)
    corpus, extractor = find_corpus("SAV", data), load_extractor("byol-random-512")
    origin = extract_corpus(corpus, extractor, n_jobs=1).provenance["log_mel_statistics"]
    parts = split(corpus.utterances, corpus.task, "described")
    train = parts.loc[parts["part"] == "train", "path"]
    assert 0 < len(train) < len(corpus.utterances)
    on_train, on_all = (measure_statistics(list(paths), extractor) for paths in (train, parts["path"]))
    assert (origin["mean"], origin["std"]) == (on_train.mean, on_train.std)
    assert abs(on_all.mean - on_train.mean) > 0.1
    assert origin["source"].startswith("measured on the training speakers")
