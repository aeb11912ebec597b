"""What several tests make or ask for: corpora of tones, random checkpoints, the repository, errors of one line."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
import soundfile
import torch
from packaging.version import Version
from sklearn.ensemble import RandomForestClassifier
from typer.testing import CliRunner

from serab_lib.benchmark.results import COLUMNS, Results
from serab_lib.cli.app import app
from serab_lib.core import SerabError
from serab_lib.extractors import byol, cvt, registry, vggish
from serab_lib.extractors.base import pad_batch

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = Results(ROOT / "results")
OLD_QDA = Version(sklearn.__version__) < Version("1.8")
# Few tests look at a forest: ten trees in place of 100, in each process that imports this.
RandomForestClassifier.__init__.__defaults__ = (10,)
qda_of_today = pytest.mark.skipif(OLD_QDA, reason="QDA of scikit-learn before 1.8 divides by n - 1, not by n")


def write_savee(data: Path, *, n_takes: int = 3, rate: int = 16_000) -> None:
    """Write a small SAVEE of seven classes and four speakers."""
    takes, hows = range(1, n_takes + 1), ("a", "d", "f", "h", "n", "sa", "su")
    stems = [[[f"{who}_{how}{take:02d}" for take in takes] for how in hows] for who in ("DC", "JE", "JK", "KL")]
    _write_tones(data / "savee", stems, rate)


def write_ravdess(data: Path, *, rate: int = 48_000) -> None:
    """Write a small RAVDESS of five actors and three classes, four takes each."""
    takes = ("01-01", "01-02", "02-01", "02-02")
    stems = [[[f"03-01-{how:02d}-01-{take}-{who:02d}" for take in takes] for how in (1, 2, 3)] for who in range(1, 6)]
    _write_tones(data / "ravdess", stems, rate)


def _write_tones(folder: Path, stems: Sequence[Sequence[Sequence[str]]], rate: int) -> None:
    """Write recordings by speaker, class and take: classes are told apart by pitch, speakers by loudness."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for level, by_class in enumerate(stems, start=1):
        for pitch, takes in enumerate(by_class, start=2):
            for stem in takes:
                n_samples = int(rate * generator.uniform(0.3, 0.6))
                time = np.arange(n_samples) / rate
                tone = 0.1 * level * np.sin(2 * np.pi * 100 * pitch * generator.uniform(0.97, 1.03) * time)
                noise = 0.01 * generator.standard_normal(n_samples)
                soundfile.write(folder / f"{stem}.wav", tone + noise, rate)


def touch(root: Path, files: Iterable[str], content: bytes = b"") -> None:
    """Write files of a content below a folder."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content)


REPORTED = dict(
    task="RAV", model="byol-s-512", protocol="released", classifier="SVC", validation_accuracy=0.7,
    test_accuracy=0.77, test_uar=0.76, test_macro_f1=0.75, selected=True, n_train=840, n_validation=300, n_test=300,
    best_params="{}", seconds=1.0, search=True, complete=True, synthetic=False,
)  # fmt: skip


def make_cells(*changes: dict[str, object]) -> pd.DataFrame:
    """Cells that differ from a reported one of RAVDESS as they are told to."""
    return pd.DataFrame([REPORTED | each for each in changes or [{}]], columns=COLUMNS)


def make_noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal noise, the same whatever was drawn before."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_classes(counts: Sequence[int], n_features: int, *, distance: float = 3.0, seed: int = 0) -> tuple:
    """Overlapping classes of the given sizes, in mixed order, their means about `distance` from the origin."""
    generator = np.random.default_rng(seed)
    names = np.array(["anger", "calm", "fear", "sadness"])[: len(counts)]
    y = generator.permutation(np.repeat(names, counts))
    X = generator.normal(size=(len(y), n_features))
    for name in names:
        X[y == name] += generator.normal(scale=distance / np.sqrt(n_features), size=n_features)
    return X, y


def make_byol_state(embedding_size: int = 512, *, seed: int = 0) -> dict[str, torch.Tensor]:
    return _make_state(byol.AudioNTTEncoder, embedding_size, seed)


def make_cvt_state(widths: Sequence[int] = (64, 128, 256), *, seed: int = 0) -> dict[str, torch.Tensor]:
    return _make_state(cvt.CvtEncoder, widths, seed)


def _make_state(network: Callable[..., torch.nn.Module], size: object, seed: int) -> dict[str, torch.Tensor]:
    """Random weights of a network; norms moved away from their neutral start."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        encoder = network(size)
        for layer in encoder.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.5, 0.5)
                layer.running_var.uniform_(0.5, 2.0)
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.uniform_(-0.5, 0.5)
            elif type(layer).__name__ == "ChannelNorm":
                layer.g.uniform_(0.5, 1.5)
                layer.b.uniform_(-0.5, 0.5)
        return encoder.state_dict()


