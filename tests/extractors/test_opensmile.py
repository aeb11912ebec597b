import opensmile
import pytest
import torch
from making import make_noise

from serab_lib.extractors.opensmile import OpenSmile, _smile


def test_full_scale_does_not_click() -> None:
    """The wrapper's conversion would turn a sample of 1.0 into the most negative one."""
    wave = torch.sin(2 * torch.pi * 200 * torch.arange(16_000) / 16_000).clamp(-0.9999, 0.9999)
    touched = wave.clone()
    touched[wave.argmax()] = 1.0
    first, second = OpenSmile().embed([wave, touched])
    assert ((first - second).abs() <= 0.05 * first.abs() + 1.0).float().mean() > 0.99


@pytest.mark.parametrize("name", ["ComParE_2016", "eGeMAPSv02"])
def test_names_and_order_are_those_of_the_feature_set(name: str) -> None:
    smile = opensmile.Smile(getattr(opensmile.FeatureSet, name), opensmile.FeatureLevel.Functionals)
    noise = 0.1 * make_noise(16_000)
    expected = torch.from_numpy(smile.process_signal(noise.numpy(), 16_000).to_numpy()[0].copy())
    torch.testing.assert_close(OpenSmile(name).embed([noise])[0], expected, rtol=0, atol=0, equal_nan=True)


def test_an_installation_in_a_folder_that_is_not_ascii(tmp_path, monkeypatch):
    folder = tmp_path / "My Drive é"
    folder.symlink_to(opensmile.Smile().default_config_root)
    monkeypatch.setattr(opensmile.Smile, "default_config_root", property(lambda self: str(folder)))
    _smile.cache_clear()
    assert OpenSmile("eGeMAPSv02").embed([torch.ones(16_000)]).shape == (1, 88)
    _smile.cache_clear()
