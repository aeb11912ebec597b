import dataclasses
import functools
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import torch
from making import one_line, write_noises, write_savee

from serab_lib.extractors.registry import load_extractor
from serab_lib.pretraining import augmentations, byol, clips
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.run import COLUMNS, read_checkpoint, read_log, read_probe
from serab_lib.pretraining.train import Probe, pretrain, seeded

# Looked for, not imported: every process of the tests collects this file, and one needs it.
if find_spec("lightning") is None:
    pytest.skip("the extra `pretrain` is not installed", allow_module_level=True)

# Of eight clips, four steps an epoch. The small CvT is the quickest of the encoders.
SETTINGS = {"model": "byol-s-cvt-256", "epochs": 2, "batch_size": 2, "memory_size": 5, "hidden_size": 16}
TINY = PretrainConfig(**SETTINGS, projection_size=8, checkpoint_steps=3, device="cpu")
make_config = functools.partial(dataclasses.replace, TINY)
DROPPING = make_config(dropout=0.2)
VALUES = ["step", "epoch", "loss", *byol.MEASURES]


@pytest.fixture(autouse=True)
def _own_cache() -> None:
    """None: clips are decoded once for all, into the shared cache."""


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_noises(tmp_path_factory.mktemp("noises"))


@pytest.fixture(scope="module")
def finished(audio: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted; dropout and mixup at work."""
    out = tmp_path_factory.mktemp("run")
    pretrain(audio, out, DROPPING)
    return out


def test_a_run_leaves_a_whole_log_its_configuration_and_encoders_for_use(finished: Path) -> None:
    log = read_log(finished)
    assert tuple(log.columns) == COLUMNS and log.notna().all(axis=None)
    assert log["step"].tolist() == list(range(1, 9)) and log["epoch"].tolist() == [1] * 4 + [2] * 4
    assert log["loss"].between(0, 8).all() and log["wait_share"].between(0, 1).all()
    assert (log["learning_rate"] == 3e-4).all() and (log["crops_per_s"] > 0).all()
    state = read_checkpoint(finished / "last.ckpt")
    assert PretrainConfig(**state["config"]) == DROPPING and state["step"] == 8
    assert json.loads((finished / "config.json").read_text()) == json.loads(json.dumps(vars(DROPPING)))
    for file in ("encoder.pth", "encoder_best.pth"):
        embeddings = load_extractor(f"path:{finished / file}").embed([torch.randn(20_000), torch.randn(4000)])
        assert embeddings.shape == (2, 256) and embeddings.isfinite().all()


def test_the_global_generator_is_left_alone_and_another_seed_gives_another_run(audio, finished, tmp_path) -> None:
    before = torch.get_rng_state()
    other = pretrain(audio[0].parent, tmp_path, make_config(dropout=0.2, seed=43, epochs=1))
    assert torch.get_rng_state().equal(before)
    assert other["loss"][0] != read_log(finished)["loss"][0]


def test_an_interrupted_run_goes_on_with_the_losses_it_would_have_had(audio: list[Path], finished, tmp_path) -> None:
    def interrupt(what: str, n_done: int, n_total: int) -> None:
        if what == "pre-training" and n_done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(audio, tmp_path, DROPPING, progress=interrupt)
    assert read_checkpoint(tmp_path / "last.ckpt")["step"] == 6  # in the middle of an epoch
    log = pretrain(audio, tmp_path, DROPPING, resume=True)
    pd.testing.assert_frame_equal(log[VALUES], read_log(finished)[VALUES], check_exact=True)
    mine, wanted = (read_checkpoint(folder / "last.ckpt") for folder in (tmp_path, finished))
    assert all(weights.equal(wanted["learner"][name]) for name, weights in mine["learner"].items())
    assert mine["augmentation"]["memory"].equal(wanted["augmentation"]["memory"])


def test_a_finished_run_is_not_computed_again_but_can_be_made_longer(audio: list[Path], tmp_path: Path) -> None:
    files, out = audio[:4], tmp_path / "run"
    first = pretrain(files, out, make_config(epochs=1))
    pd.testing.assert_frame_equal(pretrain(files, out, make_config(epochs=1), resume=True), first)
    assert len(pretrain(files, out, TINY, resume=True)) == 4
    for chosen, settings, message in (
        (files, {}, r"holds a run already: go on with it by --resume"),
        (files, {"momentum": 0.5}, "begun with momentum"),
        (files[:2], {"epochs": 3}, "trained on other audio"),
    ):
        with one_line(message):
            pretrain(chosen, out, make_config(**settings), resume=bool(settings))
    (out / "last.ckpt").write_bytes(b"cut off")
    with one_line("is not the checkpoint of a run"):
        pretrain(files, out, TINY, resume=True)


def test_accumulated_parts_make_one_step_with_their_mean_gradient(audio: list[Path], tmp_path: Path) -> None:
    config = make_config(batch_size=4, accumulate=2, epochs=1)
    log = pretrain(audio[:4], tmp_path, config)
    with seeded(config.seed, clips.Purpose.WEIGHTS, device=torch.device("cpu")):
        learner = byol.Byol(config).to(memory_format=torch.channels_last)
    crops = clips.CropBatches(clips.prepare_clips(audio[:4]), config).cut(0)
    views = augmentations.Augmentation(config, torch.device("cpu"))(crops, 0)
    loss = sum(learner(*views[:, part])[0] for part in (slice(2), slice(2, 4))) / 2
    loss.backward()
    assert log["loss"].tolist() == [pytest.approx(loss.item(), rel=1e-5)]
    moments = read_checkpoint(tmp_path / "last.ckpt")["optimizer"]["state"]
    for position, weights in enumerate(each for each in learner.parameters() if each.requires_grad):
        # AdamW's first mean of gradients is a tenth of the gradient.
        torch.testing.assert_close(moments[position]["exp_avg"], 0.1 * weights.grad, rtol=1e-3, atol=1e-6)


def test_bf16_stays_close_to_float32(audio: list[Path], tmp_path: Path) -> None:
    exact, rough = (pretrain(audio[:2], tmp_path / name, make_config(precision=name)) for name in ("32", "bf16"))
    assert 0 < abs(exact["loss"][0] - rough["loss"][0]) < 0.1  # then they drift apart
    assert torch.load(tmp_path / "bf16" / "encoder.pth")["layers.0.0.weight"].dtype == torch.float32


@pytest.mark.nightly
def test_two_processes_compute_what_one_does_in_two_parts(audio: list[Path], tmp_path: Path) -> None:
    options = "--model byol-s-cvt-256 --epochs 1 --batch-size 4 --hidden-size 16 --device cpu --devices 2".split()
    command = [sys.executable, "-m", "serab_lib.cli", "pretrain", audio[0].parent, *options, "--out", tmp_path / "two"]
    two = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert two.returncode == 0, two.stderr
    assert two.stdout.count("is the encoder") == 1
    # On CPUs, batch norm sees each process's share alone: the same as two parts of one batch.
    config = PretrainConfig(model="byol-s-cvt-256", epochs=1, batch_size=4, accumulate=2, hidden_size=16, device="cpu")
    one, log = pretrain(audio, tmp_path / "one", config), read_log(tmp_path / "two")
    assert log["step"].tolist() == one["step"].tolist()
    # They differ by rounding alone; were a gradient not shared, the second loss would differ by 0.02.
    assert log["loss"].tolist() == pytest.approx(one["loss"].tolist(), abs=1e-4)
    states = [read_checkpoint(tmp_path / name / "last.ckpt")["augmentation"] for name in ("one", "two")]
    assert all(states[0][name].equal(states[1][name]) for name in ("sums", "memory"))


def test_the_probe_is_measured_before_and_during_training_and_tells_the_best(audio: list[Path], tmp_path: Path) -> None:
    write_savee(tmp_path / "data", n_takes=1)
    config = make_config(epochs=3, probe_epochs=2)
    pretrain(audio[:2], tmp_path / "run", config, probe="savee", data=tmp_path / "data")
    probe = read_probe(tmp_path / "run")
    assert probe[["epoch", "task"]].to_numpy().tolist() == [[0, "SAV"], [2, "SAV"], [3, "SAV"]]
    assert probe["validation_accuracy"].between(0, 1).all()
    best = probe[1:].loc[probe["validation_accuracy"][1:].idxmax()]
    assert read_checkpoint(tmp_path / "run" / "best.ckpt")["step"] == best["step"]


def test_no_lightning_and_a_loss_that_is_not_finite_stop_the_run(audio: list[Path], tmp_path, monkeypatch) -> None:
    with one_line(r"the loss is not finite in step \d+: choose a lower --learning-rate"):
        pretrain(audio, tmp_path, make_config(learning_rate=1e30))
    monkeypatch.setitem(sys.modules, "lightning.fabric", None)
    with one_line(r"pip install 'serab-companion\[pretrain\]'"):
        pretrain(audio, tmp_path / "other", TINY)


def test_a_probe_hears_no_test_speaker_and_tells_a_dead_encoder(tmp_path: Path) -> None:
    write_savee(tmp_path, n_takes=2)
    told = []
    probe = Probe("SAV", tmp_path, progress=lambda *numbers: told.append(numbers))
    assert set(probe.utterances["part"]) == {"train", "validation"}
    assert told[-1] == ("audio of SAVEE", len(probe.waveforms), len(probe.utterances))
    torch.manual_seed(0)
    encoder = byol.build_encoder("byol-s-16")
    alive = probe.measure(encoder)
    assert encoder.training
    with torch.no_grad():
        encoder.fc[3].weight.zero_()
    # Embeddings that are all equal leave the classifier with chance, one of seven classes.
    assert probe.measure(encoder) < 0.2 < alive
