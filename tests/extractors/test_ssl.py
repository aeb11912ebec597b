import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from making import make_noise, one_line
from torch.nn import functional

from serab_lib.audio import import_torchaudio
from serab_lib.extractors import base, ssl, weights
from serab_lib.extractors.registry import EXTRACTORS, choose_layer, load_extractor

pipelines = import_torchaudio().pipelines
ENTRIES = [entry for entry in EXTRACTORS.values() if entry.family == "ssl:SslExtractor"]
BUNDLES = {entry.options["bundle"]: getattr(pipelines, entry.options["bundle"]) for entry in ENTRIES}
# Bundles of one architecture differ in their weights alone: each architecture is tested once.
ARCHITECTURES = list({f"{each._params}{each._model_type}": bundle for bundle, each in BUNDLES.items()}.values())
N_LAYERS = 3


@pytest.fixture(scope="module", autouse=True)
def _small_networks() -> Iterator[None]:
    """The bundles with few, narrow layers, as deep in time as the released ones."""
    small = {"embed_dim": 16, "num_layers": N_LAYERS, "num_heads": 2, "ff_interm_features": 24, "pos_conv_groups": 4}
    with pytest.MonkeyPatch.context() as patch:
        for name, released in BUNDLES.items():
            layers = [(8, kernel, stride) for _, kernel, stride in released._params["extractor_conv_layer_config"]]
            changed = released._params | {f"encoder_{key}": value for key, value in small.items()}
            changed["extractor_conv_layer_config"] = layers
            if released._model_type == "WavLM":
                changed |= {"encoder_num_buckets": 32, "encoder_max_distance": 20}
            patch.setattr(pipelines, name, dataclasses.replace(released, _params=changed))
        yield


@pytest.fixture(scope="module", params=ARCHITECTURES)
def bundle(request: pytest.FixtureRequest, _small_networks: None) -> str:
    return request.param


@pytest.fixture(scope="module")
def checkpoint(bundle: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "network.pth"
    torch.save(make_network(bundle).state_dict(), path)
    return path


def make_network(bundle: str, *, seed: int = 0) -> torch.nn.Module:
    """The network with random weights, none at its neutral start."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        network = ssl.build_network(bundle)
        for name, parameter in network.named_parameters():
            if "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
            elif "rel_attn_embed" in name or "gru_rel_pos" in name:
                parameter.normal_()
    return network


def make_waveforms(*lengths: int) -> list[torch.Tensor]:
    return [0.1 * make_noise(length, seed=seed) for seed, length in enumerate(lengths)]


def test_what_every_extractor_promises(bundle: str, checkpoint: Path) -> None:
    other = checkpoint.with_name("other.pth")
    torch.save(make_network(bundle, seed=1).state_dict(), other)
    entry = next(each for each in ENTRIES if each.options["bundle"] == bundle)
    entries = (dataclasses.replace(entry, own_checkpoint=path) for path in (checkpoint, other))
    # Attention to half a minute takes seconds: once is enough.
    base.check_extractor(*map(load_extractor, entries), longest_s=30 if bundle == "HUBERT_LARGE" else 3)


@pytest.mark.parametrize("layer", [None, 1])
def test_one_padded_batch_gives_what_each_gets_alone(bundle: str, checkpoint: Path, layer: int | None) -> None:
    extractor = ssl.SslExtractor(checkpoint, bundle=bundle, layer=layer)
    with torch.inference_mode():
        prepared = [extractor.prepare(each) for each in make_waveforms(8_000, 4_321, 400, 10, 719, 720, 8_000)]
        together = extractor.encode(prepared)
        alone = torch.cat([extractor.encode([each]) for each in prepared])
    assert ((together - alone).abs() / alone.abs().amax(dim=1, keepdim=True)).max() < 1e-4
    assert (alone[0] - alone[-1]).abs().max() > 1e-3


@pytest.mark.parametrize("layer", [1, N_LAYERS])
def test_agrees_with_torchaudio_on_one_utterance(bundle: str, checkpoint: Path, layer: int) -> None:
    network, (waveform,) = make_network(bundle), make_waveforms(4_000)
    normalises = BUNDLES[bundle]._normalize_waveform
    given = (functional.layer_norm(waveform, waveform.shape) if normalises else waveform)[None]
    with torch.inference_mode():
        last = layer == N_LAYERS
        frames = network(given)[0] if last else network.extract_features(given, num_layers=layer)[0][-1]
    result = ssl.SslExtractor(checkpoint, bundle=bundle, layer=layer).embed([waveform])
    torch.testing.assert_close(result, frames.mean(dim=1), rtol=1e-4, atol=1e-5)


def test_weight_normalisation_under_its_older_names(bundle: str, checkpoint: Path) -> None:
    state, newer = torch.load(checkpoint, weights_only=True), "parametrizations.weight.original"
    old = {name.replace(f"{newer}0", "weight_g").replace(f"{newer}1", "weight_v"): state[name] for name in state}
    torch.save(old, checkpoint.with_name("old.pth"))
    assert set(old) != set(state)
    both = (ssl.SslExtractor(checkpoint.with_name(name), bundle=bundle) for name in ("network.pth", "old.pth"))
    assert torch.equal(*(extractor.embed(make_waveforms(1_000, 800)) for extractor in both))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entry_says_what_the_full_network_is(entry, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, (checkpoint,) = BUNDLES[entry.options["bundle"]], entry.checkpoints
    monkeypatch.setattr(pipelines, entry.options["bundle"], bundle)
    with torch.device("meta"):
        assert base.count_parameters(ssl.build_network(entry.options["bundle"])) == entry.n_parameters
    sizes = [bundle._params[f"encoder_{each}"] for each in ("embed_dim", "num_layers")]
    assert sizes == [entry.embedding_size, entry.n_layers]
    assert checkpoint.file == bundle._path and checkpoint.url.endswith(f"/{bundle._path}")


def test_layers_are_chosen_by_name(tmp_path: Path) -> None:
    assert choose_layer("WavLM-large", 12) == "wavlm-large-layer-12"
    assert choose_layer("wavlm-large", 24) == choose_layer("wavlm-large", None) == "wavlm-large"
    with one_line(r"wavlm_large\.pth.*download\.pytorch\.org", weights.CheckpointError):
        load_extractor("wavlm-large-layer-12", weights=tmp_path)
    torch.save(make_network("HUBERT_BASE").state_dict(), tmp_path / "hubert_fairseq_base_ls960.pth")
    last, second = (load_extractor(name, weights=tmp_path) for name in ("hubert-base", "hubert-base-layer-2"))
    assert (last.layer, second.layer) == (N_LAYERS, 2) and last.identify() != second.identify()
    for name, layer, message in (
        ("hubert-base", 13, "hubert-base has no layer 13: choose 1 to 12"),
        ("hubert-base", 0, "choose 1 to 12"),
        ("opensmile", 3, "opensmile has no layers.*wavlm-large"),
    ):
        with one_line(message):
            choose_layer(name, layer)
