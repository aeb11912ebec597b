import json

import pandas as pd
import pytest
from making import COMMITTED

from serab_lib.benchmark import transfer
from serab_lib.benchmark.results import CELL_KEY
from serab_lib.corpora import corpus, splits
from serab_lib.corpora.task import get_task
from serab_lib.evaluation.classifiers import CLASSIFIERS
from serab_lib.evaluation.protocol import measure

CELLS = COMMITTED.read_cells()
KEYS = list(CELLS[CELL_KEY].drop_duplicates().itertuples(index=False, name=None))


def test_the_cells_are_those_that_were_to_be_measured_all_of_originals_and_say_what_made_them() -> None:
    models = {"opensmile", "egemaps", "yamnet", "byol-s-512", "logmel-stats", "byol-random-512"}
    tasks, protocols = {"AES", "EMB", "EMV", "RAV"}, {"released", "described"}
    fixed = {(task, model, protocol) for task in tasks for model in models for protocol in protocols}
    rotated = {(task, model, "rotated") for task in tasks for model in models} & set(KEYS)
    assert set(KEYS) == fixed | rotated and {task for task, _, _ in rotated} == tasks
    assert set(COMMITTED.read_provenance()) == {"/".join(key) for key in KEYS}
    n_all = CELLS[["n_train", "n_validation", "n_test"]].sum(axis=1)
    assert (CELLS["n_originals"] == n_all.mask(CELLS["protocol"] == "rotated", CELLS["n_test"])).all()
    for key, origin in COMMITTED.read_provenance().items():
        assert origin["commit"] and "dirty" not in origin["commit"], key
        assert origin["extractor"] and origin["inputs"] and origin["n_originals"] == origin["n_utterances"]
        assert not origin["unusable_files"] and not origin["missing"]
    assert len({origin["data"] for origin in COMMITTED.read_provenance().values()} - {""}) == 4


@pytest.mark.parametrize("key", KEYS, ids="-".join)
def test_a_cell_is_whole_and_follows_from_its_predictions(key: tuple[str, str, str]) -> None:
    (code, _, protocol), rotated = key, key[-1] == "rotated"
    rows = CELLS[(CELLS[CELL_KEY] == list(key)).all(axis=1)].set_index("classifier")
    assert list(rows.index) == [*CLASSIFIERS, *(["chosen"] if rotated else [])] and rows["selected"].sum() == 1
    assert rows["complete"].all() and rows["search"].all() and not rows["synthetic"].any()
    predictions = COMMITTED.read_predictions(*key)
    task = get_task(code)
    parts = pd.concat(splits.split_folds(corpus.list_utterances(task), task, protocol))
    test = parts[parts["part"] == "test"].set_index("stem")
    assert sorted(predictions["stem"]) == sorted(test.index)
    truth = predictions["emotion"].to_numpy(dtype=str)
    assert (test.loc[predictions["stem"], "emotion"].to_numpy() == truth).all()
    for name, row in rows.iterrows():
        predicted = predictions[name].to_numpy(dtype=str)
        for metric, value in measure(truth, predicted).items():
            assert row[metric] == pytest.approx(value, abs=1e-6)
    column = "test_accuracy" if protocol == "released" else "validation_accuracy"
    assert rows.loc[rows["selected"], column].item() == rows[column].max() or rotated
    for fold, params in json.loads(rows.loc["chosen", "best_params"]).items() if rotated else ():
        own = predictions[predictions["fold"] == fold]
        assert (own["chosen"] == own[params["classifier"]]).all() and len(own)
    counts = parts["part"].value_counts()
    assert (rows[[f"n_{part}" for part in counts.index]] == counts.to_numpy()).all(axis=None)


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
