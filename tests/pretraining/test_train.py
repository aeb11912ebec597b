from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from asserting import one_line
from making import write_noises, write_savee

from serab_lib.extractors.registry import load_extractor
from serab_lib.pretraining.augmentations import Augmentation
from serab_lib.pretraining.byol import MEASURES, Byol
from serab_lib.pretraining.clips import CropBatches, Purpose, prepare_clips
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.run import COLUMNS, read_checkpoint, read_log, read_probe
from serab_lib.pretraining.train import pretrain, seeded

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


def test_a_run_leaves_a_whole_log_and_its_configuration(finished: Path) -> None:
    log = read_log(finished)
    assert tuple(log.columns) == COLUMNS and log.notna().all(axis=None)
    assert log["step"].tolist() == list(range(1, 9)) and log["epoch"].tolist() == [1] * 4 + [2] * 4
    assert log["loss"].between(0, 8).all() and log["wait_share"].between(0, 1).all()
    assert (log["learning_rate"] == 3e-4).all() and (log["crops_per_s"] > 0).all()
    state, config = read_checkpoint(finished / "last.ckpt"), make_config(dropout=0.2)
    assert PretrainConfig(**state["config"]) == config
    assert state["step"] == 8
    assert json.loads((finished / "config.json").read_text()) == json.loads(json.dumps(vars(config)))


