from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from asserting import one_line
from making import write_noises

from serab_lib.pretraining.clips import CROP_SAMPLES, CropBatches, find_audio, prepare_clips
from serab_lib.pretraining.config import PretrainConfig


def make_batches(tmp_path: Path, **settings: object) -> CropBatches:
    write_noises(tmp_path, n_files=8, seconds=1.2)
    return CropBatches(prepare_clips(find_audio(tmp_path)), PretrainConfig(**{"batch_size": 4, **settings}))


def test_random_crops_really_are_random_and_inside_their_clips(tmp_path: Path) -> None:
    batches = make_batches(tmp_path)
    starts = np.concatenate([batches.choose(step)[1] for step in range(100)])
    last = int(1.2 * 16_000) - CROP_SAMPLES
    assert 0 <= starts.min() < 0.05 * last and 0.95 * last < starts.max() <= last
    assert len(np.unique(starts)) > 350
    assert abs(starts.mean() / last - 0.5) < 0.06


def test_released_crops_always_begin_at_the_start(tmp_path: Path) -> None:
    batches = make_batches(tmp_path, crop_start="released")
    for step in range(10):
        clips, starts = batches.choose(step)
        assert not starts.any()
        first = batches.clips.samples[batches.clips.offsets[clips[0]] :][:CROP_SAMPLES]
        assert batches.cut(step)[0].equal(torch.from_numpy(np.array(first)))


def test_an_epoch_has_every_clip_equally_often_in_an_order_of_its_own(tmp_path: Path) -> None:
    batches = make_batches(tmp_path, crops_per_clip=3)
    assert batches.n_steps_per_epoch == 6
    epochs = [np.concatenate([batches.choose(6 * epoch + i)[0] for i in range(6)]) for epoch in range(3)]
    assert all(np.bincount(order).tolist() == [3] * 8 for order in epochs)
    assert len({tuple(order) for order in epochs}) == 3


def test_iterating_from_the_middle_gives_the_same_batches(tmp_path: Path) -> None:
    batches = make_batches(tmp_path)
    whole = dict(batches.iterate(0, 12, torch.device("cpu")))
    assert list(whole) == list(range(12))
    for step, crops in batches.iterate(7, 12, torch.device("cpu")):
        assert crops.equal(whole[step])


def test_too_few_clips_for_a_batch_are_refused(tmp_path: Path) -> None:
    with one_line("8 crops do not fill one batch of 16"):
        make_batches(tmp_path, batch_size=16)
