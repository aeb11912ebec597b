from __future__ import annotations

from pathlib import Path

import torch
from making import write_savee

from serab_lib.pretraining.byol import build_encoder
from serab_lib.pretraining.train import Probe


def test_a_probe_hears_no_test_speaker_and_tells_a_dead_encoder(tmp_path: Path) -> None:
    write_savee(tmp_path, n_takes=2)
    told = []
    probe = Probe("SAV", tmp_path, progress=lambda *numbers: told.append(numbers))
    assert set(probe.utterances["part"]) == {"train", "validation"}
    assert told[-1] == ("audio of SAVEE", len(probe.waveforms), len(probe.utterances))
    torch.manual_seed(0)
    encoder = build_encoder("byol-s-16")
    alive = probe.measure(encoder)
    assert encoder.training
    with torch.no_grad():
        encoder.fc[3].weight.zero_()
    # Embeddings that are all equal leave the classifier with chance, one of seven classes.
    assert probe.measure(encoder) < 0.2 < alive
