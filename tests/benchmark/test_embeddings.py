import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from making import make_byol_state, write_savee

from serab_lib.audio import load_audio, log_mel
from serab_lib.benchmark.embeddings import EmbeddingCache, extract, extract_corpus, measure_statistics
from serab_lib.corpora.corpus import MARKER, find_corpus, load_task
from serab_lib.corpora.splits import split
from serab_lib.extractors.base import Statistics, default_statistics, length_sorted_batches
from serab_lib.extractors.registry import load_extractor


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    write_savee(tmp_path, n_takes=1)
    return list(load_task("SAV", tmp_path)["path"])


def embed(paths: list[str], cache: Path, **options):
    return extract(paths, load_extractor("logmel-stats"), cache=cache, **options)


def test_rows_are_in_the_order_of_the_files_and_what_was_heard_before_is_kept(paths, tmp_path, monkeypatch) -> None:
    first, second = (embed(paths, tmp_path / "cache") for _ in range(2))
    assert (first.n_cached, second.n_cached) == (0, len(paths))
    np.testing.assert_array_equal(first.matrix, second.matrix)
    np.testing.assert_array_equal(first.matrix, embed(paths[::-1], tmp_path / "other", n_jobs=1).matrix[::-1])
    moved = Path(paths[0]).rename(tmp_path / "other.wav")
    soundfile.write(paths[1], np.full(8_000, 0.25), 16_000)
    assert embed([str(moved), paths[1]], tmp_path / "cache").n_cached == 1
    monkeypatch.setattr(np, "load", lambda *_, **__: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    cache = EmbeddingCache(tmp_path / "cache", load_extractor("logmel-stats"))
    assert not cache.read(["any"]) and list(cache.folder.glob("*.npz"))


def test_statistics_and_weights_are_part_of_the_cache_key(tmp_path: Path, byol_checkpoint: Path) -> None:
    extractor = load_extractor(f"path:{byol_checkpoint}")
    folders = {EmbeddingCache(tmp_path, extractor).folder}
    folders.add(EmbeddingCache(tmp_path, extractor.with_statistics(Statistics(-5.0, 4.0))).folder)
    torch.save(make_byol_state(seed=1), byol_checkpoint)
    folders.add(EmbeddingCache(tmp_path, load_extractor(f"path:{byol_checkpoint}")).folder)
    assert len(folders) == 3


def test_unusable_files_are_named(paths: list[str], tmp_path: Path) -> None:
    Path(paths[3]).write_text("no audio")
    made = embed(paths, tmp_path / "cache")
    assert list(made.unusable) == [3] and paths[3] in made.unusable[3]
    assert np.isnan(made.matrix[3]).all() and np.isfinite(np.delete(made.matrix, 3, axis=0)).all()


def test_statistics_average_the_utterances_own_and_the_defaults_the_nine_published_pairs(paths: list[str]) -> None:
    measured = measure_statistics(paths, load_extractor("byol-random-512"))
    spectrograms = [log_mel(load_audio(path)) for path in paths]
    assert measured.mean == pytest.approx(np.mean([float(each.mean()) for each in spectrograms]), rel=1e-5)
    assert measured.std == pytest.approx(np.mean([float(each.std()) for each in spectrograms]), rel=1e-5)
    assert default_statistics() == Statistics(pytest.approx(-5.94528, abs=1e-5), pytest.approx(4.27617, abs=1e-5))


def test_published_statistics_hold_for_the_real_corpus_and_the_releases_window_alone(tmp_path: Path) -> None:
    write_savee(tmp_path, n_takes=1)
    corpus, extractor = find_corpus("SAV", tmp_path), load_extractor("byol-random-512")
    assert corpus.find_statistics(1024) is None
    made = extract_corpus(corpus, extractor).provenance["log_mel_statistics"]
    assert made == {"mean": -7.3621, "std": 4.7177, "source": "published"}
    assert extractor.statistics == Statistics(-7.3621, 4.7177)
    files = {file.name: "" for file in (tmp_path / "savee").iterdir()}
    (tmp_path / "savee" / MARKER).write_text(json.dumps({"generator": 1, "seed": 0, "files": files}))
    corpus = find_corpus("SAV", tmp_path)
    made = extract_corpus(corpus, extractor).provenance["log_mel_statistics"]
    parts = split(corpus.utterances, corpus.task, "described")
    train = measure_statistics(list(parts.loc[parts["part"] == "train", "path"]), extractor)
    assert abs(measure_statistics(list(parts["path"]), extractor).mean - train.mean) > 0.1
    assert (made["mean"], made["std"]) == (train.mean, train.std)
    assert made["source"] == "measured on the training speakers of the described split"


def test_batches_hold_everything_once_and_keep_the_bound() -> None:
    lengths = [100, 5, 900, 100, 30, 2_000, 31]
    batches = length_sorted_batches(lengths, 400)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 400 for batch in batches)
    assert len(batches) < len(lengths)
