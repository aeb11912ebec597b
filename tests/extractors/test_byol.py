from __future__ import annotations

import torch
from making import make_byol_state

from serab_lib.extractors.byol import AudioNTTEncoder, FrozenAudioNTT


def encoder() -> AudioNTTEncoder:
    network = AudioNTTEncoder(512)
    network.load_state_dict(make_byol_state())
    return network.eval()


def test_frozen_network_equals_the_trained_form() -> None:
    log_mels = torch.randn(3, 1, 64, 91, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, result = encoder()(log_mels), FrozenAudioNTT(encoder())(log_mels, [91] * 3)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


def test_padding_is_exact_for_every_remainder_of_the_poolings() -> None:
    """Each length from 8 to 40 frames gives the same vector alone and beside a long neighbour."""
    network, generator = FrozenAudioNTT(encoder()), torch.Generator().manual_seed(0)
    lengths = list(range(8, 41))
    utterances = [torch.randn(1, 64, length, generator=generator) for length in lengths]
    padded = torch.zeros(len(lengths), 1, 64, 40)
    for row, utterance in zip(padded, utterances, strict=True):
        row[..., : utterance.shape[-1]] = utterance
    with torch.inference_mode():
        batch = network(padded, lengths)
        alone = torch.cat([network(each[None], [length]) for each, length in zip(utterances, lengths, strict=True)])
    torch.testing.assert_close(batch, alone, rtol=1e-4, atol=1e-5)
