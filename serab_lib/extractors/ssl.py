"""Self-supervised speech transformers: wav2vec 2.0, HuBERT and WavLM, averaged over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pad_sequence

from serab_lib.audio import import_torchaudio
from serab_lib.extractors.base import WaveformExtractor, count_parameters
from serab_lib.extractors.weights import load_into, read_state_dict

_POSITIONS = "encoder.transformer.pos_conv_embed.conv."
# Weight normalisation's tensors are named otherwise by older releases of torch, which made the files.
_WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}


# Samples that make one frame in the released networks: 25 ms.
_MIN_SAMPLES = 400


def build_network(bundle: str) -> nn.Module:
    """Build the network of one of torchaudio's bundles, on torch's default device, in evaluation mode."""
    torchaudio = import_torchaudio()
    # It has no public way to build a bundle's network without fetching its weights.
    released = getattr(torchaudio.pipelines, bundle)
    models = torchaudio.models
    builder = {"Wav2Vec2": models.wav2vec2_model, "WavLM": models.wavlm_model}[released._model_type]
    return builder(**released._params).eval()


class MeanOfLayer(nn.Module):
    """The mean over time of one transformer layer, exact on utterances of different lengths."""

    def __init__(self, network: nn.Module, layer: int) -> None:
        """Take torchaudio's network apart; the last layer includes the normalisation that large networks end with."""
        super().__init__()
        transformer = network.encoder.transformer
        self.front = network.feature_extractor
        self.projection = network.encoder.feature_projection
        self.positions = transformer.pos_conv_embed
        if parametrize.is_parametrized(self.positions.conv):
            # Frozen, the weight need not be normalised anew on each call.
            parametrize.remove_parametrizations(self.positions.conv, "weight")
        self.norm, self.norm_first = transformer.layer_norm, transformer.layer_norm_first
        self.is_last = layer == len(transformer.layers)
        self.layers = transformer.layers[:layer]
        self.normalises_over_time = any(isinstance(block.layer_norm, nn.GroupNorm) for block in self.front.conv_layers)
        self.requires_grad_(False)

    def forward(self, waveforms: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed waveforms of one frame at least: neither convolutions nor attention see another's padding."""
        frames = self.projection(self._frames(waveforms))  # (n, n_frames, d)
        counts = torch.tensor([self._count(len(waveform)) for waveform in waveforms], device=frames.device)
        padding = torch.arange(frames.shape[1], device=frames.device) >= counts[:, None]  # (n, n_frames)
        frames = frames.masked_fill(padding[..., None], 0)
        frames = frames + self.positions(frames)
        if self.norm_first:
            frames = self.norm(frames)
        masks = self._masks(padding)
        for layer in self.layers:
            frames, _ = layer(frames, **masks)
        if self.is_last and not self.norm_first:
            frames = self.norm(frames)
        return frames.masked_fill(padding[..., None], 0).sum(dim=1) / counts[:, None]

    def _frames(self, waveforms: Sequence[torch.Tensor]) -> torch.Tensor:
        """Local features of each waveform, (n, n_frames, n_channels); anything past an utterance's end."""
        if self.normalises_over_time:
            # A group norm over time takes padding into its statistics: one utterance at a time.
            return pad_sequence([self.front(waveform[None], None)[0][0] for waveform in waveforms], batch_first=True)
        return self.front(pad_sequence(list(waveforms), batch_first=True), None)[0]

    def _count(self, n_samples: int) -> int:
        """Frames that the front end makes of so many samples."""
        for block in self.front.conv_layers:
            n_samples = (n_samples - block.kernel_size) // block.stride + 1
        return n_samples

    def _masks(self, padding: torch.Tensor) -> dict[str, torch.Tensor | None]:
        """Arguments that keep each layer's attention inside the utterance."""
        n_utterances, n_frames = padding.shape
        attention, is_padded = self.layers[0].attention, bool(padding.any())
        if hasattr(attention, "compute_bias"):
            # WavLM: the first layer owns the bias by distance that all layers share. One for all utterances.
            bias = attention.compute_bias(n_frames, n_frames)[None]
            unseen = torch.zeros_like(padding, dtype=bias.dtype).masked_fill(padding, float("-inf"))
            return {"position_bias": bias, "key_padding_mask": unseen if is_padded else None}
        seen = ~padding[:, None, None, :].expand(n_utterances, 1, n_frames, n_frames)
        return {"attention_mask": seen if is_padded else None}


class SslExtractor(WaveformExtractor):
    """Mean over time of a transformer layer of wav2vec 2.0, HuBERT or WavLM, from 1; the last if None."""

    def __init__(self, checkpoint: str | Path, *, bundle: str, layer: int | None = None) -> None:
        self.normalises_waveform = getattr(import_torchaudio().pipelines, bundle)._normalize_waveform
        with torch.device("meta"):
            network = build_network(bundle)
        self.n_parameters = count_parameters(network)
        names = {_POSITIONS + old: _POSITIONS + new for old, new in _WEIGHT_NORM.items()}
        names = {old: new for old, new in names.items() if new in network.state_dict()}
        state = {names.get(name, name): tensor.float() for name, tensor in read_state_dict(checkpoint).items()}
        load_into(network, state, source=checkpoint, assign=True)
        self.layer = layer or len(network.encoder.transformer.layers)
        self.embedding_size = network.encoder.feature_projection.projection.out_features
        self.network = MeanOfLayer(network, self.layer)

    def prepare(self, waveform: torch.Tensor) -> torch.Tensor:
        """Waveform, normalised where the network wants it, of one frame's length at least, (n_samples,)."""
        if self.normalises_waveform:
            waveform = functional.layer_norm(waveform, waveform.shape)
        return functional.pad(waveform, (0, max(0, _MIN_SAMPLES - len(waveform))))

    def encode(self, prepared: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed a batch of waveforms, shape (len(prepared), embedding_size)."""
        return self.network([waveform.to(self.device) for waveform in prepared]).cpu()
