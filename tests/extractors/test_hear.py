"""Every extractor through the HEAR API."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from making import make_byol_state

from serab_lib.core import SerabError
from serab_lib.extractors import hear
from serab_lib.extractors.registry import EXTRACTORS, load_extractor


def make_audio(n_sounds: int = 3, n_samples: int = 12_345) -> torch.Tensor:
    return 0.1 * torch.randn(n_sounds, n_samples, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> hear.HearModel:
    return hear.load_model("logmel-stats")


def test_model_says_what_hear_asks_for(model: hear.HearModel) -> None:
    assert isinstance(model, torch.nn.Module)
    assert (model.sample_rate, model.scene_embedding_size, model.timestamp_embedding_size) == (16_000, 128, 128)


def test_scene_embeddings_are_the_extractor_s(model: hear.HearModel) -> None:
    audio = make_audio()
    made = hear.get_scene_embeddings(audio, model)
    torch.testing.assert_close(made, load_extractor("logmel-stats").embed(list(audio)), rtol=0, atol=0)
    torch.testing.assert_close(model(audio), made, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("n_samples", "n_timestamps"), [(1, 1), (799, 1), (800, 2), (12_345, 16), (32_000, 41), (32_001, 41)]
)
def test_a_timestamp_every_50_ms_from_0_to_the_end(model: hear.HearModel, n_samples: int, n_timestamps: int) -> None:
    embeddings, timestamps = hear.get_timestamp_embeddings(make_audio(2, n_samples), model)
    assert embeddings.shape == (2, n_timestamps, 128)
    assert embeddings.dtype == timestamps.dtype == torch.float32
    expected = 50.0 * torch.arange(n_timestamps)
    torch.testing.assert_close(timestamps, expected.expand(2, n_timestamps), rtol=0, atol=1e-3)


def test_frames_of_1_s_are_centred_on_their_timestamps(model: hear.HearModel) -> None:
    audio = make_audio(2, 32_000)
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    extractor = load_extractor("logmel-stats")
    centre = int((timestamps[0] == 1000).nonzero())
    torch.testing.assert_close(embeddings[:, centre], extractor.embed([each[8_000:24_000] for each in audio]))
    silence = torch.zeros(8_000)
    torch.testing.assert_close(
        embeddings[:, 0], extractor.embed([torch.cat([silence, each[:8_000]]) for each in audio])
    )
    torch.testing.assert_close(
        embeddings[:, -1], extractor.embed([torch.cat([each[-8_000:], silence]) for each in audio])
    )


def test_frames_between_two_samples_are_rounded() -> None:
    """At 22,050 Hz a step of 50 ms is 1,102.5 samples."""
    frames, n_frames = hear._frame(torch.arange(22_050.0)[None], 22_050)
    assert n_frames == 21
    assert {len(frame) for frame in frames} == {22_050}
    starts = [int(frame[11_025:][0]) if i else 0 for i, frame in enumerate(frames[:5])]
    assert starts == [0, 1102, 2205, 3308, 4410]


def test_many_frames_are_embedded_in_several_calls(model: hear.HearModel, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = hear.get_timestamp_embeddings(make_audio(), model)
    monkeypatch.setattr(hear, "_FRAMES_PER_CALL", 7)
    result, _ = hear.get_timestamp_embeddings(make_audio(), model)
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


def test_a_path_may_be_given_in_place_of_a_name(byol_checkpoint: Path) -> None:
    model = hear.load_model(str(byol_checkpoint))
    assert model.scene_embedding_size == 512
    audio = make_audio()
    expected = load_extractor(f"path:{byol_checkpoint}").embed(list(audio))
    torch.testing.assert_close(hear.get_scene_embeddings(audio, model), expected, rtol=0, atol=0)
    embeddings, _ = hear.get_timestamp_embeddings(audio, model)
    assert embeddings.shape == (3, 16, 512)


def test_a_released_name_says_which_extractor_it_is(tmp_path: Path) -> None:
    """NTT's checkpoints want another window, and a file under a released name is verified."""
    (checkpoint,) = EXTRACTORS["byol-a-512"].checkpoints
    torch.save(make_byol_state(), tmp_path / checkpoint.file)
    with pytest.raises(SerabError, match="is not the released file"):
        hear.load_model(str(tmp_path / checkpoint.file))


def test_default_is_that_of_the_second_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERAB_WEIGHTS", str(tmp_path))
    with pytest.raises(SerabError, match="byol-s-2048 needs default2048"):
        hear.load_model()


def test_guest_of_oneself(byol_checkpoint: Path) -> None:
    """Both directions at once: this library as the guest that `hear:` runs."""
    guest = load_extractor(f"hear:serab_lib.extractors.hear@{byol_checkpoint}")
    own = load_extractor(f"path:{byol_checkpoint}")
    audio = [make_audio(1, length)[0] for length in (8_000, 12_000, 8_000)]
    torch.testing.assert_close(guest.embed(audio), own.embed(audio), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["byols-512", "no/such/file.pth"])
def test_neither_a_name_nor_a_file(name: str) -> None:
    with pytest.raises(SerabError, match="serab models"):
        hear.load_model(name)


@pytest.mark.parametrize(
    "audio", [torch.zeros(100), torch.zeros(2, 0), torch.zeros(2, 100, dtype=torch.int16)], ids=["1-D", "empty", "int"]
)
def test_audio_of_another_form_is_refused(model: hear.HearModel, audio: torch.Tensor) -> None:
    for function in (hear.get_scene_embeddings, hear.get_timestamp_embeddings):
        with pytest.raises(SerabError, match="n_sounds, n_samples"):
            function(audio, model)


def test_opensmile_is_refused_where_it_would_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """openSMILE's library corrupts the heap of a process that loaded TensorFlow before it."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.delitem(sys.modules, "opensmile", raising=False)
    with pytest.raises(SerabError, match="import opensmile before"):
        hear.load_model("opensmile")


def test_another_model_is_refused() -> None:
    with pytest.raises(SerabError, match="load_model"):
        hear.get_scene_embeddings(make_audio(), torch.nn.Identity())
