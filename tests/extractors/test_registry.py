import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from making import call, make_byol_state, make_cvt_state, one_line, write_checkpoint, write_savee

from serab_lib.benchmark.results import Results
from serab_lib.core import UnknownNameError
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.extractors import base, byol, registry, weights
from serab_lib.extractors.registry import EXTRACTORS, Entry, find_device, get_entry, identify, load_extractor

ENTRIES = list(EXTRACTORS.values())
# Others are too large, or of a form that cannot be made here: test_ssl.py and test_trill.py have small networks.
BUILDABLE = [entry for entry in ENTRIES if entry.family not in ("ssl:SslExtractor", "trill:Trill")]
CROSSINGS = tomllib.loads(Path(__file__).with_name("guests.toml").read_text())["crossings"]
FIRST_OF_FAMILY = {entry.family: entry.name for entry in reversed(BUILDABLE)}


def build(entry: Entry, folder: Path, *, seed: int = 0) -> base.Extractor:
    if entry.checkpoints:
        path = folder / f"{entry.name}-{seed}.pth"
        write_checkpoint(path, entry.family, entry.embedding_size, seed=seed)
        entry = replace(entry, own_checkpoint=path)
    return load_extractor(entry)


@pytest.mark.parametrize("entry", BUILDABLE, ids=lambda entry: entry.name)
def test_what_every_extractor_promises(entry: Entry, tmp_path: Path) -> None:
    extractor = build(entry, tmp_path)
    assert (extractor.embedding_size, extractor.n_parameters) == (entry.embedding_size, entry.n_parameters)
    assert (extractor.name, extractor.title, extractor.sample_rate) == (entry.name, entry.title, entry.sample_rate)
    first_of_family = FIRST_OF_FAMILY[entry.family] == entry.name
    other = build(entry, tmp_path, seed=1) if entry.checkpoints and first_of_family else None
    base.check_extractor(extractor, other, longest_s=30 if first_of_family else 3)
    assert extractor.embed([0.1 * torch.ones(10)]).isfinite().all()


def test_records_are_complete() -> None:
    for entry in ENTRIES:
        assert entry.title and entry.licence, entry.name
        assert entry.paper_row is None or entry.paper_row in read_accuracies().index, entry.name
        assert all(each.url.startswith("https://") for each in entry.checkpoints), entry.name
        assert not entry.checkpoints or (entry.licence_url and entry.trained_on), entry.name


def test_identities_tell_extractors_versions_and_weights_apart() -> None:
    identities = [identify(entry, "a") for entry in ENTRIES]
    assert len(set(identities)) == len(identities)
    entry = EXTRACTORS["wavlm-large"]
    others = [replace(entry, version=2), replace(entry, options={**entry.options, "layer": 3})]
    assert len({identify(each, "a") for each in (entry, *others)} | {identify(entry, "b")}) == 4
    identity = "byol:ByolExtractor 1, embedding_size 512, window_samples 400, weights c"
    assert identify(EXTRACTORS["byol-s-512"], "c") == identity


def test_the_random_encoder_is_one_for_all() -> None:
    """Whatever was drawn before, and on every version of torch that is tested."""
    torch.manual_seed(1)
    state = byol.draw_weights(512, EXTRACTORS["byol-random-512"].options["seed"])
    assert state["features.0.weight"].flatten()[:3].tolist() == pytest.approx([0.2548, 0.2767, -0.0781], abs=1e-4)
    assert state["fc.3.weight"].flatten()[-3:].tolist() == pytest.approx([-0.0225, -0.0081, -0.0052], abs=1e-4)
    assert torch.randn(1) == torch.randn(1, generator=torch.Generator().manual_seed(1))


def test_names_are_found_in_any_case_and_unknown_ones_suggest_the_nearest(byol_checkpoint: Path) -> None:
    assert get_entry("BYOL-S-512") is EXTRACTORS["byol-s-512"]
    with one_line(r"byol-s-512.*serab models", UnknownNameError):
        get_entry("byols-512")
    with one_line(r"leave out :mean\+max", weights.CheckpointError):
        get_entry(f"path:{byol_checkpoint}:mean+max")


@pytest.mark.parametrize(
    ("make", "suffix", "size"),
    [(make_byol_state, "", 512), (make_cvt_state, ":mean", 256), (make_cvt_state, ":mean+max", 1024)],
)
def test_path_loads_a_checkpoint_of_ones_own(tmp_path: Path, make: Callable, suffix: str, size: int) -> None:
    torch.save(make(), tmp_path / "own.pth")
    extractor = load_extractor(f"path:{tmp_path / 'own.pth'}{suffix}")
    named = "path-own-mean+max" if suffix == ":mean+max" else "path-own"
    assert (extractor.name, extractor.embedding_size) == (named, size)
    assert extractor.embed([torch.zeros(4_000)]).shape == (1, size)


def test_one_more_extractor_is_one_class_and_one_record(tmp_path: Path, monkeypatch) -> None:
    write_savee(tmp_path)
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "extractors.py").write_text(CROSSINGS)
    monkeypatch.syspath_prepend(tmp_path)
    for name, entry in registry.read_entries(Path(__file__).with_name("crossings.toml")).items():
        monkeypatch.setitem(EXTRACTORS, name, entry)
    base.check_extractor(load_extractor("crossings"))
    options = ["--tasks", "SAV", "--models", "crossings", "--data", tmp_path, "--out", tmp_path / "out"]
    call("run", *options, "--no-search", "--jobs", 1)
    assert Results(tmp_path / "out").read_cells()["test_accuracy"].max() > 2 / 7


def test_a_device_is_used_where_torch_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_device("cpu") == torch.device("cpu")
    for missing in ("mps", "xpu", "cuda:1", "gpu"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with one_line(f"torch finds no device '{missing}' on this machine: choose --device cpu$"):
            load_extractor("logmel-stats", device=missing)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with one_line("choose --device cpu or mps$"):
        find_device("cuda")
    waveforms = [torch.ones(16_000)]
    there = load_extractor("logmel-stats", device="mps").embed(waveforms)
    assert torch.equal(there, load_extractor("logmel-stats").embed(waveforms))
