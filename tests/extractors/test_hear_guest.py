"""Guests with the HEAR API: small modules that the tests write."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from serab_lib.benchmark.embeddings import extract
from serab_lib.core import SerabError, hash_files
from serab_lib.extractors.hear import HearGuest
from serab_lib.extractors.registry import get_entry, load_extractor
from serab_lib.extractors.trill import prepare_for_tensorflow

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


@pytest.fixture
def write_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that writes a module, ready to be imported anew."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def write(source: str, name: str = "a_hear_guest") -> str:
        sys.modules.pop(name, None)
        (folder / f"{name}.py").write_text(source)
        # A source of the same second and size would be taken from Python's cache.
        for cached in folder.glob("__pycache__/*"):
            cached.unlink()
        return name

    yield write
    sys.modules.pop("a_hear_guest", None)


def make_waveforms() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(length, generator=generator) for length in (8_000, 3_210, 8_000, 10, 96_000)]


def test_scene_embeddings_of_any_lengths(write_guest) -> None:
    extractor = load_extractor(f"hear:{write_guest(GUEST)}")
    assert (extractor.sample_rate, extractor.embedding_size, extractor.n_parameters) == (8000, 4, 12)
    assert extractor.name == "hear-a_hear_guest"
    waveforms = make_waveforms()
    moments = torch.tensor([[wave.mean(), wave.std()] for wave in waveforms])
    expected = moments @ torch.arange(8.0).reshape(4, 2).T + 1
    torch.testing.assert_close(extractor.embed(waveforms), expected, rtol=1e-4, atol=1e-5)
    with torch.inference_mode():
        torch.testing.assert_close(extractor.encode(waveforms), expected, rtol=1e-4, atol=1e-5)


def test_files_are_resampled_to_the_guest_s_rate(write_guest, tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    soundfile.write(tmp_path / "tone.wav", tone, 16_000)
    extractor = load_extractor(f"hear:{write_guest(GUEST)}")
    paths = [str(tmp_path / "tone.wav")]
    made = extract(paths, hash_files(paths, cache=tmp_path), extractor, cache=tmp_path / "cache", n_jobs=2)
    expected = np.array([0.0, 0.5 / np.sqrt(2)]) @ np.arange(8.0).reshape(4, 2).T + 1
    np.testing.assert_allclose(made.matrix[0], expected, atol=0.01)


def test_weights_are_given_to_the_guest(write_guest, tmp_path: Path) -> None:
    name = write_guest(GUEST)
    torch.save(
        {"projection.weight": torch.zeros(4, 2), "projection.bias": torch.full((4,), 7.0)}, tmp_path / "my.weights.pth"
    )
    entry = get_entry(f"hear:{name}@{tmp_path / 'my.weights.pth'}")
    assert entry.name == "hear-a_hear_guest-my.weights"
    assert entry.own_checkpoint == tmp_path / "my.weights.pth"
    extractor = load_extractor(entry)
    assert (extractor.embed(make_waveforms()) == 7).all()
    assert extractor.fingerprint != load_extractor(f"hear:{name}").fingerprint


def test_fingerprint_says_the_version_of_the_package_or_what_the_file_holds(write_guest) -> None:
    first = load_extractor(f"hear:{write_guest(GUEST)}").fingerprint
    assert load_extractor(f"hear:{write_guest(GUEST)}").fingerprint == first
    assert load_extractor(f"hear:{write_guest(GUEST + chr(10))}").fingerprint != first
    assert get_entry("hear:torch.nn").options["version"] == f"torch {metadata.version('torch')}"


def test_a_guest_that_takes_no_path(write_guest) -> None:
    guest = GUEST.replace('model_file_path=""', "").replace("    if model_file_path:", "    if False:")
    assert HearGuest(write_guest(guest)).embedding_size == 4


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("x = 1", "no function load_model", id="no functions"),
        pytest.param("import no_such_package_here", "failed in the import .*no_such_package_here", id="broken import"),
        pytest.param(GUEST.replace("sample_rate = 8000", "pass"), "sample_rate = None", id="no sample rate"),
        pytest.param(GUEST.replace("model = Model()", "raise OSError('no\\n disk')"), "OSError: no disk", id="load"),
    ],
)
def test_what_breaks_the_api_is_said_in_one_line(write_guest, source: str, message: str) -> None:
    with pytest.raises(SerabError, match=message) as caught:
        load_extractor(f"hear:{write_guest(source)}")
    assert "\n" not in str(caught.value)
    assert "hear:a_hear_guest" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("audio.std(dim=1)], dim=1))", "audio.std(dim=1)], dim=1))[:, :3]", r"shape \(1, 3\).*expected \(1, 4\)"),
        (
            "assert audio.ndim == 2",
            "assert audio.shape[1] > 99, 'too\\n short'; assert True",
            "AssertionError: too short",
        ),
    ],
)
def test_failures_on_audio_are_said_in_one_line(write_guest, old: str, new: str, message: str) -> None:
    with pytest.raises(SerabError, match=message) as caught:
        load_extractor(f"hear:{write_guest(GUEST.replace(old, new))}").embed(make_waveforms())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no_such_module", "no_such_module.inside", "torch.no_such_part"])
def test_missing_module_is_named(name: str) -> None:
    with pytest.raises(SerabError, match=f"no module '{name}'.*PYTHONPATH"):
        get_entry(f"hear:{name}")


def test_missing_weights_are_named(write_guest, tmp_path: Path) -> None:
    with pytest.raises(SerabError, match=r"no weights .*none\.pth"):
        load_extractor(f"hear:{write_guest(GUEST)}@{tmp_path / 'none.pth'}")


def test_a_guest_in_tensorflow(write_guest) -> None:
    prepare_for_tensorflow()
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'serab-companion[tensorflow]'")
    guest = """
import tensorflow as tf

class Model(tf.Module):
    sample_rate = 16000
    scene_embedding_size = 2

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable([1.0, 2.0])

def load_model(model_file_path=""):
    return Model()

def get_scene_embeddings(audio, model):
    return tf.reduce_mean(audio, axis=1, keepdims=True) * model.scale
"""
    extractor = load_extractor(f"hear:{write_guest(guest)}")
    waveforms = make_waveforms()
    expected = torch.stack([wave.mean() * torch.tensor([1.0, 2.0]) for wave in waveforms])
    torch.testing.assert_close(extractor.embed(waveforms), expected, rtol=1e-3, atol=1e-5)
