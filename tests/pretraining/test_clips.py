from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from making import write_noises, write_savee

from serab_lib.core import SerabError
from serab_lib.pretraining import clips as clips_module
from serab_lib.pretraining.batches import CropBatches
from serab_lib.pretraining.clips import CROP_SAMPLES, find_audio, find_training_part, prepare_clips
from serab_lib.pretraining.config import PretrainConfig


def prepare(folder: Path, **options: object) -> clips_module.Clips:
    return prepare_clips(find_audio(folder), **options)


def test_audio_is_found_at_any_depth_in_an_order_of_its_own(tmp_path: Path) -> None:
    for name in ("b/x.wav", "a/deep/y.FLAC", "a/z.mp3", "w.ogg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "a" / ".hidden.wav").touch()
    found = [str(path.relative_to(tmp_path)) for path in find_audio(tmp_path)]
    assert found == ["a/deep/y.FLAC", "a/z.mp3", "b/x.wav", "w.ogg"]


def test_a_list_names_files_relative_to_itself(tmp_path: Path) -> None:
    paths = write_noises(tmp_path / "audio", n_files=3)
    listing = tmp_path / "list.txt"
    listing.write_text(f"# training\naudio/clip02.wav\n\n{paths[0]}\n")
    assert find_audio([listing, paths[0]]) == [paths[2], paths[0]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere", None, "there is no"),
        ("empty", "folder", r"no \.wav \.flac \.ogg \.mp3 file in the folder"),
        ("list.txt", "# nothing\n", "the list .* is empty"),
        ("clip.aiff", "x", "is no .* file and no list"),
    ],
)
def test_sources_without_audio_are_refused(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content:
        (tmp_path / name).write_text(content)
    with pytest.raises(SerabError, match=message) as caught:
        find_audio(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_no_source_at_all_is_refused() -> None:
    with pytest.raises(SerabError, match="no audio to train on"):
        find_audio([])


def test_clips_hold_the_samples_of_their_files(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-9000, 9000, 20_000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="PCM_16")
    soundfile.write(tmp_path / "b.flac", samples[::-1], 16_000, subtype="PCM_16")
    clips = prepare(tmp_path)
    assert len(clips) == 2
    np.testing.assert_array_equal(clips.samples[:20_000], samples)
    np.testing.assert_array_equal(clips.samples[20_000:], samples[::-1])
    cut = clips.cut(np.array([1, 0]), np.array([7, 4800]))
    np.testing.assert_array_equal(cut[0], samples[::-1][7 : 7 + CROP_SAMPLES])
    np.testing.assert_array_equal(cut[1], samples[4800:])


def test_other_rates_become_16_khz(tmp_path: Path) -> None:
    write_noises(tmp_path, n_files=1, seconds=2.0, rate=48_000)
    assert prepare(tmp_path).offsets.tolist() == [0, 32_000]


def test_a_clip_shorter_than_a_crop_is_padded_on_both_sides(tmp_path: Path) -> None:
    samples = np.full(5001, 1000, dtype=np.int16)
    soundfile.write(tmp_path / "short.wav", samples, 16_000, subtype="PCM_16")
    clips = prepare(tmp_path)
    assert clips.n_starts.tolist() == [1]
    before = (CROP_SAMPLES - 5001) // 2
    np.testing.assert_array_equal(clips.samples[before : before + 5001], samples)
    assert not clips.samples[:before].any()
    assert not clips.samples[before + 5001 :].any()


def test_unusable_files_are_left_out_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_noises(tmp_path, n_files=2)
    (tmp_path / "broken.wav").write_bytes(b"RIFF, but no more")
    soundfile.write(tmp_path / "silent.wav", np.zeros(20_000), 16_000)
    with caplog.at_level(logging.WARNING):
        clips = prepare(tmp_path)
    assert [Path(name).name for name in clips.names] == ["clip00.wav", "clip01.wav"]
    (record,) = caplog.records
    assert "2 of 4 audio files cannot be used and are left out; the first: " in record.getMessage()
    assert "broken.wav cannot be decoded" in record.getMessage()
    assert "silent.wav is silent" in clips.left_out[1]


@pytest.mark.parametrize("kind", ["broken", "silent", "missing"])
def test_a_folder_without_one_usable_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "only.wav"
    if kind == "broken":
        path.write_bytes(b"no audio")
    elif kind == "silent":
        soundfile.write(path, np.zeros(20_000), 16_000)
    with pytest.raises(SerabError, match=r"1 of 1 audio files cannot be used, and there are no others") as caught:
        prepare_clips([path])
    assert "\n" not in str(caught.value)


def test_files_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = write_noises(tmp_path, n_files=1)
    first = prepare(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(clips_module, "load_audio", lambda path: pytest.fail("decoded again"))
        again = prepare(tmp_path)
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again.samples, first.samples)
    soundfile.write(path, np.full(16_000, 1234, dtype=np.int16), 16_000)
    assert prepare(tmp_path).samples[100] == 1234


def test_samples_that_were_cut_off_are_noticed(tmp_path: Path) -> None:
    write_noises(tmp_path / "audio", n_files=1)
    prepare(tmp_path / "audio", cache=tmp_path / "cache")
    (samples,) = (tmp_path / "cache").rglob("samples.int16")
    os.truncate(samples, 100)
    with pytest.raises(SerabError, match=r"cut off: delete the folder"):
        prepare(tmp_path / "audio", cache=tmp_path / "cache")


def test_training_part_has_no_speaker_of_the_others(tmp_path: Path) -> None:
    write_savee(tmp_path, n_takes=1)
    assert {path.name[:2] for path in find_training_part("SAV", tmp_path)} == {"JK", "KL"}


def make_batches(tmp_path: Path, **settings: object) -> CropBatches:
    write_noises(tmp_path, n_files=8, seconds=1.2)
    return CropBatches(prepare(tmp_path), PretrainConfig(**{"batch_size": 4, **settings}))


def test_random_crops_really_are_random_and_inside_their_clips(tmp_path: Path) -> None:
    batches = make_batches(tmp_path)
    starts = np.concatenate([batches.choose(step)[1] for step in range(100)])
    last = int(1.2 * 16_000) - CROP_SAMPLES
    assert starts.min() >= 0
    assert starts.max() <= last
    assert starts.min() < 0.05 * last
    assert starts.max() > 0.95 * last
    assert len(np.unique(starts)) > 350
    assert abs(starts.mean() / last - 0.5) < 0.06


def test_released_crops_always_begin_at_the_start(tmp_path: Path) -> None:
    batches = make_batches(tmp_path, crop_start="released")
    for step in range(10):
        clips, starts = batches.choose(step)
        assert not starts.any()
        first = batches.clips.samples[batches.clips.offsets[clips[0]] :][:CROP_SAMPLES]
        assert batches.cut(step)[0].equal(torch.from_numpy(np.array(first)))


def test_an_epoch_has_every_clip_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    batches = make_batches(tmp_path)
    epochs = [np.concatenate([batches.choose(2 * epoch + i)[0] for i in range(2)]) for epoch in range(3)]
    for order in epochs:
        assert sorted(order) == list(range(8))
    assert len({tuple(order) for order in epochs}) == 3


def test_several_crops_of_each_clip(tmp_path: Path) -> None:
    batches = make_batches(tmp_path, crops_per_clip=3)
    assert batches.n_steps_per_epoch == 6
    counts = np.bincount(np.concatenate([batches.choose(step)[0] for step in range(6)]))
    assert counts.tolist() == [3] * 8


def test_iterating_from_the_middle_gives_the_same_batches(tmp_path: Path) -> None:
    batches = make_batches(tmp_path)
    whole = dict(batches.iterate(0, 12, torch.device("cpu")))
    assert list(whole) == list(range(12))
    for step, crops in batches.iterate(7, 12, torch.device("cpu")):
        assert crops.equal(whole[step])


def test_processes_share_a_batch(tmp_path: Path) -> None:
    whole = make_batches(tmp_path)
    shares = [CropBatches(whole.clips, whole.config, rank=rank, n_ranks=2).cut(3) for rank in range(2)]
    assert torch.cat(shares).equal(whole.cut(3))


def test_too_few_clips_for_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SerabError, match="8 crops do not fill one batch of 16"):
        make_batches(tmp_path, batch_size=16)
