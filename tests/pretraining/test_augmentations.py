import numpy as np
import pytest
import torch
from making import make_noise
from torch.nn import functional

from serab_lib.audio import log_mel
from serab_lib.pretraining.augmentations import Augmentation, Draws, draw, illustrate, make_view, mix, resize_crops
from serab_lib.pretraining.config import PretrainConfig

CPU = torch.device("cpu")


def make_crops(n: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-5000, 5000, (n, 15_200), dtype=np.int16))


def test_a_batch_is_normalised_by_everything_heard_so_far() -> None:
    augment = Augmentation(PretrainConfig(), CPU)
    crops = make_crops(10)
    for step, part in enumerate(crops.split(5)):
        augment(part, step)
    heard = torch.stack([log_mel(crop.float() / 32_767) for crop in crops])
    normalised = augment.normalise(heard)
    assert normalised.mean().item() == pytest.approx(0, abs=1e-5)
    assert normalised.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(augment.memory[5:10], normalised[5:], rtol=1e-4, atol=1e-4)
    augment(make_crops(5, seed=1), 2, measure=False)
    assert augment.normalise(heard).equal(normalised)
    assert Augmentation(PretrainConfig(), CPU)(torch.zeros(2, 15_200, dtype=torch.int16), 0).isfinite().all()


def test_memory_keeps_the_latest_and_forgets_the_oldest() -> None:
    augment = Augmentation(PretrainConfig(memory_size=5), CPU)
    latest = []
    for step in range(3):
        augment(make_crops(3, seed=step), step, measure=not step)
        latest += augment.normalise(log_mel(make_crops(3, seed=step).float() / 32_767))
    # Six to eight went to the places of the oldest.
    torch.testing.assert_close(augment.memory, torch.stack([latest[i] for i in (5, 6, 7, 8, 4)]))


def test_draws_keep_their_bounds_and_reach_them_apart_for_each_view() -> None:
    views = draw(np.random.default_rng(0), 10_000, 2048, PretrainConfig())
    for drawn in views:
        assert 0 <= drawn.ratios.min() < 0.001 and 0.399 < drawn.ratios.max() <= 0.4
        assert (drawn.partners.min(), drawn.partners.max()) == (0, 2047)
        # A side is at least int(0.6 x 64) or int(0.6 x 96) long, and no longer than the canvas.
        for (starts, sizes), *bounds in ((drawn.rows.T, 38, 64, 64), (drawn.columns.T, 57, 143, 144)):
            assert [sizes.min(), sizes.max(), (starts + sizes).max()] == bounds and starts.min() == 0
    assert not any(mine.equal(other) for mine, other in zip(*views, strict=True))


def test_resized_crops_are_pytorchs_bicubic_interpolation() -> None:
    spectrograms = make_noise(40, 64, 96)
    _, _, rows, columns = draw(np.random.default_rng(3), 40, 1, PretrainConfig())[0]
    expected = []
    for canvas, (top, height), (left, width) in zip(functional.pad(spectrograms, (24, 24)), rows, columns, strict=True):
        cut = canvas[None, None, top : top + height, left : left + width]
        expected.append(functional.interpolate(cut, (64, 96), mode="bicubic", align_corners=True)[0, 0])
    resized = resize_crops(spectrograms, rows, columns, (1.0, 1.5))
    torch.testing.assert_close(resized, torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_views_depend_on_seed_and_step_and_are_normalised_together() -> None:
    runs = []
    for seed, step in ((0, 1), (0, 1), (0, 2), (1, 1)):
        augment = Augmentation(PretrainConfig(memory_size=8, seed=seed), CPU)
        augment(make_crops(), 0)
        runs.append(augment(make_crops(seed=1), step))
    assert runs[0].shape == (2, 6, 1, 64, 96)
    assert runs[0].mean().item() == pytest.approx(0, abs=1e-5)
    assert runs[0].std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert runs[0].equal(runs[1])
    assert not any(torch.allclose(runs[0], other) for other in (runs[2], runs[3], runs[0].flip(0)))


def test_energies_are_mixed_by_their_ratio_before_a_view_is_cut() -> None:
    (first, second), ratios = make_noise(2, 4, 64, 96), torch.tensor([0.0, 0.1, 0.4, 1.0])
    expected = torch.lerp(first.exp(), second.exp(), ratios[:, None, None])
    torch.testing.assert_close(mix(first, second, ratios).exp(), expected)
    log_mels, partners = make_noise(2, 2, 64, 96)
    rows, columns = torch.tensor([[10, 40]] * 2), torch.tensor([[30, 70]] * 2)
    drawn = Draws(torch.tensor([0.3, 0.1]), torch.tensor([0, 1]), rows, columns)
    mixed, view = make_view(log_mels, partners, drawn, PretrainConfig())
    assert mixed.equal(mix(log_mels, partners, drawn.ratios))
    assert view.equal(resize_crops(mixed, rows, columns, (1.0, 1.5)))
    assert make_view(log_mels, None, drawn, PretrainConfig(resized_crop=False))[1].equal(log_mels)


def test_without_mixup_and_crop_the_views_are_equal_and_without_a_crop_those_of_the_first_batch() -> None:
    for settings in ({"mixup_ratio": 0.0, "resized_crop": False}, {"resized_crop": False}):
        augment = Augmentation(PretrainConfig(**settings), CPU)
        equal = [bool(torch.equal(*augment(make_crops(seed=step), step))) for step in range(2)]
        # The first batch has nothing to be mixed with.
        assert equal == [True, "mixup_ratio" in settings]


def test_an_illustration_shows_the_middle_of_the_clip_and_two_views() -> None:
    waveform, partner = 0.1 * make_noise(2, 20_000)
    crops, views = illustrate(waveform, partner, seed=3)
    for shown, heard in zip(crops, (waveform, partner), strict=True):
        assert np.corrcoef(shown.flatten(), log_mel(heard[2400:17_600]).flatten())[0, 1] == pytest.approx(1, abs=1e-6)
    assert all(mixed.equal(mix(crops[:1], crops[1:], drawn.ratios)) for drawn, mixed, _ in views)
    assert not views[0][2].equal(views[1][2])
