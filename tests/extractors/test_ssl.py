"""The self-supervised transformers: the released architectures at a small size, with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from serab_lib.core import SerabError
from serab_lib.extractors.registry import EXTRACTORS, choose_layer, get_entry, load_extractor
from serab_lib.extractors.ssl import Architecture, SslExtractor
from serab_lib.extractors.weights import CheckpointError

ENTRIES = [entry for entry in EXTRACTORS.values() if entry.family == "ssl:SslExtractor"]
BUNDLES = [entry.options["bundle"] for entry in ENTRIES]
_OF_BUNDLE = Architecture.of_bundle
# Bundles of one architecture differ in their weights alone: each architecture is tested once.
ARCHITECTURES = list(
    {repr(_OF_BUNDLE(bundle).parameters) + _OF_BUNDLE(bundle).kind: bundle for bundle in BUNDLES}.values()
)
LENGTHS = (8_000, 4_321, 400, 10, 719, 720, 8_000)


def shrink(bundle: str) -> Architecture:
    """The bundle's architecture with few, narrow layers; as deep in time as the released one."""
    released = _OF_BUNDLE(bundle)
    small = {
        "extractor_conv_layer_config": [
            (8, kernel, stride) for _, kernel, stride in released.parameters["extractor_conv_layer_config"]
        ],
        "encoder_embed_dim": 16,
        "encoder_num_layers": 3,
        "encoder_num_heads": 2,
        "encoder_ff_interm_features": 24,
        "encoder_pos_conv_groups": 4,
    }
    if released.kind == "WavLM":
        small |= {"encoder_num_buckets": 32, "encoder_max_distance": 20}
    return Architecture(
        name=bundle,
        kind=released.kind,
        parameters={**released.parameters, **small},
        normalises_waveform=released.normalises_waveform,
    )


