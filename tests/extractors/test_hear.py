import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from making import make_noise, one_line

from serab_lib.benchmark.embeddings import extract
from serab_lib.extractors import base, hear, trill
from serab_lib.extractors.registry import EXTRACTORS, get_entry, load_extractor

GUEST, TENSORFLOW_GUEST, _, BREAKAGES = tomllib.loads(Path(__file__).with_name("guests.toml").read_text()).values()


def make_audio(n_sounds: int = 3, n_samples: int = 12_345) -> torch.Tensor:
    return 0.1 * make_noise(n_sounds, n_samples)


@pytest.fixture
def model() -> hear.HearModel:
    return hear.load_model("logmel-stats")


def test_scene_embeddings_are_the_extractor_s_by_name_or_path(model: hear.HearModel, byol_checkpoint: Path) -> None:
    assert (model.sample_rate, model.scene_embedding_size, model.timestamp_embedding_size) == (16_000, 128, 128)
    audio = make_audio()
    expected = load_extractor("logmel-stats").embed(list(audio))
    assert hear.get_scene_embeddings(audio, model).equal(expected) and model(audio).equal(expected)
    audio, own = make_audio(), load_extractor(f"path:{byol_checkpoint}")
    assert hear.get_scene_embeddings(audio, hear.load_model(str(byol_checkpoint))).equal(own.embed(list(audio)))
    guest = load_extractor(f"hear:serab_lib.extractors.hear@{byol_checkpoint}")
    waveforms = [make_audio(1, length)[0] for length in (8_000, 12_000, 8_000)]
    torch.testing.assert_close(guest.embed(waveforms), own.embed(waveforms), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("n_samples", "n_timestamps"), [(1, 1), (799, 1), (800, 2), (32_000, 41), (32_001, 41)])
def test_a_timestamp_every_50_ms_from_0_to_the_end(model: hear.HearModel, n_samples: int, n_timestamps: int) -> None:
    embeddings, timestamps = hear.get_timestamp_embeddings(make_audio(2, n_samples), model)
    assert embeddings.shape == (2, n_timestamps, 128) and embeddings.dtype == torch.float32
    torch.testing.assert_close(timestamps, 50.0 * torch.arange(n_timestamps).expand(2, -1), rtol=0, atol=1e-3)


