from __future__ import annotations

import builtins
import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from making import write_noises, write_savee
from typer.testing import CliRunner

from serab_lib.cli.app import app
from serab_lib.core import SerabError
from serab_lib.extractors.registry import load_extractor
from serab_lib.pretraining import PretrainConfig, pretrain, read_log, read_probe
from serab_lib.pretraining.byol import MEASURES
from serab_lib.pretraining.checkpoint import read_checkpoint
from serab_lib.pretraining.journal import COLUMNS, Journal

pytest.importorskip("lightning", reason="the extra `pretrain` is not installed")

# Eight clips: four steps an epoch. The small CvT is the quickest of the encoders.
TINY = PretrainConfig(
    model="byol-s-cvt-256",
    epochs=2,
    batch_size=2,
    memory_size=5,
    hidden_size=16,
    projection_size=8,
    checkpoint_steps=3,
    device="cpu",
)
VALUES = ["step", "epoch", "loss", *MEASURES]


def make_config(**settings: object) -> PretrainConfig:
    return dataclasses.replace(TINY, **settings)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noises")
    write_noises(folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture(scope="module")
def finished(audio: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted; dropout and mixup at work."""
    out = tmp_path_factory.mktemp("run")
    pretrain(audio, out, make_config(dropout=0.2), cache=cache)
    return out


def test_a_run_leaves_a_whole_log(finished: Path) -> None:
    log = read_log(finished)
    assert tuple(log.columns) == COLUMNS
    assert log["step"].tolist() == list(range(1, 9))
    assert log["epoch"].tolist() == [1] * 4 + [2] * 4
    assert log["loss"].between(0, 8).all()
    assert (log["learning_rate"] == 3e-4).all()
    assert (log["crops_per_s"] > 0).all()
    assert log["wait_share"].between(0, 1).all()
    assert log.notna().all(axis=None)


def test_a_checkpoint_carries_its_configuration(finished: Path) -> None:
    state = read_checkpoint(finished / "last.ckpt")
    assert PretrainConfig.from_dict(state["config"]) == make_config(dropout=0.2)
    assert state["position"]["step"] == 8
    assert PretrainConfig.from_dict(json.loads((finished / "config.json").read_text())) == make_config(dropout=0.2)


def test_one_seed_gives_one_run_and_leaves_the_global_generator_alone(
    audio: Path, cache: Path, finished: Path, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    log = pretrain([audio], tmp_path / "again", make_config(dropout=0.2), cache=cache)
    assert torch.get_rng_state().equal(before)
    pd.testing.assert_frame_equal(log[VALUES], read_log(finished)[VALUES], check_exact=True)
    other = pretrain(audio, tmp_path / "other", make_config(dropout=0.2, seed=43, epochs=1), cache=cache)
    assert other["loss"][0] != log["loss"][0]


def test_a_run_that_was_killed_goes_on_with_the_losses_it_would_have_had(
    audio: Path, cache: Path, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    # Killed in step 7: the last checkpoint is that of step 6, in the middle of an epoch.
    script = (
        "import os, signal, sys, torch; from serab_lib.pretraining import PretrainConfig, pretrain\n"
        "torch.set_num_threads(1)\n"  # as in these tests: sums of several threads are rounded otherwise
        "def tell(what, n_done, n_total):\n"
        "    if what == 'pre-training' and n_done == 7: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"config = PretrainConfig.from_dict({make_config(dropout=0.2).to_dict()!r})\n"
        "pretrain(sys.argv[1], sys.argv[2], config, cache=sys.argv[3], progress=tell)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, audio, out, cache], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert read_log(out)["step"].max() < 8
    log = pretrain(audio, out, make_config(dropout=0.2), cache=cache, resume=True)
    whole = read_log(finished)
    pd.testing.assert_frame_equal(log[VALUES], whole[VALUES], check_exact=True)
    ends = [read_checkpoint(folder / "last.ckpt") for folder in (out, finished)]
    for name, weights in ends[0]["learner"].items():
        assert weights.equal(ends[1]["learner"][name]), name
    assert ends[0]["augmentation"]["memory"].equal(ends[1]["augmentation"]["memory"])


def test_a_finished_run_is_not_computed_again_but_can_be_made_longer(audio: Path, cache: Path, tmp_path: Path) -> None:
    out, config = tmp_path / "run", make_config(epochs=1)
    first = pretrain(audio, out, config, cache=cache)
    with pytest.raises(SerabError, match=r"holds a run already: go on with it by --resume"):
        pretrain(audio, out, config, cache=cache)
    same = pretrain(audio, out, config, cache=cache, resume=True)
    pd.testing.assert_frame_equal(same, first)
    longer = pretrain(audio, out, make_config(epochs=2), cache=cache, resume=True)
    assert len(longer) == 8
    with pytest.raises(SerabError, match="begun with momentum"):
        pretrain(audio, out, make_config(momentum=0.5), cache=cache, resume=True)
    with pytest.raises(SerabError, match="trained on other audio"):
        pretrain(sorted(audio.iterdir())[:4], out, make_config(epochs=3), cache=cache, resume=True)
    (out / "last.ckpt").write_bytes(b"cut off")
    with pytest.raises(SerabError, match="is not the checkpoint of a run"):
        pretrain(audio, out, make_config(epochs=3), cache=cache, resume=True)


@pytest.mark.parametrize(("model", "pooling", "size"), [("byol-s-24", "", 24), ("byol-s-cvt-2048", ":mean+max", 2048)])
def test_the_encoder_is_used_at_once(
    audio: Path, cache: Path, tmp_path: Path, model: str, pooling: str, size: int
) -> None:
    pretrain(sorted(audio.iterdir())[:2], tmp_path, make_config(model=model, epochs=1), cache=cache)
    for file in ("encoder.pth", "encoder_best.pth"):
        extractor = load_extractor(f"path:{tmp_path / file}{pooling}")
        embeddings = extractor.embed([torch.randn(20_000), torch.randn(4000)])
        assert embeddings.shape == (2, size)
        assert embeddings.isfinite().all()
    if not pooling:
        assert extractor.window_samples == 400


def test_accumulation_changes_neither_views_nor_the_number_of_steps(audio: Path, cache: Path, tmp_path: Path) -> None:
    config = {"batch_size": 4, "epochs": 1}
    whole = pretrain(audio, tmp_path / "whole", make_config(**config), cache=cache)
    parts = pretrain(audio, tmp_path / "parts", make_config(**config, accumulate=2), cache=cache)
    assert len(parts) == len(whole) == 2
    memories = [read_checkpoint(tmp_path / name / "last.ckpt")["augmentation"]["memory"] for name in ("whole", "parts")]
    assert memories[0].equal(memories[1])
    assert (parts["loss"] - whole["loss"]).abs().max() < 2  # batch norm sees other parts, nothing else differs


def test_bf16_stays_close_to_float32(audio: Path, cache: Path, tmp_path: Path) -> None:
    few = sorted(audio.iterdir())[:2]
    exact = pretrain(few, tmp_path / "exact", make_config(), cache=cache)
    rough = pretrain(few, tmp_path / "rough", make_config(precision="bf16"), cache=cache)
    assert (exact["loss"] - rough["loss"]).abs().max() < 0.1
    assert not exact["loss"].equals(rough["loss"])
    assert torch.load(tmp_path / "rough" / "encoder.pth")["layers.0.0.weight"].dtype == torch.float32


def test_two_processes_compute_what_one_does(audio: Path, cache: Path, tmp_path: Path) -> None:
    options = "--model byol-s-cvt-256 --epochs 1 --batch-size 4 --hidden-size 16 --device cpu".split()
    command = [sys.executable, "-m", "serab_lib.cli", "pretrain", audio, *options, "--cache", cache]
    two = subprocess.run(
        [*command, "--out", tmp_path / "two", "--devices", "2"], capture_output=True, text=True, timeout=300
    )
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("is the encoder") == 1
    config = PretrainConfig(model="byol-s-cvt-256", epochs=1, batch_size=4, hidden_size=16, device="cpu")
    one = pretrain(audio, tmp_path / "one", config, cache=cache)
    log = read_log(tmp_path / "two")
    assert log["step"].tolist() == one["step"].tolist()
    # They differ by rounding alone; were a gradient not shared, the second loss would differ by 0.02.
    assert log["loss"].tolist() == pytest.approx(one["loss"].tolist(), abs=1e-4)
    states = [read_checkpoint(tmp_path / name / "last.ckpt") for name in ("one", "two")]
    torch.testing.assert_close(*(state["augmentation"]["sums"] for state in states), rtol=1e-9, atol=0)
    torch.testing.assert_close(*(state["augmentation"]["memory"] for state in states), rtol=1e-4, atol=1e-4)
    running = "encoder.layers.0.2.layers.0.0.fn.to_q.net.1.running_mean"
    torch.testing.assert_close(*(state["learner"][running] for state in states), rtol=1e-4, atol=1e-5)


def test_learning_rate_falls_along_half_a_cosine(audio: Path, cache: Path, tmp_path: Path) -> None:
    few, config = sorted(audio.iterdir())[:4], make_config(epochs=2, schedule="cosine", learning_rate=1e-3)
    log = pretrain(few, tmp_path, config, cache=cache)
    assert log["learning_rate"].tolist() == pytest.approx([1e-3, 8.5355e-4, 5e-4, 1.4645e-4], rel=1e-4)
    with pytest.raises(SerabError, match="begun with epochs 2, this one has 5"):
        dataclasses.replace(config, epochs=5).require_same_run(config)


def test_the_probe_is_measured_before_and_during_training(audio: Path, cache: Path, tmp_path: Path) -> None:
    write_savee(tmp_path / "data", n_takes=1)
    few, config = sorted(audio.iterdir())[:2], make_config(epochs=3, probe_epochs=2)
    pretrain(few, tmp_path / "run", config, cache=cache, probe="savee", data=tmp_path / "data")
    probe = read_probe(tmp_path / "run")
    assert probe["epoch"].tolist() == [0, 2, 3]
    assert probe["task"].unique().tolist() == ["SAV"]
    assert probe["validation_accuracy"].between(0, 1).all()
    best = read_checkpoint(tmp_path / "run" / "best.ckpt")["position"]
    assert best["best"] == probe["validation_accuracy"][1:].max()


def test_without_lightning_the_extra_is_named(audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: object, **options: object) -> object:
        if name.startswith("lightning"):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(SerabError, match=r"pip install 'serab-companion\[pretrain\]'"):
        pretrain(audio, tmp_path, TINY)


def test_a_loss_that_is_not_finite_stops_the_run(audio: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(SerabError, match=r"the loss is not finite in step \d+: choose a lower --learning-rate"):
        pretrain(audio, tmp_path, make_config(learning_rate=1e30), cache=cache)


def test_rows_after_the_checkpoint_are_removed_from_the_log(tmp_path: Path) -> None:
    row = ",".join(["1"] * (len(COLUMNS) - 1))
    (tmp_path / "log.csv").write_text(f"{','.join(COLUMNS)}\n3,{row}\n4,{row}\n5,{row}\n6,1")
    Journal(tmp_path, writes=True, step=4)
    assert read_log(tmp_path)["step"].tolist() == [3, 4]


def test_command_trains_on_a_tasks_training_part(tmp_path: Path) -> None:
    write_savee(tmp_path / "data", n_takes=1)
    options = ["--model", "byol-s-16", "--epochs", "1", "--batch-size", "7", "--hidden-size", "8", "--device", "cpu"]
    command = ["pretrain", "--task", "SAV", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *options]
    done = CliRunner().invoke(app, [*command, "--no-mixup", "--no-crop", "--crop-start", "released"])
    assert done.exit_code == 0, done.output
    assert "serab run --models path:" in done.output
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (settings["mixup_ratio"], settings["resized_crop"], settings["crop_start"]) == (0.0, False, "released")
    assert len(read_log(tmp_path / "run")) == 2  # 14 utterances of two speakers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no audio to train on"),
        (["nowhere"], "there is no nowhere"),
        (["--task", "SAVEEE"], "there is no task"),
        ([".", "--speech"], "--audioset-csv"),
        ([".", "--model", "vggish"], "no .wav"),
        ([".", "--batch-size", "1"], "batch_size is 1"),
    ],
)
def test_mistakes_of_the_user_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["pretrain", *arguments])
    assert done.exit_code == 1
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1
