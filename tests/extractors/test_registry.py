"""What every extractor promises, over the registry."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from making import make_byol_state, make_cvt_state, write_checkpoint

from serab_lib.core import UnknownNameError
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.extractors.base import Extractor
from serab_lib.extractors.byol import draw_weights
from serab_lib.extractors.registry import EXTRACTORS, Entry, get_entry, identify, load_extractor
from serab_lib.extractors.weights import CheckpointError

ENTRIES = list(EXTRACTORS.values())
# Too large, or of a form that cannot be made here at full size: the same is tested there on small networks.
TESTED_SMALL = {"ssl:SslExtractor": "test_ssl.py", "trill:Trill": "test_trill.py"}
BUILDABLE = [entry for entry in ENTRIES if entry.family not in TESTED_SMALL]


def build(entry: Entry, folder: Path) -> Extractor:
    """The extractor with random weights in place of a checkpoint."""
    options = dict(entry.options)
    if entry.checkpoints:
        path = folder / f"{entry.name}.pth"
        write_checkpoint(path, entry.family, entry.embedding_size)
        options["checkpoint"] = path
    module, class_name = entry.family.split(":")
    return getattr(importlib.import_module(f"serab_lib.extractors.{module}"), class_name)(**options)


@pytest.fixture(scope="module", params=BUILDABLE, ids=lambda entry: entry.name)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Entry, Extractor]:
    return request.param, build(request.param, tmp_path_factory.mktemp("weights"))


def test_entry_says_what_the_network_is(built: tuple[Entry, Extractor]) -> None:
    entry, extractor = built
    assert (extractor.embedding_size, extractor.n_parameters) == (entry.embedding_size, entry.n_parameters)
    assert extractor.sample_rate == entry.sample_rate
    assert entry.licence


def test_rows_are_those_of_the_utterance_alone(built: tuple[Entry, Extractor]) -> None:
    _, extractor = built
    generator = torch.Generator().manual_seed(1)
    lengths = (16_000, 4_321, 32_001, 24_000, 1_600)
    waveforms = [0.1 * torch.randn(length, generator=generator) for length in lengths]
    together = extractor.embed(waveforms)
    alone = torch.cat([extractor.embed([waveform]) for waveform in waveforms])
    assert together.shape == (len(lengths), extractor.embedding_size)
    assert together.dtype == torch.float32
    scale = alone.abs().amax(dim=1, keepdim=True)
    assert ((together - alone).abs() / scale).max() < 1e-4
    assert (alone[0] - alone[2]).abs().max() > 0


@pytest.mark.parametrize(
    "waveform",
    [
        pytest.param(torch.zeros(16_000), id="silence"),
        pytest.param(torch.zeros(1_600), id="0.1 s"),
        pytest.param(0.1 * torch.randn(10, generator=torch.Generator().manual_seed(0)), id="10 samples"),
        pytest.param(torch.ones(16_000), id="full scale"),
        pytest.param(torch.sin(torch.arange(960_000) / 10), id="60 s"),
    ],
)
def test_odd_audio_gives_finite_and_repeatable_vectors(built: tuple[Entry, Extractor], waveform: torch.Tensor) -> None:
    _, extractor = built
    first, second = extractor.embed([waveform]), extractor.embed([waveform])
    assert first.isfinite().all()
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_no_input_is_changed(built: tuple[Entry, Extractor]) -> None:
    waveform = torch.ones(8_000)
    built[1].embed([waveform])
    assert (waveform == 1).all()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_paper_rows_exist(entry: Entry) -> None:
    assert entry.paper_row is None or entry.paper_row in read_accuracies().index


def test_identities_tell_extractors_versions_and_weights_apart() -> None:
    identities = [identify(entry, "a") for entry in ENTRIES]
    same_network = ("byol-s-cvt-512", "byol-s-cvt-2048")
    assert len(set(identities)) == len(identities), same_network
    entry = EXTRACTORS["wavlm-large"]
    others = [replace(entry, version=2), replace(entry, options={**entry.options, "layer": 3})]
    assert len({identify(each, "a") for each in (entry, *others)} | {identify(entry, "b")}) == 4


def test_a_checkpoint_counts_by_what_it_holds(byol_checkpoint: Path, tmp_path: Path) -> None:
    other = tmp_path / "folder" / "another name.pth"
    other.parent.mkdir()
    other.write_bytes(byol_checkpoint.read_bytes())
    first, second = (load_extractor(f"path:{path}").fingerprint for path in (byol_checkpoint, other))
    assert first == second
    torch.save(make_byol_state(seed=1), other)
    assert load_extractor(f"path:{other}").fingerprint != first


def test_the_random_encoder_is_one_for_all() -> None:
    """Whatever was drawn before, and on every version of torch that is tested."""
    torch.manual_seed(1)
    state = draw_weights(512, EXTRACTORS["byol-random-512"].options["seed"])
    assert state["features.0.weight"].flatten()[:3].tolist() == pytest.approx([0.2548, 0.2767, -0.0781], abs=1e-4)
    assert state["fc.3.weight"].flatten()[-3:].tolist() == pytest.approx([-0.0225, -0.0081, -0.0052], abs=1e-4)
    assert torch.randn(1) == torch.randn(1, generator=torch.Generator().manual_seed(1))


def test_families_left_out_here_have_tests_of_their_own() -> None:
    assert set(TESTED_SMALL) <= {entry.family for entry in ENTRIES}
    assert all(Path(__file__).with_name(file).is_file() for file in TESTED_SMALL.values())


def test_names_are_found_in_any_case() -> None:
    assert get_entry("BYOL-S-512") is EXTRACTORS["byol-s-512"]


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"byol-s-512.*serab models"):
        get_entry("byols-512")


def test_path_loads_a_checkpoint_of_ones_own(byol_checkpoint: Path) -> None:
    extractor = load_extractor(f"path:{byol_checkpoint}")
    assert extractor.embedding_size == 512
    assert extractor.embed([torch.zeros(4_000)]).shape == (1, 512)


@pytest.mark.parametrize(
    ("suffix", "embedding_size", "name"),
    [("", 256, "path-own"), (":mean", 256, "path-own"), (":mean+max", 1024, "path-own-mean+max")],
)
def test_path_loads_a_cvt_with_either_pooling(tmp_path: Path, suffix: str, embedding_size: int, name: str) -> None:
    torch.save(make_cvt_state(), tmp_path / "own.pth")
    entry = get_entry(f"path:{tmp_path / 'own.pth'}{suffix}")
    extractor = load_extractor(f"path:{tmp_path / 'own.pth'}{suffix}")
    assert (entry.name, entry.embedding_size) == (name, embedding_size) == (extractor.name, extractor.embedding_size)
    assert entry.n_parameters == extractor.n_parameters
    assert extractor.embed([torch.zeros(4_000)]).shape == (1, embedding_size)


def test_path_refuses_a_pooling_that_the_network_has_not(byol_checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match=r"leave out :mean\+max"):
        get_entry(f"path:{byol_checkpoint}:mean+max")
