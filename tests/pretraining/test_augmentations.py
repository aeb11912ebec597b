from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from serab_lib.audio import log_mel
from serab_lib.pretraining import augmentations
from serab_lib.pretraining.augmentations import Augmentation, LogMel, draw, mix, normalise_views, resize_crops
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.memory import MemoryBank, RunningStatistics

CPU = torch.device("cpu")


def make_crops(n: int = 6, seed: int = 0) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.integers(-5000, 5000, (n, 15_200), dtype=np.int16))


def make_spectrograms(n: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 64, 96, generator=torch.Generator().manual_seed(seed))


def test_a_batch_of_log_mels_is_what_each_crop_gets_alone() -> None:
    crops = make_crops(3)
    batch = LogMel(CPU)(crops)
    assert batch.shape == (3, 64, 96)
    for crop, spectrogram in zip(crops, batch, strict=True):
        torch.testing.assert_close(spectrogram, log_mel(crop.float() / 32767), rtol=1e-5, atol=1e-4)


def test_running_statistics_are_those_of_everything_seen() -> None:
    values = 3 * make_spectrograms(10) - 7
    statistics = RunningStatistics(CPU)
    for part in values.split(3):
        statistics.update(part)
    assert statistics.mean.item() == pytest.approx(values.mean().item(), rel=1e-5)
    assert statistics.std.item() == pytest.approx(values.std(correction=0).item(), rel=1e-5)


def test_running_statistics_of_equal_values_divide_by_no_zero() -> None:
    statistics = RunningStatistics(CPU)
    statistics.update(torch.full((4, 64, 96), -15.9))
    assert statistics.normalise(torch.full((1, 64, 96), -15.9)).isfinite().all()


def test_mixup_adds_energies_by_its_ratio() -> None:
    first, second = make_spectrograms(4), make_spectrograms(4, seed=1)
    ratios = torch.tensor([0.0, 0.1, 0.4, 1.0])
    mixed = mix(first, second, ratios)
    weights = ratios[:, None, None]
    torch.testing.assert_close(mixed.exp(), (1 - weights) * first.exp() + weights * second.exp())
    assert mixed[0].equal(first[0])
    assert mixed[3].equal(second[3])


def test_memory_keeps_the_latest_and_forgets_the_oldest() -> None:
    memory = MemoryBank(5, CPU)
    for start in (0, 3, 6):
        memory.add(torch.arange(start, start + 3.0)[:, None, None].expand(3, 64, 96))
    assert len(memory) == 5
    assert sorted(memory.spectrograms[:, 0, 0].tolist()) == [4, 5, 6, 7, 8]
    memory.add(torch.arange(20.0, 29.0)[:, None, None].expand(9, 64, 96))
    assert sorted(memory.spectrograms[:, 0, 0].tolist()) == [24, 25, 26, 27, 28]


def test_draws_keep_their_bounds_and_reach_them() -> None:
    drawn = draw(np.random.default_rng(0), 5000, 2048, PretrainConfig())
    assert 0 <= drawn.ratios.min() < 0.001
    assert 0.399 < drawn.ratios.max() <= 0.4
    assert (drawn.partners.min(), drawn.partners.max()) == (0, 2047)
    starts, sizes = drawn.rows[..., 0], drawn.rows[..., 1]
    assert (sizes.min(), sizes.max()) == (38, 64)  # int(0.6 x 64), and no taller than the canvas
    assert starts.min() == 0
    assert (starts + sizes).max() == 64
    starts, sizes = drawn.columns[..., 0], drawn.columns[..., 1]
    assert (sizes.min(), sizes.max()) == (57, 143)
    assert starts.min() == 0
    assert (starts + sizes).max() == 144


def test_views_are_drawn_apart() -> None:
    drawn = draw(np.random.default_rng(0), 100, 2048, PretrainConfig())
    for values in (drawn.ratios, drawn.partners, drawn.rows, drawn.columns):
        assert not np.array_equal(values[0], values[1])