def test_the_global_generator_is_left_alone_and_another_seed_gives_another_run(
    audio: Path, cache: Path, finished: Path, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    other = pretrain([audio], tmp_path, make_config(dropout=0.2, seed=43, epochs=1), cache=cache)
    assert torch.get_rng_state().equal(before)
    assert other["loss"][0] != read_log(finished)["loss"][0]


def test_an_interrupted_run_goes_on_with_the_losses_it_would_have_had(
    audio: Path, cache: Path, finished: Path, tmp_path: Path
) -> None:
    def interrupt(what: str, n_done: int, n_total: int) -> None:
        if what == "pre-training" and n_done == 7:
            raise KeyboardInterrupt

    out, config = tmp_path / "interrupted", make_config(dropout=0.2)
    with pytest.raises(KeyboardInterrupt):
        pretrain(audio, out, config, cache=cache, progress=interrupt)
    # In the middle of an epoch.
    assert read_checkpoint(out / "last.ckpt")["step"] == 6
    log = pretrain(audio, out, config, cache=cache, resume=True)
    pd.testing.assert_frame_equal(log[VALUES], read_log(finished)[VALUES], check_exact=True)
    ends = [read_checkpoint(folder / "last.ckpt") for folder in (out, finished)]
    for name, weights in ends[0]["learner"].items():
        assert weights.equal(ends[1]["learner"][name]), name
    assert ends[0]["augmentation"]["memory"].equal(ends[1]["augmentation"]["memory"])


def test_a_finished_run_is_not_computed_again_but_can_be_made_longer(audio: Path, cache: Path, tmp_path: Path) -> None:
    files, out = sorted(audio.iterdir())[:4], tmp_path / "run"
    first = pretrain(files, out, make_config(epochs=1), cache=cache)
    same = pretrain(files, out, make_config(epochs=1), cache=cache, resume=True)
    pd.testing.assert_frame_equal(same, first)
    assert len(pretrain(files, out, make_config(epochs=2), cache=cache, resume=True)) == 4
    for chosen, settings, message in (
        (files, {}, r"holds a run already: go on with it by --resume"),
        (files, {"momentum": 0.5}, "begun with momentum"),
        (files[:2], {"epochs": 3}, "trained on other audio"),
    ):
        with one_line(message):
            pretrain(chosen, out, make_config(**settings), cache=cache, resume=bool(settings))
    (out / "last.ckpt").write_bytes(b"cut off")
    with one_line("is not the checkpoint of a run"):
        pretrain(files, out, make_config(), cache=cache, resume=True)


def test_the_encoder_is_used_at_once(finished: Path) -> None:
    for file in ("encoder.pth", "encoder_best.pth"):
        embeddings = load_extractor(f"path:{finished / file}").embed([torch.randn(20_000), torch.randn(4000)])
        assert embeddings.shape == (2, 256) and embeddings.isfinite().all()


def test_accumulated_parts_make_one_step_with_their_mean_gradient(audio: Path, cache: Path, tmp_path: Path) -> None:
    files, config = sorted(audio.iterdir())[:4], make_config(batch_size=4, accumulate=2, epochs=1)
    log = pretrain(files, tmp_path, config, cache=cache)
    with seeded(config.seed, Purpose.WEIGHTS, device=torch.device("cpu")):
        learner = Byol(config).to(memory_format=torch.channels_last)
    crops = CropBatches(prepare_clips(files, cache=cache), config).cut(0)
    views = Augmentation(config, torch.device("cpu"))(crops, 0)
    loss = sum(learner(*views[:, part])[0] for part in (slice(2), slice(2, 4))) / 2
    loss.backward()
    assert log["loss"].tolist() == [pytest.approx(loss.item(), rel=1e-5)]
    moments = read_checkpoint(tmp_path / "last.ckpt")["optimizer"]["state"]
    gradients = [weights.grad for weights in learner.parameters() if weights.requires_grad]
    for position, gradient in enumerate(gradients):
        # AdamW's first mean of gradients is a tenth of the gradient.
        torch.testing.assert_close(moments[position]["exp_avg"], 0.1 * gradient, rtol=1e-3, atol=1e-6)


def test_bf16_stays_close_to_float32(audio: Path, cache: Path, tmp_path: Path) -> None:
    few = sorted(audio.iterdir())[:2]
    exact, rough = (pretrain(few, tmp_path / name, make_config(precision=name), cache=cache) for name in ("32", "bf16"))
    assert 0 < (exact["loss"] - rough["loss"]).abs().max() < 0.1
    assert torch.load(tmp_path / "bf16" / "encoder.pth")["layers.0.0.weight"].dtype == torch.float32


@pytest.mark.nightly
def test_two_processes_compute_what_one_does_in_two_parts(audio: Path, cache: Path, tmp_path: Path) -> None:
    options = "--model byol-s-cvt-256 --epochs 1 --batch-size 4 --hidden-size 16 --device cpu".split()
    command = [sys.executable, "-m", "serab_lib.cli", "pretrain", audio, *options, "--cache", cache]
    two = subprocess.run(
        [*command, "--out", tmp_path / "two", "--devices", "2"], capture_output=True, text=True, timeout=300
    )
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("is the encoder") == 1
    # On CPUs, batch norm sees each process's share alone: the same as two parts of one batch.
    config = PretrainConfig(model="byol-s-cvt-256", epochs=1, batch_size=4, accumulate=2, hidden_size=16, device="cpu")
    one = pretrain(audio, tmp_path / "one", config, cache=cache)
    log = read_log(tmp_path / "two")
    assert log["step"].tolist() == one["step"].tolist()
    # They differ by rounding alone; were a gradient not shared, the second loss would differ by 0.02.
    assert log["loss"].tolist() == pytest.approx(one["loss"].tolist(), abs=1e-4)
    states = [read_checkpoint(tmp_path / name / "last.ckpt") for name in ("one", "two")]
    for name in ("sums", "memory"):
        assert states[0]["augmentation"][name].equal(states[1]["augmentation"][name])


def test_the_probe_is_measured_before_and_during_training_and_tells_the_best(
    audio: Path, cache: Path, tmp_path: Path
) -> None:
    write_savee(tmp_path / "data", n_takes=1)
    few, config = sorted(audio.iterdir())[:2], make_config(epochs=3, probe_epochs=2)
    pretrain(few, tmp_path / "run", config, cache=cache, probe="savee", data=tmp_path / "data")
    probe = read_probe(tmp_path / "run")
    assert probe["epoch"].tolist() == [0, 2, 3]
    assert probe["task"].unique().tolist() == ["SAV"]
    assert probe["validation_accuracy"].between(0, 1).all()
    best = probe[1:].loc[probe["validation_accuracy"][1:].idxmax()]
    assert read_checkpoint(tmp_path / "run" / "best.ckpt")["step"] == best["step"]


def test_no_lightning_and_a_loss_that_is_not_finite_stop_the_run(
    audio: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with one_line(r"the loss is not finite in step \d+: choose a lower --learning-rate"):
        pretrain(audio, tmp_path, make_config(learning_rate=1e30), cache=cache)
    monkeypatch.setitem(sys.modules, "lightning.fabric", None)
    with one_line(r"pip install 'serab-companion\[pretrain\]'"):
        pretrain(audio, tmp_path / "other", TINY)
