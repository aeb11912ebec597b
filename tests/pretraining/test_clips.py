from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from making import one_line, touch, write_noises, write_savee

from serab_lib.pretraining import clips as clips_module
from serab_lib.pretraining.clips import CROP_SAMPLES, CropBatches, find_audio, prepare_clips, select_segments
from serab_lib.pretraining.config import PretrainConfig


def prepare(folder: Path) -> clips_module.Clips:
    return prepare_clips(find_audio(folder))


def test_audio_is_found_at_any_depth_in_an_order_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path, ("b/x.wav", "a/deep/y.FLAC", "a/z.mp3", "w.ogg", "notes.txt", "a/.hidden.wav"))
    found = [str(path.relative_to(tmp_path)) for path in find_audio(tmp_path)]
    assert found == ["a/deep/y.FLAC", "a/z.mp3", "b/x.wav", "w.ogg"]


def test_a_list_names_files_relative_to_itself_and_sources_without_audio_are_refused(tmp_path: Path) -> None:
    paths = write_noises(tmp_path / "audio", n_files=3)
    (tmp_path / "empty").mkdir()
    listing = f"# training\naudio/clip02.wav\n\n{paths[0]}\n"
    for name, content in {"list.txt": listing, "nothing.txt": "# nothing\n", "clip.aiff": "x"}.items():
        (tmp_path / name).write_text(content)
    assert find_audio([tmp_path / "list.txt", paths[0]]) == [paths[2], paths[0]]
    for name, message in {
        "nowhere": "there is no",
        "empty": r"no \.wav \.flac \.ogg \.mp3 file in the folder",
        "nothing.txt": "the list .* is empty",
        "clip.aiff": "is no .* file and no list",
    }.items():
        with one_line(message):
            find_audio(tmp_path / name)


def test_clips_hold_the_samples_of_their_files_at_16_khz_and_short_ones_are_padded(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-9000, 9000, 20_000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="PCM_16")
    soundfile.write(tmp_path / "b.flac", samples[::-1], 16_000, subtype="PCM_16")
    clips = prepare(tmp_path)
    np.testing.assert_array_equal(clips.samples, [*samples, *samples[::-1]])
    cut = clips.cut(np.array([1, 0]), np.array([7, 4800]))
    np.testing.assert_array_equal(cut, [samples[::-1][7 : 7 + CROP_SAMPLES], samples[4800:]])
    others = tmp_path / "others"
    write_noises(others, n_files=1, seconds=2.0, rate=48_000)
    samples = np.full(5001, 1000, dtype=np.int16)
    soundfile.write(others / "short.wav", samples, 16_000, subtype="PCM_16")
    clips = prepare(others)
    assert clips.offsets.tolist() == [0, 32_000, 32_000 + CROP_SAMPLES]
    assert clips.n_starts.tolist() == [32_000 - CROP_SAMPLES + 1, 1]
    np.testing.assert_array_equal(clips.samples[32_000:], np.pad(samples, (5099, 5100)))


def test_unusable_files_are_left_out_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_noises(tmp_path, n_files=2)
    broken, silent = tmp_path / "broken.wav", tmp_path / "silent.wav"
    broken.write_bytes(b"RIFF, but no more")
    soundfile.write(silent, np.zeros(20_000), 16_000)
    assert [Path(name).name for name in prepare(tmp_path).names] == ["clip00.wav", "clip01.wav"]
    (record,) = caplog.records
    assert "2 of 4 audio files cannot be used and are left out; the first: " in record.getMessage()
    with one_line(r"2 of 2 audio files cannot be used.* the first: .*is silent"):
        prepare_clips([silent, broken])
    with one_line(r"missing\.wav cannot be read .*: see that it is there"):
        prepare_clips([silent, tmp_path / "missing.wav"])


def test_files_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = write_noises(tmp_path, n_files=1)
    first = prepare(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(clips_module, "load_audio", lambda path: pytest.fail("decoded again"))
        again = prepare(tmp_path)
    assert again.fingerprint == first.fingerprint and np.array_equal(again.samples, first.samples)
    soundfile.write(path, np.full(16_000, 1234, dtype=np.int16), 16_000)
    assert prepare(tmp_path).samples[100] == 1234


def test_training_part_has_no_speaker_of_the_others(tmp_path: Path) -> None:
    write_savee(tmp_path, n_takes=1)
    assert {path.name[:2] for path in clips_module.find_training_part("SAV", tmp_path)} == {"JK", "KL"}


SEGMENTS = Path(__file__).with_name("segments.csv")
FILES = ("--PJHxphWEs.wav", "Y--ZhevVpy1s.flac", "Y0_3abcdefg_0.000_10.000.wav", "-0RWZT-miFs.ogg", "speech.wav")


def test_byol_a_takes_all_segments_and_byol_s_those_with_speech(tmp_path: Path) -> None:
    files = [Path("audio") / name for name in FILES]
    assert select_segments(files, SEGMENTS) == files[:4]
    assert select_segments(files, SEGMENTS, labels=clips_module.SPEECH_LABELS) == [files[0], files[2]]
    assert select_segments(files, SEGMENTS, labels=["/m/03v3yw"]) == [files[3]]
    with one_line("none of 1 audio files is one of the 4 chosen segments"):
        select_segments([Path("other.wav")], SEGMENTS)
    for content, message in (("# a comment\n", "lists no segments"), ("a,b\n", "of each: name one")):
        (tmp_path / "other.csv").write_text(content)
        with one_line(message):
            select_segments(files, tmp_path / "other.csv")


def make_batches(tmp_path: Path, **settings: object) -> CropBatches:
    write_noises(tmp_path)
    return CropBatches(prepare(tmp_path), PretrainConfig(**{"batch_size": 4, **settings}))


def test_random_crops_really_are_random_and_released_ones_always_begin_at_the_start(tmp_path: Path) -> None:
    batches = make_batches(tmp_path)
    starts = np.concatenate([batches.choose(step)[1] for step in range(100)])
    last = int(1.2 * 16_000) - CROP_SAMPLES
    assert 0 <= starts.min() < 0.05 * last and 0.95 * last < starts.max() <= last
    assert len(np.unique(starts)) > 350 and abs(starts.mean() / last - 0.5) < 0.06
    batches = make_batches(tmp_path, crop_start="released")
    for step in range(10):
        clips, starts = batches.choose(step)
        assert not starts.any()
        first = batches.clips.samples[batches.clips.offsets[clips[0]] :][:CROP_SAMPLES]
        assert batches.cut(step)[0].equal(torch.from_numpy(np.array(first)))


def test_an_epoch_has_every_clip_equally_often_and_its_middle_the_same_batches(tmp_path: Path) -> None:
    batches = make_batches(tmp_path, crops_per_clip=3)
    assert batches.n_steps_per_epoch == 6
    epochs = [np.concatenate([batches.choose(6 * epoch + i)[0] for i in range(6)]) for epoch in range(3)]
    assert all(np.bincount(order).tolist() == [3] * 8 for order in epochs)
    assert len({tuple(order) for order in epochs}) == 3
    batches = make_batches(tmp_path)
    whole = dict(batches.iterate(0, 12, torch.device("cpu")))
    assert list(whole) == list(range(12))
    assert all(crops.equal(whole[step]) for step, crops in batches.iterate(7, 12, torch.device("cpu")))
    with one_line("8 crops do not fill one batch of 16"):
        make_batches(tmp_path, batch_size=16)