def make_vggish_state(*, seed: int = 0) -> dict[str, torch.Tensor]:
    """A random checkpoint with torchvggish's names: 72 million numbers that take little room in a file."""
    generator, state = torch.Generator().manual_seed(seed), {}
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in vggish.VggishNetwork().state_dict().items()}
    for name, shape in shapes.items():
        n_rows, n_columns = shape[0], shape[1:].numel()
        # Each row is the one before it, moved by one number: the rows share their storage, also on disk.
        numbers = torch.randn(n_rows + n_columns, generator=generator) * (2 / n_columns) ** 0.5
        rows = numbers.as_strided((n_rows, n_columns), (1, 1))
        state[name] = rows.view(shape) if len(shape) > 1 else 0.1 * numbers[1:]
    return state


def write_yamnet_h5(path: Path, *, seed: int = 0) -> None:
    """Write random weights in the layout of Google's yamnet.h5."""
    import h5py

    from serab_lib.extractors.yamnet import YamnetNetwork

    generator = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        for i, convolution in enumerate(YamnetNetwork().convolutions):
            kind = "conv" if i == 0 else "depthwise_conv" if i % 2 else "pointwise_conv"
            layer, kernel = f"layer{(i + 1) // 2 + 1}/{kind}", convolution.weight.numpy()
            kernel = generator.normal(size=kernel.shape, scale=np.sqrt(2 / kernel[0].size)).astype(np.float32)
            axes, name = ((2, 3, 0, 1), "depthwise_kernel:0") if i % 2 else ((2, 3, 1, 0), "kernel:0")
            file[f"{layer}/{layer}/{name}"] = kernel.transpose(axes)
            for each, low, high in (("beta", -0.5, 0.5), ("moving_mean", -0.5, 0.5), ("moving_variance", 0.5, 2)):
                values = generator.uniform(low, high, size=len(kernel)).astype(np.float32)
                file[f"{layer}/bn/{layer}/bn/{each}:0"] = values


def write_checkpoint(path: Path, family: str, embedding_size: int, *, seed: int = 0) -> None:
    """Write random weights for an extractor of a family, named as in the registry."""
    kind = family.partition(":")[0]
    if kind == "yamnet":
        return write_yamnet_h5(path, seed=seed)
    widths = (64, 128, 256) if embedding_size == 256 else (64, 256, 512)
    makers = {"cvt": partial(make_cvt_state, widths), "vggish": make_vggish_state}
    torch.save(makers.get(kind, partial(make_byol_state, embedding_size))(seed=seed), path)


def write_world(folder: Path) -> None:
    """Write what commands need: small corpora in `data`, a random checkpoint under its released name in `weights`."""
    write_savee(folder / "data", n_takes=2)
    write_ravdess(folder / "data")
    (folder / "weights").mkdir()
    torch.save(make_byol_state(), folder / "weights" / registry.EXTRACTORS["byol-s-512"].checkpoints[0].file)


def enter_world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work with what such a folder holds as if its checkpoint were the released one."""
    for name in ("data", "weights"):
        monkeypatch.setenv(f"SERAB_{name.upper()}", str(folder / name))
    entry = registry.EXTRACTORS["byol-s-512"]
    unverified = dataclasses.replace(entry.checkpoints[0], sha256=None, git_blob=None)
    monkeypatch.setitem(registry.EXTRACTORS, "byol-s-512", dataclasses.replace(entry, checkpoints=(unverified,)))


def write_noises(folder: Path, *, n_files: int = 8, seconds: float = 1.2, rate: int = 16_000) -> list[Path]:
    """Write clips of noise, each shaped by a tone of its own: audio to pre-train on."""
    generator = np.random.default_rng(1)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"clip{number:02d}.wav" for number in range(n_files)]
    for number, path in enumerate(paths):
        time = np.arange(int(rate * seconds)) / rate
        envelope = 0.6 + 0.4 * np.sin(2 * np.pi * (1 + number) * time)
        tone = np.sin(2 * np.pi * (150 + 90 * number) * time)
        soundfile.write(path, 0.1 * envelope * (tone + 0.3 * generator.standard_normal(len(time))), rate)
    return paths


@contextlib.contextmanager
def one_line(match: str, kind: type[Exception] = SerabError) -> Iterator[pytest.ExceptionInfo]:
    """Expect an error that says so, in one line."""
    with pytest.raises(kind, match=match) as caught:
        yield caught
    assert "\n" not in str(caught.value)


def call(*arguments: object, code: int = 0) -> str:
    """Run a command of `serab` that ends with an exit code, without a traceback; return what it prints."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def assert_padding_changes_nothing(network: Callable[..., torch.Tensor], lengths: Sequence[int], **tolerance) -> None:
    """Hold that spectrograms get the same vectors alone and in one padded batch."""
    log_mels = [make_noise(1, 64, length, seed=length) for length in lengths]
    with torch.inference_mode():
        together = network(pad_batch(log_mels, torch.device("cpu")), lengths)
        alone = torch.cat([network(each[None], [each.shape[-1]]) for each in log_mels])
    torch.testing.assert_close(together, alone, **tolerance)