def test_frames_of_1_s_are_centred_on_their_timestamps(model: hear.HearModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several calls of the extractor, of seven frames here. At 22,050 Hz a step of 50 ms is 1,102.5 samples."""
    monkeypatch.setattr(hear, "_FRAMES_PER_CALL", 7)
    audio = make_audio(2, 32_000)
    embeddings, _ = hear.get_timestamp_embeddings(audio, model)
    padded = torch.nn.functional.pad(audio, (8_000, 8_000))
    expected = [load_extractor("logmel-stats").embed(list(padded[:, 800 * i :][:, :16_000])) for i in (0, 20, 40)]
    torch.testing.assert_close(embeddings[:, [0, 20, 40]], torch.stack(expected, dim=1))
    frames, n_frames = hear._frame(torch.arange(22_050.0)[None], 22_050)
    assert n_frames == 21 and {len(frame) for frame in frames} == {22_050}
    assert [int(frame[11_025:][0]) if i else 0 for i, frame in enumerate(frames[:5])] == [0, 1102, 2205, 3308, 4410]


def test_what_cannot_be_loaded_or_is_no_audio_is_refused(model: hear.HearModel, tmp_path: Path, monkeypatch) -> None:
    """NTT's checkpoints want another window: a file under a released name is verified."""
    monkeypatch.setenv("SERAB_WEIGHTS", str(tmp_path))
    released = tmp_path / EXTRACTORS["byol-a-512"].checkpoints[0].file
    released.write_bytes(b"another")
    for path, message in (
        (str(released), "is not the released file"),
        ("", "byol-s-2048 needs default2048"),
        ("no/such/file.pth", "there is no file .*serab models"),
    ):
        with one_line(message):
            hear.load_model(path)
    for audio in (torch.zeros(100), torch.zeros(2, 0), torch.zeros(2, 100, dtype=torch.int16)):
        with one_line("n_sounds, n_samples"):
            hear.get_timestamp_embeddings(audio, model)
    with one_line("load_model"):
        hear.get_scene_embeddings(make_audio(), torch.nn.Identity())
    with one_line("no module 'torch.no_such_part'.*PYTHONPATH"):
        get_entry("hear:torch.no_such_part")
    # openSMILE's library corrupts the heap of a process that loaded TensorFlow before it.
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.delitem(sys.modules, "opensmile", raising=False)
    with one_line("import opensmile before"):
        hear.load_model("opensmile")


@pytest.fixture
def write_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    monkeypatch.syspath_prepend(tmp_path)
    # A source of the same second and size would be taken from Python's cache.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(source: str) -> str:
        sys.modules.pop("a_hear_guest", None)
        (tmp_path / "a_hear_guest.py").write_text(source)
        return "a_hear_guest"

    return write


def test_a_guest_keeps_what_every_extractor_promises(write_guest, tmp_path: Path) -> None:
    name, path = write_guest(GUEST), tmp_path / "my.weights.pth"
    torch.save({"projection.weight": -torch.arange(8.0).reshape(4, 2), "projection.bias": torch.full((4,), 7.0)}, path)
    plain, weighted = load_extractor(f"hear:{name}"), load_extractor(f"hear:{name}@{path}")
    assert (plain.sample_rate, plain.embedding_size, plain.n_parameters) == (8000, 4, 12)
    assert (plain.name, weighted.name) == ("hear-a_hear_guest", "hear-a_hear_guest-my.weights")
    base.check_extractor(plain, weighted, longest_s=3)
    audio = make_audio(2, 3_210)
    expected = torch.stack([audio.mean(dim=1), audio.std(dim=1)], dim=1) @ torch.arange(8.0).reshape(4, 2).T
    torch.testing.assert_close(plain.embed(list(audio)), expected + 1, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weighted.embed(list(audio)), 7 - expected, rtol=1e-4, atol=1e-5)
    with one_line(r"no weights .*none\.pth"):
        load_extractor(f"hear:{name}@{tmp_path / 'none.pth'}")


def test_files_are_resampled_to_the_guest_s_rate_and_its_identity_says_what_it_is(write_guest, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000), 16_000)
    guest = load_extractor(f"hear:{write_guest(GUEST)}")
    made = extract([str(tmp_path / "tone.wav")], guest, cache=tmp_path / "cache", n_jobs=2)
    np.testing.assert_allclose(made.matrix[0], 0.5 / np.sqrt(2) * np.array([1, 3, 5, 7]) + 1, atol=0.01)
    assert load_extractor(f"hear:{write_guest(GUEST)}").fingerprint == guest.fingerprint
    assert load_extractor(f"hear:{write_guest(GUEST + chr(10))}").fingerprint != guest.fingerprint
    assert get_entry("hear:torch.nn").options["version"] == f"torch {metadata.version('torch')}"


@pytest.mark.parametrize(("message", "old", "new"), BREAKAGES)
def test_what_breaks_the_api_is_said_in_one_line(write_guest, message: str, old: str, new: str) -> None:
    with one_line(f"hear:a_hear_guest.*{message}"):
        load_extractor(f"hear:{write_guest(GUEST.replace(old, new))}").embed(list(make_audio(2)))


def test_a_guest_in_tensorflow_that_takes_no_path(write_guest) -> None:
    trill.prepare_for_tensorflow()
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'serab-companion[tensorflow]'")
    extractor = load_extractor(f"hear:{write_guest(TENSORFLOW_GUEST)}")
    base.check_extractor(extractor, longest_s=3)
    expected = make_audio().mean(dim=1, keepdim=True) * torch.tensor([1.0, 2.0])
    torch.testing.assert_close(extractor.embed(list(make_audio())), expected, rtol=1e-3, atol=1e-5)
