import dataclasses

import numpy as np
import pytest
import torch
from making import make_noise, one_line

from serab_lib.extractors import base, registry
from serab_lib.pretraining.byol import Byol, build_encoder, measure_spread, prediction_loss
from serab_lib.pretraining.config import PretrainConfig

TINY = PretrainConfig(model="byol-s-16", hidden_size=32, projection_size=16, dropout=0.0)
VIEWS = tuple(make_noise(2, 4, 1, 64, 16, seed=1))
FAMILIES = ("byol:ByolExtractor", "cvt:CvtExtractor")


def make_learner(config: PretrainConfig = TINY) -> Byol:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Byol(config)


def test_target_starts_equal_and_apart_in_memory_and_no_gradient_reaches_it() -> None:
    learner = make_learner()
    online = [*learner.encoder.parameters(), *learner.projector.parameters()]
    for mine, other in zip(learner.target.parameters(), online, strict=True):
        assert mine.equal(other) and mine.data_ptr() != other.data_ptr()
    learner(*VIEWS)[0].backward()
    assert all(weights.grad is None and not weights.requires_grad for weights in learner.target.parameters())
    assert all(part[-1].weight.grad.any() for part in (learner.projector, learner.predictor))
    assert learner.encoder.features[0].weight.grad.any()


def test_target_follows_by_the_momentum() -> None:
    learner = make_learner()
    before = [weights.clone() for weights in learner.target.parameters()]
    for weights in learner.encoder.parameters():
        weights.data += 1
    learner.update_target(0.9)
    n_encoder = len(list(learner.encoder.parameters()))
    for i, (old, new) in enumerate(zip(before, learner.target.parameters(), strict=True)):
        torch.testing.assert_close(new, old + (0.1 if i < n_encoder else 0.0))


def test_loss_and_spread_of_known_vectors_and_both_views_count() -> None:
    vectors = torch.tensor([[3.0, 0.0], [0.0, 5.0], [-0.5, 0.0]])
    assert prediction_loss(vectors, torch.tensor([[1.0, 0.0]]).expand(3, 2)).tolist() == [0, 2, 4]
    learner = make_learner()
    online = [learner.predictor(learner.projector(learner.encoder(view))) for view in VIEWS]
    targets = [learner.target(view) for view in VIEWS]
    expected = prediction_loss(online[0], targets[1]) + prediction_loss(online[1], targets[0])
    assert learner(*VIEWS)[0].item() == pytest.approx(expected.mean().item(), rel=1e-5)
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 64)))
    assert measure_spread(vectors).item() == pytest.approx(1, abs=0.05)
    assert measure_spread(vectors[:1].expand(500, -1)).item() == pytest.approx(0, abs=1e-6)


def test_encoders_are_those_of_the_registry_with_dropout_and_predictor_as_chosen() -> None:
    entries = [each for each in registry.EXTRACTORS.values() if each.checkpoints and each.family in FAMILIES]
    with torch.device("meta"):
        encoders = [build_encoder(entry.name) for entry in entries]
    sizes = [(base.count_parameters(encoder), encoder.embedding_size) for encoder in encoders]
    assert sizes == [(entry.n_parameters, entry.embedding_size) for entry in entries]
    assert [build_encoder("BYOL-S-16", dropout=share).fc[2].p for share in (None, 0.0)] == [0.3, 0.0]
    assert isinstance(make_learner(dataclasses.replace(TINY, predictor=False)).predictor, torch.nn.Identity)
    for model in ("vggish", "byol-s-cvt-128", "byol-s-0"):
        with one_line(f"no encoder '{model}' to pre-train"):
            build_encoder(model)
