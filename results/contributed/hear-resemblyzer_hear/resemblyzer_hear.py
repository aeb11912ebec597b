"""Resemblyzer's speaker encoder behind the HEAR API: `serab run --models hear:resemblyzer_hear`.

    pip install librosa webrtcvad-wheels
    pip install --no-deps Resemblyzer==0.1.4

The encoder gets the audio as it is, without Resemblyzer's `preprocess_wav`, which raises the volume and cuts pauses.
"""

import numpy as np
import torch
from resemblyzer import VoiceEncoder, sampling_rate


def load_model(path: str = "") -> VoiceEncoder:
    """Load the encoder with the weights inside the package, or with others."""
    model = VoiceEncoder("cpu", verbose=False, weights_fpath=path or None)
    model.sample_rate = sampling_rate
    model.scene_embedding_size = model.timestamp_embedding_size = model.linear.out_features
    return model


def get_scene_embeddings(audio: torch.Tensor, model: VoiceEncoder) -> torch.Tensor:
    """Embed sounds one by one: (n_sounds, n_samples) to (n_sounds, 256)."""
    model.device = audio.device
    return torch.from_numpy(np.stack([model.embed_utterance(sound) for sound in audio.cpu().numpy()]))
