from __future__ import annotations

import dataclasses
import json

import pytest

from serab_lib.core import SerabError
from serab_lib.pretraining import PretrainConfig


def test_defaults_are_the_papers() -> None:
    config = PretrainConfig()
    assert (config.epochs, config.batch_size, config.seed) == (100, 256, 42)
    assert (config.learning_rate, config.momentum) == (3e-4, 0.99)
    assert (config.mixup_ratio, config.memory_size) == (0.4, 2048)
    assert (config.canvas, config.crop_scale) == ((1.0, 1.5), (0.6, 1.5))
    assert (config.hidden_size, config.projection_size) == (4096, 256)
    assert config.crop_start == "random"


def test_settings_survive_a_round_trip_through_json() -> None:
    config = PretrainConfig(model="byol-a-1024", crop_scale=(0.5, 1.0), dropout=0.1, predictor=False)
    assert PretrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_settings_of_another_version_are_refused() -> None:
    with pytest.raises(SerabError, match="'warp'"):
        PretrainConfig.from_dict({"warp": 9})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs is 0, expected 1 or more"),
        ({"seed": -1}, "seed is -1"),
        ({"crop_start": "middle"}, "no crop_start 'middle': choose random or released"),
        ({"precision": "16"}, "choose 32 or bf16"),
        ({"momentum": 1.5}, "momentum is 1.5"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"crop_scale": (1.5, 0.6)}, "crop_scale"),
        ({"batch_size": 10, "n_devices": 2, "accumulate": 2}, "--batch-size 12"),
        ({"batch_size": 2, "accumulate": 2}, "--batch-size 4"),
    ],
)
def test_values_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(SerabError, match=message):
        PretrainConfig(**settings)


def test_a_run_goes_on_only_with_its_own_settings() -> None:
    begun = PretrainConfig()
    dataclasses.replace(begun, epochs=200, n_devices=2, checkpoint_steps=7).require_same_run(begun)
    with pytest.raises(SerabError, match=r"begun with mixup_ratio 0\.4, this one has 0\.0"):
        dataclasses.replace(begun, mixup_ratio=0.0).require_same_run(begun)
