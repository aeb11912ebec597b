"""`serab pretrain`: from audio to an encoder that `serab run` takes, and mistakes of the user's."""

import json

import pytest
from making import write_savee
from typer.testing import CliRunner

from serab_lib.cli import app
from serab_lib.pretraining.run import read_log


def test_command_trains_on_a_tasks_training_part(tmp_path):
    pytest.importorskip("lightning", reason="the extra `pretrain` is not installed")
    write_savee(tmp_path / "data", n_takes=1)
    options = ["--model", "byol-s-16", "--epochs", "1", "--batch-size", "7", "--hidden-size", "8", "--device", "cpu"]
    command = ["pretrain", "--task", "SAV", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *options]
    done = CliRunner().invoke(app, [*command, "--no-mixup", "--no-crop", "--crop-start", "released"])
    assert done.exit_code == 0, done.output
    assert "\n2 steps; last epoch: loss " in done.output  # 14 utterances of two speakers
    assert f"serab run --models path:{tmp_path / 'run' / 'encoder.pth'}\n" in done.output
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (settings["mixup_ratio"], settings["resized_crop"], settings["crop_start"]) == (0.0, False, "released")
    assert len(read_log(tmp_path / "run")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no audio to train on"),
        (["nowhere"], "there is no nowhere"),
        (["--task", "SAVEEE"], "there is no task"),
        ([".", "--speech"], "--audioset-csv"),
        ([".", "--model", "vggish"], "no .wav"),
        ([".", "--batch-size", "3", "--accumulate", "2"], "--batch-size 4"),
    ],
)
def test_mistakes_of_the_user_are_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["pretrain", *arguments])
    assert (done.exit_code, len(done.output.strip().splitlines())) == (1, 1) and message in done.output


def test_values_that_make_no_sense_are_a_usage_error():
    for option, value in (("--batch-size", "1"), ("--momentum", "1.5"), ("--schedule", "linear"), ("--seed", "-1")):
        done = CliRunner().invoke(app, ["pretrain", ".", option, value])
        assert done.exit_code == 2 and option in done.output
