from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from making import COMMITTED
from sklearn.svm import SVC

from serab_lib.benchmark import embeddings, grid
from serab_lib.corpora import corpus, splits, task
from serab_lib.evaluation import classifiers, paper, protocol
from serab_lib.extractors import base, registry

pytestmark = pytest.mark.realdata
TASK = task.TASKS["RAV"]
MODELS = ("opensmile", "egemaps", "yamnet", "byol-s-512", "logmel-stats", "byol-random-512")


@pytest.fixture(scope="module")
def parts(real_data: Path) -> pd.DataFrame:
    return splits.split(corpus.load_task("RAV", real_data), TASK, "released")


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    cells = COMMITTED.read_cells()
    return cells[cells["task"] == "RAV"].set_index(["model", "protocol", "classifier"])


def pose(model: str, parts: pd.DataFrame, weights: Path, cache: Path) -> tuple[np.ndarray, ...]:
    extractor = registry.load_extractor(model, weights=weights)
    if hasattr(extractor, "with_statistics"):
        extractor.with_statistics(base.Statistics(*TASK.log_mel_statistics))
    made = embeddings.extract(list(parts["path"]), extractor, cache=cache)
    return protocol.make_parts(made.matrix, parts, TASK.classes)


def test_every_committed_cell_is_current(real_data, real_weights, shared_cache):
    jobs: list[grid.Job] = []
    options = {"weights": real_weights, "cache": shared_cache, "protocols": ("released", "described")}
    settings = grid.Settings(data=real_data, out=COMMITTED.folder, **options)
    summary = grid.run_grid(["RAV"], MODELS, settings, compute=lambda planned, progress: jobs.extend(planned) or ())
    assert (jobs, summary.warnings, summary.failures) == ([], [], [])
    assert len(summary.present) == 2 * len(MODELS)


NIGHTLY = [pytest.param(model, marks=pytest.mark.nightly) for model in ("yamnet", "byol-random-512", "logmel-stats")]


@pytest.mark.parametrize("model", ["byol-s-512", *NIGHTLY])
def test_lda_predicts_what_is_committed(model, parts, cells, real_weights, shared_cache):
    result = classifiers.fit_classifier("LDA", *pose(model, parts, real_weights, shared_cache))
    committed = COMMITTED.read_predictions("RAV", model, "released").set_index("stem")["LDA"]
    stems = parts.loc[parts["part"] == "test", "stem"]
    assert committed[stems].tolist() == [TASK.classes[number] for number in result.predictions]
    assert result.validation_accuracy == pytest.approx(cells.loc[(model, "released", "LDA"), "validation_accuracy"])


def test_the_svm_is_the_committed_one_and_reaches_the_paper(parts, cells, real_weights, shared_cache):
    """BYOL-S 512 on RAVDESS: 77.3 in the paper, with the radial kernel at the largest C."""
    cell = cells.loc[("byol-s-512", "released", "SVC")]
    X_train, y_train, X_validation, y_validation, X_test = pose("byol-s-512", parts, real_weights, shared_cache)
    model = SVC(C=1e5, max_iter=10_000)
    model.fit(np.concatenate([X_train, X_validation]), np.concatenate([y_train, y_validation]))
    truth = parts.loc[parts["part"] == "test", "emotion"].map(TASK.classes.index).to_numpy()
    assert protocol.accuracy(truth, model.predict(X_test)) == pytest.approx(cell["test_accuracy"], abs=1e-6)
    assert 100 * cell["test_accuracy"] == pytest.approx(paper.read_accuracies().loc["BYOL-S, 512", "RAV"], abs=0.4)


@pytest.mark.nightly
def test_statistics_are_close_to_the_published_ones(parts, real_weights):
    """Within a hundredth: they are those of these recordings, through a window of 400 samples."""
    train = list(parts.loc[parts["part"] == "train", "path"])
    measured = embeddings.measure_statistics(train, registry.load_extractor("byol-s-512", weights=real_weights))
    assert (measured.mean, measured.std) == pytest.approx(TASK.log_mel_statistics, abs=0.01)