def make_network(architecture: Architecture) -> torch.nn.Module:
    """The network with random weights, none at its neutral start."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network = architecture.build()
        for name, parameter in network.named_parameters():
            if "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
            elif "rel_attn_embed" in name or "gru_rel_pos" in name:
                parameter.normal_()
    return network


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small lose time with more."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return shrink(request.param)


@pytest.fixture(scope="module")
def checkpoint(architecture: Architecture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "network.pth"
    torch.save(make_network(architecture).state_dict(), path)
    return path


def make_waveforms(lengths: tuple[int, ...] = LENGTHS) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [0.1 * torch.randn(length, generator=generator) for length in lengths]


@pytest.mark.parametrize("layer", [None, 1])
def test_one_padded_batch_gives_what_each_gets_alone(
    architecture: Architecture, checkpoint: Path, layer: int | None
) -> None:
    extractor = SslExtractor(checkpoint, bundle=architecture, layer=layer)
    with torch.inference_mode():
        prepared = [extractor.prepare(waveform) for waveform in make_waveforms()]
        together = extractor.encode(prepared)
        alone = torch.cat([extractor.encode([each]) for each in prepared])
    assert together.shape == (len(LENGTHS), 16)
    assert ((together - alone).abs() / alone.abs().amax(dim=1, keepdim=True)).max() < 1e-4
    assert (alone[0] - alone[-1]).abs().max() > 1e-3
    torch.testing.assert_close(extractor.embed(make_waveforms()), together, rtol=1e-3, atol=1e-4)


def test_padding_would_change_the_vector_without_masks(architecture: Architecture, checkpoint: Path) -> None:
    """Silence after an utterance is not padding: what the test above holds is not held for free."""
    extractor = SslExtractor(checkpoint, bundle=architecture)
    waveform = make_waveforms((4_000,))[0]
    plain, padded = extractor.embed([waveform, functional.pad(waveform, (0, 4_000))])
    assert (plain - padded).abs().max() / plain.abs().max() > 1e-2


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_agrees_with_torchaudio_on_one_utterance(architecture: Architecture, checkpoint: Path, layer: int) -> None:
    network = make_network(architecture)
    waveform = make_waveforms((4_000,))[0]
    given = functional.layer_norm(waveform, waveform.shape) if architecture.normalises_waveform else waveform
    with torch.inference_mode():
        if layer == architecture.n_layers:
            frames = network(given[None])[0]
        else:
            frames = network.extract_features(given[None], num_layers=layer)[0][-1]
    result = SslExtractor(checkpoint, bundle=architecture, layer=layer).embed([waveform])
    torch.testing.assert_close(result, frames.mean(dim=1), rtol=1e-4, atol=1e-5)


def test_weight_normalisation_under_its_older_names(architecture: Architecture, checkpoint: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)
    old = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in state.items()
    }
    torch.save(old, checkpoint.with_name("old.pth"))
    assert set(old) != set(state)
    waveforms = make_waveforms((1_000, 800))
    expected = SslExtractor(checkpoint, bundle=architecture).embed(waveforms)
    result = SslExtractor(checkpoint.with_name("old.pth"), bundle=architecture).embed(waveforms)
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "waveform",
    [
        pytest.param(torch.zeros(16_000), id="silence"),
        pytest.param(torch.zeros(1), id="one sample"),
        pytest.param(torch.ones(16_000), id="full scale"),
        pytest.param(torch.sin(torch.arange(960_000) / 10), id="60 s"),
    ],
)
def test_odd_audio_gives_finite_vectors(architecture: Architecture, checkpoint: Path, waveform: torch.Tensor) -> None:
    before = waveform.clone()
    vector = SslExtractor(checkpoint, bundle=architecture).embed([waveform])
    assert vector.isfinite().all()
    torch.testing.assert_close(waveform, before, rtol=0, atol=0)


def test_a_frame_is_25_ms() -> None:
    assert {Architecture.of_bundle(bundle).min_samples for bundle in BUNDLES} == {400}


def test_a_layer_that_there_is_not_is_refused(tmp_path: Path) -> None:
    architecture = shrink("WAVLM_LARGE")
    torch.save(make_network(architecture).state_dict(), tmp_path / "network.pth")
    with pytest.raises(SerabError, match="WAVLM_LARGE has no layer 4: choose 1 to 3"):
        SslExtractor(tmp_path / "network.pth", bundle=architecture, layer=4)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save(make_network(shrink("HUBERT_BASE")).state_dict(), tmp_path / "hubert.pth")
    with pytest.raises(CheckpointError, match="does not fit") as caught:
        SslExtractor(tmp_path / "hubert.pth", bundle=shrink("WAVLM_BASE_PLUS"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entry_says_what_the_full_network_is(entry) -> None:
    architecture = Architecture.of_bundle(entry.options["bundle"])
    with torch.device("meta"):
        network = architecture.build()
    assert sum(parameter.numel() for parameter in network.parameters()) == entry.n_parameters
    assert (architecture.embedding_size, architecture.n_layers) == (entry.embedding_size, entry.n_layers)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_file_is_the_one_that_torchaudio_would_download(entry) -> None:
    from torchaudio import pipelines

    (checkpoint,) = entry.checkpoints
    assert checkpoint.file == getattr(pipelines, entry.options["bundle"])._path
    assert checkpoint.url.endswith(f"/{checkpoint.file}")


def test_released_file_in_the_folder_of_weights_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Architecture, "of_bundle", shrink)
    torch.save(make_network(shrink("HUBERT_BASE")).state_dict(), tmp_path / "hubert_fairseq_base_ls960.pth")
    last, second = (load_extractor(name, weights=tmp_path) for name in ("hubert-base", "hubert-base-layer-2"))
    assert (last.layer, second.layer, second.name) == (3, 2, "hubert-base-layer-2")
    waveform = make_waveforms((4_000,))
    assert (last.embed(waveform) - second.embed(waveform)).abs().max() > 1e-3


def test_layers_are_chosen_by_name() -> None:
    assert choose_layer("wavlm-large", None) == "wavlm-large"
    assert choose_layer("WavLM-large", 12) == "wavlm-large-layer-12"
    assert choose_layer("wavlm-large", 24) == "wavlm-large"
    entry = get_entry("wavlm-large-layer-12")
    assert entry.options["layer"] == 12
    assert entry.weights_state("/nowhere") == "missing"


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("hubert-base", 13, "hubert-base has no layer 13: choose 1 to 12"),
        ("hubert-base", 0, "choose 1 to 12"),
        ("opensmile", 3, "opensmile has no layers.*wavlm-large"),
    ],
)
def test_layers_that_do_not_exist_are_named(name: str, layer: int, message: str) -> None:
    with pytest.raises(SerabError, match=message):
        choose_layer(name, layer)


def test_missing_file_of_a_layer_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"wavlm_large\.pth.*download\.pytorch\.org"):
        load_extractor("wavlm-large-layer-3", weights=tmp_path)
