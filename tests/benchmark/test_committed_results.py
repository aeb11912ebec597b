import pandas as pd
import pytest
from making import COMMITTED

from serab_lib.benchmark import transfer
from serab_lib.benchmark.contributed import read_model
from serab_lib.benchmark.results import CELL_KEY
from serab_lib.evaluation.classifiers import CLASSIFIERS

CELLS = COMMITTED.read_cells()
KEYS = list(CELLS[CELL_KEY].drop_duplicates().itertuples(index=False, name=None))
MODELS = ("opensmile", "egemaps", "yamnet", "byol-s-512", "logmel-stats", "byol-random-512")


def test_the_cells_are_those_that_were_to_be_measured_all_of_originals_and_say_what_made_them() -> None:
    tasks, protocols = {"AES", "EMB", "EMV", "RAV"}, {"released", "described"}
    fixed = {(task, model, protocol) for task in tasks for model in MODELS for protocol in protocols}
    rotated = {(task, model, "rotated") for task in tasks for model in MODELS}
    assert set(KEYS) == fixed | rotated and {task for task, _, _ in rotated} == tasks
    assert set(COMMITTED.read_provenance()) == {"/".join(key) for key in KEYS}
    n_all = CELLS[["n_train", "n_validation", "n_test"]].sum(axis=1)
    assert (CELLS["n_originals"] == n_all.mask(CELLS["protocol"] == "rotated", CELLS["n_test"])).all()
    for key, origin in COMMITTED.read_provenance().items():
        assert origin["commit"] and "dirty" not in origin["commit"], key
        assert origin["extractor"] and origin["inputs"] and origin["n_originals"] == origin["n_utterances"]
        assert not origin["unusable_files"] and not origin["missing"]
    assert len({origin["data"] for origin in COMMITTED.read_provenance().values()} - {""}) == 4


@pytest.mark.parametrize("model", MODELS)
def test_the_cells_of_a_model_follow_from_its_predictions_on_the_published_splits(model: str) -> None:
    for cell in read_model(COMMITTED, model):
        rows, rotated = cell.scores.set_index("classifier"), cell.key[-1] == "rotated"
        assert list(rows.index) == [*CLASSIFIERS, *(["chosen"] if rotated else [])]
        for fold, params in rows.loc["chosen", "best_params"].items() if rotated else ():
            own = cell.predictions[cell.predictions["fold"] == fold]
            assert (own["chosen"] == own[params["classifier"]]).all() and len(own)


def test_every_transfer_follows_from_its_predictions() -> None:
    rows = transfer.read_transfer(COMMITTED.folder)
    assert set(rows["train"]) == set(rows["test"]) == {"AES", "EMB", "EMV", "RAV"}
    assert not rows["commit"].str.endswith("y").any()
    kept = {}
    for file in (COMMITTED.folder / "transfer").glob("*.csv"):
        train, rest = file.stem.split("-", 1)
        table = pd.read_csv(file, dtype=str)
        model, n_classes = rest[len("-".join(table["task"].unique())) + 1 :].rsplit("-", 1)
        kept |= {(train, test, model, int(n_classes)): own for test, own in table.groupby("task")}
    assert len(kept) == len(rows) / 2
    for row in rows.itertuples():
        predictions = kept[row.train, row.test, row.model, len(row.emotions.split())]
        own = predictions.rename(columns={f"predicted_{row.normalised}": "predicted"}).assign(classifier="")
        for name, value in transfer.score_speakers(own).items():
            assert name == "classifier" or getattr(row, name) == pytest.approx(value, abs=1e-6)
