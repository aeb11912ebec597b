import torch
from making import assert_padding_changes_nothing, make_byol_state, make_noise

from serab_lib.extractors.byol import AudioNTTEncoder, FrozenAudioNTT


def encoder() -> AudioNTTEncoder:
    network = AudioNTTEncoder(512)
    network.load_state_dict(make_byol_state())
    return network.eval()


def test_frozen_network_equals_the_trained_form_and_padding_is_exact_for_every_remainder() -> None:
    log_mels = make_noise(3, 1, 64, 91)
    with torch.inference_mode():
        expected, result = encoder()(log_mels), FrozenAudioNTT(encoder())(log_mels, [91] * 3)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)
    assert_padding_changes_nothing(FrozenAudioNTT(encoder()), range(8, 41), rtol=1e-4, atol=1e-5)
