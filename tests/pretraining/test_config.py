import pytest
from making import one_line

from serab_lib.pretraining.config import PretrainConfig


def test_defaults_are_the_papers_and_the_learning_rate_can_fall_along_half_a_cosine() -> None:
    paper = {"epochs": 100, "batch_size": 256, "seed": 42, "learning_rate": 3e-4, "momentum": 0.99}
    paper |= {"mixup_ratio": 0.4, "memory_size": 2048, "canvas": (1.0, 1.5), "crop_scale": (0.6, 1.5)}
    assert paper.items() <= vars(PretrainConfig()).items()
    config = PretrainConfig(schedule="cosine", learning_rate=1e-3)
    rates = [config.learning_rate_at(progress) for progress in (0, 0.25, 0.5, 0.75, 1)]
    assert rates == pytest.approx([1e-3, 8.5355e-4, 5e-4, 1.4645e-4, 0], rel=1e-4)
    assert PretrainConfig().learning_rate_at(0.75) == 3e-4


@pytest.mark.parametrize(("batch_size", "n_devices", "remedy"), [(10, 2, "--batch-size 12"), (2, 1, "--batch-size 4")])
def test_a_batch_that_cannot_be_cut_into_equal_parts_is_refused(batch_size: int, n_devices: int, remedy: str) -> None:
    with one_line(remedy):
        PretrainConfig(batch_size=batch_size, n_devices=n_devices, accumulate=2)


def test_a_run_goes_on_only_with_its_own_settings() -> None:
    PretrainConfig(epochs=200, n_devices=2, checkpoint_steps=7).require_same_run(vars(PretrainConfig()))
    with one_line(r"begun with mixup_ratio 0\.4, this one has 0\.0"):
        PretrainConfig(mixup_ratio=0.0).require_same_run(vars(PretrainConfig()))
    with one_line("begun with epochs 100, this one has 5"):
        PretrainConfig(schedule="cosine", epochs=5).require_same_run(vars(PretrainConfig(schedule="cosine")))