def test_resized_crops_are_pytorchs_bicubic_interpolation() -> None:
    spectrograms, config = make_spectrograms(40), PretrainConfig()
    drawn = draw(np.random.default_rng(3), 40, 1, config)
    rows, columns = torch.from_numpy(drawn.rows[0]), torch.from_numpy(drawn.columns[0])
    resized = resize_crops(spectrograms, rows, columns, canvas=config.canvas)
    canvas = functional.pad(spectrograms, (24, 24))
    for i in range(40):
        (top, height), (left, width) = rows[i].tolist(), columns[i].tolist()
        cut = canvas[i, top : top + height, left : left + width]
        expected = functional.interpolate(cut[None, None], (64, 96), mode="bicubic", align_corners=True)[0, 0]
        torch.testing.assert_close(resized[i], expected, rtol=1e-4, atol=1e-4)


def test_a_crop_of_the_whole_spectrogram_changes_nothing() -> None:
    spectrograms = make_spectrograms(2)
    whole = resize_crops(spectrograms, torch.tensor([[0, 64]] * 2), torch.tensor([[24, 96]] * 2))
    torch.testing.assert_close(whole, spectrograms, rtol=1e-5, atol=1e-5)


def test_views_are_normalised_together() -> None:
    views = torch.stack([make_spectrograms(4) + 5, make_spectrograms(4, seed=1) - 5])[:, :, None]
    normalised = normalise_views(views)
    assert normalised.mean().item() == pytest.approx(0, abs=1e-5)
    assert normalised.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    assert normalised[0].mean() > 0.5  # their difference stays


def test_views_depend_on_the_generator_alone() -> None:
    config = PretrainConfig(memory_size=8)
    runs = []
    for seed in (0, 0, 1):
        augment = Augmentation(config, CPU)
        augment(make_crops(), np.random.default_rng(9))
        runs.append(augment(make_crops(seed=1), np.random.default_rng(seed)))
    assert runs[0].shape == (2, 6, 1, 64, 96)
    assert runs[0].equal(runs[1])
    assert not torch.allclose(runs[0], runs[2])
    assert not torch.allclose(runs[0][0], runs[0][1])


def test_a_share_gets_the_views_that_it_has_in_the_whole_batch() -> None:
    config = PretrainConfig(mixup_ratio=0.0)
    whole, part = Augmentation(config, CPU), Augmentation(config, CPU)
    for augment in (whole, part):
        augment.statistics.update(LogMel(CPU)(make_crops()))
    drawn = draw(np.random.default_rng(5), 6, 0, config)
    spectrograms = make_spectrograms()
    expected = whole._make_view(spectrograms, drawn, 0)
    got = part._make_view(spectrograms[2:4], drawn.take(slice(2, 4)), 0)
    torch.testing.assert_close(got, expected[2:4])


def test_without_mixup_and_crop_the_views_are_equal() -> None:
    augment = Augmentation(PretrainConfig(mixup_ratio=0.0, resized_crop=False), CPU)
    for seed in range(2):
        views = augment(make_crops(seed=seed), np.random.default_rng(seed))
        assert views[0].equal(views[1])


def test_first_batch_has_nothing_to_be_mixed_with(monkeypatch: pytest.MonkeyPatch) -> None:
    ratios = []
    monkeypatch.setattr(augmentations, "mix", lambda x, partners, share: ratios.append(share) or x)
    augment = Augmentation(PretrainConfig(), CPU)
    augment(make_crops(), np.random.default_rng(0))
    assert not ratios
    augment(make_crops(), np.random.default_rng(1))
    assert len(ratios) == 2


def test_statistics_stop_after_the_first_epoch() -> None:
    augment = Augmentation(PretrainConfig(), CPU)
    augment(make_crops(), np.random.default_rng(0))
    before = augment.statistics.sums.clone()
    augment(make_crops(seed=1), np.random.default_rng(1), measure=False)
    assert augment.statistics.sums.equal(before)


def test_state_goes_on_where_it_was() -> None:
    config = PretrainConfig(memory_size=8)
    first, second = Augmentation(config, CPU), Augmentation(config, CPU)
    first(make_crops(), np.random.default_rng(0))
    second.load_state_dict(first.state_dict())
    views = [each(make_crops(seed=1), np.random.default_rng(1)) for each in (first, second)]
    assert views[0].equal(views[1])
