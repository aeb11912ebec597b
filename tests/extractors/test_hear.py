"""The HEAR API both ways: every extractor through it, and guests, which are small modules that the tests write."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from asserting import one_line
from making import make_byol_state, make_noise

from serab_lib.benchmark.embeddings import extract
from serab_lib.extractors import hear
from serab_lib.extractors.base import check_extractor
from serab_lib.extractors.registry import EXTRACTORS, get_entry, load_extractor
from serab_lib.extractors.trill import prepare_for_tensorflow


def make_audio(n_sounds: int = 3, n_samples: int = 12_345) -> torch.Tensor:
    return 0.1 * make_noise(n_sounds, n_samples)


@pytest.fixture
def model() -> hear.HearModel:
    return hear.load_model("logmel-stats")


def test_scene_embeddings_are_the_extractor_s(model: hear.HearModel) -> None:
    assert isinstance(model, torch.nn.Module)
    assert (model.sample_rate, model.scene_embedding_size, model.timestamp_embedding_size) == (16_000, 128, 128)
    audio = make_audio()
    made = hear.get_scene_embeddings(audio, model)
    torch.testing.assert_close(made, load_extractor("logmel-stats").embed(list(audio)), rtol=0, atol=0)
    torch.testing.assert_close(model(audio), made, rtol=0, atol=0)


@pytest.mark.parametrize(("n_samples", "n_timestamps"), [(1, 1), (799, 1), (800, 2), (32_000, 41), (32_001, 41)])
def test_a_timestamp_every_50_ms_from_0_to_the_end(model: hear.HearModel, n_samples: int, n_timestamps: int) -> None:
    embeddings, timestamps = hear.get_timestamp_embeddings(make_audio(2, n_samples), model)
    assert embeddings.shape == (2, n_timestamps, 128)
    assert embeddings.dtype == timestamps.dtype == torch.float32
    expected = 50.0 * torch.arange(n_timestamps)
    torch.testing.assert_close(timestamps, expected.expand(2, n_timestamps), rtol=0, atol=1e-3)


def test_frames_of_1_s_are_centred_on_their_timestamps(model: hear.HearModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several calls of the extractor, of seven frames here."""
    monkeypatch.setattr(hear, "_FRAMES_PER_CALL", 7)
    audio, silence = make_audio(2, 32_000), torch.zeros(8_000)
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    centre = int((timestamps[0] == 1000).nonzero())
    embed = load_extractor("logmel-stats").embed
    torch.testing.assert_close(embeddings[:, centre], embed([each[8_000:24_000] for each in audio]))
    torch.testing.assert_close(embeddings[:, 0], embed([torch.cat([silence, each[:8_000]]) for each in audio]))
    torch.testing.assert_close(embeddings[:, -1], embed([torch.cat([each[-8_000:], silence]) for each in audio]))


def test_frames_between_two_samples_are_rounded() -> None:
    """At 22,050 Hz a step of 50 ms is 1,102.5 samples."""
    frames, n_frames = hear._frame(torch.arange(22_050.0)[None], 22_050)
    assert n_frames == 21
    assert {len(frame) for frame in frames} == {22_050}
    starts = [int(frame[11_025:][0]) if i else 0 for i, frame in enumerate(frames[:5])]
    assert starts == [0, 1102, 2205, 3308, 4410]


def test_a_path_may_be_given_in_place_of_a_name(byol_checkpoint: Path) -> None:
    """And both ways at once: this library as the guest that `hear:` runs."""
    model, own = hear.load_model(str(byol_checkpoint)), load_extractor(f"path:{byol_checkpoint}")
    audio = make_audio()
    torch.testing.assert_close(hear.get_scene_embeddings(audio, model), own.embed(list(audio)), rtol=0, atol=0)
    guest = load_extractor(f"hear:serab_lib.extractors.hear@{byol_checkpoint}")
    waveforms = [make_audio(1, length)[0] for length in (8_000, 12_000, 8_000)]
    torch.testing.assert_close(guest.embed(waveforms), own.embed(waveforms), rtol=1e-5, atol=1e-6)


def test_a_released_name_says_which_extractor_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NTT's checkpoints want another window, and a file under a released name is verified."""
    (checkpoint,) = EXTRACTORS["byol-a-512"].checkpoints
    torch.save(make_byol_state(), tmp_path / checkpoint.file)
    with one_line("is not the released file"):
        hear.load_model(str(tmp_path / checkpoint.file))
    monkeypatch.setenv("SERAB_WEIGHTS", str(tmp_path))
    with one_line("byol-s-2048 needs default2048"):
        hear.load_model()


def test_what_is_no_file_no_audio_or_no_model_is_refused(model: hear.HearModel) -> None:
    with one_line("there is no file .*serab models"):
        hear.load_model("no/such/file.pth")
    for audio in (torch.zeros(100), torch.zeros(2, 0), torch.zeros(2, 100, dtype=torch.int16)):
        with one_line("n_sounds, n_samples"):
            hear.get_timestamp_embeddings(audio, model)
    with one_line("load_model"):
        hear.get_scene_embeddings(make_audio(), torch.nn.Identity())


def test_opensmile_is_refused_where_it_would_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """openSMILE's library corrupts the heap of a process that loaded TensorFlow before it."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.delitem(sys.modules, "opensmile", raising=False)
    with one_line("import opensmile before"):
        hear.load_model("opensmile")


GUEST = """
import torch

