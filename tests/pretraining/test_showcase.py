from __future__ import annotations

import pandas as pd
import pytest
import torch
from making import make_byol_state, write_savee

from serab_lib.core import SerabError
from serab_lib.corpora.corpus import find_corpus
from serab_lib.pretraining import PretrainConfig
from serab_lib.pretraining.showcase import pretrain_small, read_kept, write_gains


def test_small_run_is_logged_and_probed_beside_a_released_encoder(tmp_path, monkeypatch):
    pytest.importorskip("lightning", reason="needs the extra [pretrain]")
    monkeypatch.setenv("SERAB_CACHE", str(tmp_path / "cache"))
    write_savee(tmp_path / "data")
    torch.save(make_byol_state(512), tmp_path / "released.pth")
    corpus = find_corpus("SAV", tmp_path / "data")
    config = PretrainConfig(epochs=1, batch_size=8, hidden_size=16, projection_size=8, device="cpu")
    run, references = pretrain_small([corpus], config, probe_on=corpus, released=tmp_path / "released.pth")
    # 42 training utterances of two speakers make five whole batches of eight.
    assert len(run.log) == 5 and run.log["loss"].notna().all()
    assert run.probe["epoch"].tolist() == [0, 1]
    assert 0 < references["released weights"] <= 1


def test_kept_runs_are_read_by_seed(tmp_path):
    with pytest.raises(SerabError, match=r"make it with benchmarks/pretrain_ravdess.py"):
        read_kept(tmp_path)
    pd.DataFrame({"loss": [1.0]}).to_csv(tmp_path / "log-42.csv", index=False)
    pd.DataFrame({"seed": [42]}).to_csv(tmp_path / "ravdess.csv", index=False)
    logs, accuracies = read_kept(tmp_path)
    assert list(logs) == ["42"] and len(accuracies) == 1


def test_gains_are_written_in_percent_at_the_end():
    rows = [("all", "gain", None, 0.05, -0.01, 0.11), ("42", "random", "LDA", 0.45, 0.4, 0.5)]
    table = pd.DataFrame(rows, columns=["seed", "condition", "classifier", "accuracy", "low", "high"])
    shown = write_gains(table.assign(model="byol-s-512", protocol="described"))
    assert shown["condition"].tolist() == ["random", "gain"]
    assert shown["accuracy"].tolist() == pytest.approx([45, 5])
    assert shown["classifier"].tolist() == ["LDA", None]
