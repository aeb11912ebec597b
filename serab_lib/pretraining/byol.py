"""Bootstrap your own latent: an online network learns to predict its own moving average.

Two views of a crop go through both networks. The online one (encoder, projector, predictor) shall predict from one
view what the target (encoder, projector) makes of the other. Only the online one is trained; the target follows it.
"""

from __future__ import annotations

import copy
import re

import torch
from torch import nn
from torch.nn import functional

from serab_lib.core import SerabError
from serab_lib.extractors.byol import AudioNTTEncoder
from serab_lib.extractors.cvt import LARGE_WIDTHS, SMALL_WIDTHS, CvtEncoder
from serab_lib.pretraining.config import PretrainConfig

# Stages and pooling of the paper's CvTs, by the size of the embedding.
_CVTS = {256: (SMALL_WIDTHS, "mean"), 512: (LARGE_WIDTHS, "mean"), 2048: (LARGE_WIDTHS, "mean+max")}

MEASURES = ("embedding_std", "projection_std", "agreement")
"""What is measured in each step besides the loss; see `Byol.forward`."""


def build_encoder(model: str, *, dropout: float | None = None) -> AudioNTTEncoder | CvtEncoder:
    """Make an encoder with PyTorch's random weights; `dropout` takes the place of the network's own."""
    match = re.fullmatch(r"byol-[as]-(cvt-)?(\d+)", model.casefold())
    size = int(match[2]) if match else 0
    if not size or (match[1] and size not in _CVTS):
        raise SerabError(
            f"there is no encoder {model!r} to pre-train: choose byol-a-512, byol-s-512, -1024 or -2048 (or another "
            f"width), or {', '.join(f'byol-s-cvt-{each}' for each in _CVTS)}"
        )
    if match[1]:
        widths, pooling = _CVTS[size]
        return CvtEncoder(widths, pooling=pooling, dropout=dropout or 0.0)
    encoder = AudioNTTEncoder(size)
    encoder.embedding_size = size
    if dropout is not None:
        encoder.fc[2].p = dropout
    return encoder


def prediction_loss(predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Squared distance of unit vectors, 2 - 2 cos: 0 where they point the same way, 4 where they are opposite."""
    return 2 - 2 * functional.cosine_similarity(predictions.float(), targets.float(), dim=-1)


def measure_spread(vectors: torch.Tensor) -> torch.Tensor:
    """Standard deviation of unit vectors (n, d) over a batch: about 1 for random directions, 0 when all are equal."""
    units = functional.normalize(vectors.detach().float(), dim=-1)
    return units.std(dim=0).mean() * units.shape[-1] ** 0.5


def _build_head(n_in: int, config: PretrainConfig) -> nn.Sequential:
    """Projector or predictor."""
    return nn.Sequential(
        nn.Linear(n_in, config.hidden_size),
        nn.BatchNorm1d(config.hidden_size),
        nn.ReLU(),
        nn.Linear(config.hidden_size, config.projection_size),
    )


class Byol(nn.Module):
    """The online network and its target, an equal copy at first that runs as the online network does."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        self.encoder = build_encoder(config.model, dropout=config.dropout)
        self.projector = _build_head(self.encoder.embedding_size, config)
        self.predictor = _build_head(config.projection_size, config) if config.predictor else nn.Identity()
        self.target = copy.deepcopy(nn.Sequential(self.encoder, self.projector)).requires_grad_(False)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of predicting each view's target from the other view, 0 to 8, and the `MEASURES`."""
        # As the weights of the convolutions are laid out, too.
        views = [view.contiguous(memory_format=torch.channels_last) for view in (first, second)]
        embeddings = [self.encoder(view) for view in views]
        projections = [self.projector(embedding) for embedding in embeddings]
        predictions = [self.predictor(projection) for projection in projections]
        with torch.no_grad():
            targets = [self.target(view) for view in views]
        loss = prediction_loss(predictions[0], targets[1]) + prediction_loss(predictions[1], targets[0])
        agreement = functional.cosine_similarity(projections[0].detach().float(), targets[0].float(), dim=-1)
        measures = torch.stack([measure_spread(embeddings[0]), measure_spread(projections[0]), agreement.mean()])
        return loss.mean(), measures

    @torch.no_grad()
    def update_target(self, momentum: float) -> None:
        """Move the target's weights towards the online network's; running statistics of its batch norms are its own."""
        online = [*self.encoder.parameters(), *self.projector.parameters()]
        for average, value in zip(self.target.parameters(), online, strict=True):
            average.copy_(momentum * average + (1 - momentum) * value)