class Model(torch.nn.Module):
    sample_rate = 8000
    scene_embedding_size = timestamp_embedding_size = 4

    def __init__(self):
        super().__init__()
        self.projection = torch.nn.Linear(2, 4)
        with torch.no_grad():
            self.projection.weight.copy_(torch.arange(8.0).reshape(4, 2))
            self.projection.bias.fill_(1.0)

def load_model(model_file_path=""):
    model = Model()
    if model_file_path:
        model.load_state_dict(torch.load(model_file_path, weights_only=True))
    return model

def get_scene_embeddings(audio, model):
    assert audio.ndim == 2 and not model.training
    return model.projection(torch.stack([audio.mean(dim=1), audio.std(dim=1)], dim=1))
"""
TENSORFLOW_GUEST = """
import tensorflow as tf

class Model(tf.Module):
    sample_rate = 8000
    scene_embedding_size = 2

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable([1.0, 2.0])

def load_model():
    return Model()

def get_scene_embeddings(audio, model):
    return tf.reduce_mean(audio, axis=1, keepdims=True) * model.scale
"""
Write = Callable[[str], str]


@pytest.fixture
def write_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """A function that writes a module, ready to be imported anew, and says its name."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def write(source: str) -> str:
        sys.modules.pop("a_hear_guest", None)
        (folder / "a_hear_guest.py").write_text(source)
        # A source of the same second and size would be taken from Python's cache.
        for cached in folder.glob("__pycache__/*"):
            cached.unlink()
        return "a_hear_guest"

    yield write
    sys.modules.pop("a_hear_guest", None)


def test_a_guest_keeps_what_every_extractor_promises(write_guest: Write, tmp_path: Path) -> None:
    name, path = write_guest(GUEST), tmp_path / "my.weights.pth"
    torch.save({"projection.weight": -torch.arange(8.0).reshape(4, 2), "projection.bias": torch.full((4,), 7.0)}, path)
    plain, weighted = load_extractor(f"hear:{name}"), load_extractor(f"hear:{name}@{path}")
    assert (plain.sample_rate, plain.embedding_size, plain.n_parameters) == (8000, 4, 12)
    assert (plain.name, weighted.name) == ("hear-a_hear_guest", "hear-a_hear_guest-my.weights")
    check_extractor(plain, weighted, longest_s=3)
    audio = make_audio(2, 3_210)
    moments = torch.stack([audio.mean(dim=1), audio.std(dim=1)], dim=1)
    expected = moments @ torch.arange(8.0).reshape(4, 2).T
    torch.testing.assert_close(plain.embed(list(audio)), expected + 1, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weighted.embed(list(audio)), 7 - expected, rtol=1e-4, atol=1e-5)
    with one_line(r"no weights .*none\.pth"):
        load_extractor(f"hear:{name}@{tmp_path / 'none.pth'}")


def test_files_are_resampled_to_the_guest_s_rate(write_guest: Write, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000), 16_000)
    guest = load_extractor(f"hear:{write_guest(GUEST)}")
    made = extract([str(tmp_path / "tone.wav")], guest, cache=tmp_path / "cache", n_jobs=2)
    np.testing.assert_allclose(made.matrix[0], 0.5 / np.sqrt(2) * np.array([1, 3, 5, 7]) + 1, atol=0.01)


def test_identity_says_the_version_of_the_package_or_what_the_file_holds(write_guest: Write) -> None:
    first = load_extractor(f"hear:{write_guest(GUEST)}").fingerprint
    assert load_extractor(f"hear:{write_guest(GUEST)}").fingerprint == first
    assert load_extractor(f"hear:{write_guest(GUEST + chr(10))}").fingerprint != first
    assert get_entry("hear:torch.nn").options["version"] == f"torch {metadata.version('torch')}"


BREAKAGES = {
    "no function load_model": "x = 1",
    "failed in the import .*no_such_package_here": "import no_such_package_here",
    "sample_rate = None": GUEST.replace("sample_rate = 8000", "pass"),
    "load_model .*OSError: no disk": GUEST.replace("model = Model()", "raise OSError('no\\n disk')"),
    r"\(2, 3\).*expected \(2, 4\)": GUEST.replace("dim=1)], dim=1))", "dim=1)], dim=1))[:, :3]"),
    "get_scene_embeddings .*Error: too short": GUEST.replace("    assert", "    assert False, 'too\\n short'; assert"),
}


@pytest.mark.parametrize("message", BREAKAGES)
def test_what_breaks_the_api_is_said_in_one_line(write_guest: Write, message: str) -> None:
    with one_line(f"hear:a_hear_guest.*{message}"):
        load_extractor(f"hear:{write_guest(BREAKAGES[message])}").embed(list(make_audio(2)))


def test_missing_module_is_named() -> None:
    with one_line("no module 'torch.no_such_part'.*PYTHONPATH"):
        get_entry("hear:torch.no_such_part")


def test_a_guest_in_tensorflow_that_takes_no_path(write_guest: Write) -> None:
    prepare_for_tensorflow()
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'serab-companion[tensorflow]'")
    extractor = load_extractor(f"hear:{write_guest(TENSORFLOW_GUEST)}")
    check_extractor(extractor, longest_s=3)
    expected = make_audio().mean(dim=1, keepdim=True) * torch.tensor([1.0, 2.0])
    torch.testing.assert_close(extractor.embed(list(make_audio())), expected, rtol=1e-3, atol=1e-5)
