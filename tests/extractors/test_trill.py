import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from making import make_noise, one_line

from serab_lib.extractors import base, registry, trill
from serab_lib.extractors.weights import CheckpointError

WINDOW, HOP, WIDTH = 400, 160, 6


@pytest.fixture(scope="module")
def tensorflow():
    trill.prepare_for_tensorflow()
    reason = "TensorFlow is not installed: pip install 'serab-companion[tensorflow]'"
    return pytest.importorskip("tensorflow", reason=reason)


def save_model(tensorflow, folder: Path, *, output: str = "layer19", seed: int = 0) -> np.ndarray:
    """Save a model of framed audio times a random matrix, and return the matrix."""
    weights = np.random.default_rng(seed).standard_normal((WINDOW, WIDTH)).astype(np.float32)
    taken = (([None], tensorflow.float32, "samples"), ([], tensorflow.int32, "sample_rate"))
    signature = [tensorflow.TensorSpec(*each) for each in taken]

    class Model(tensorflow.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tensorflow.Variable(weights)

        @tensorflow.function(input_signature=signature)
        def __call__(self, samples, sample_rate):
            tensorflow.debugging.assert_equal(sample_rate, 16_000)
            frames = tensorflow.signal.frame(samples, WINDOW, HOP)
            return {"embedding": frames, output: tensorflow.linalg.matmul(frames, self.weights)}

    tensorflow.saved_model.save(Model(), str(folder))
    return weights


def test_what_every_extractor_promises_and_the_mean_over_the_frames_of_layer_19(tensorflow, tmp_path: Path) -> None:
    weights, _ = (save_model(tensorflow, tmp_path / f"{seed}", seed=seed) for seed in (0, 1))
    entry = replace(registry.EXTRACTORS["trill"], options={"embedding_size": WIDTH})
    first, other = (registry.load_extractor(replace(entry, own_checkpoint=tmp_path / f"{seed}")) for seed in (0, 1))
    base.check_extractor(first, other, longest_s=30)
    waveforms = [make_noise(length) for length in (16_000, 24_321, 40_000)]
    expected = np.stack([(wave.unfold(0, WINDOW, HOP).numpy() @ weights).mean(axis=0) for wave in waveforms])
    np.testing.assert_allclose(first.embed(waveforms), expected, rtol=1e-4, atol=1e-4)
    assert first.n_parameters == weights.size


def test_another_model_and_what_is_no_model_are_refused(tensorflow, tmp_path: Path) -> None:
    with one_line("unpack the model trill/3", CheckpointError):
        trill.Trill(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    with one_line("no SavedModel that loads", CheckpointError):
        trill.Trill(tmp_path)
    for output, size, message in (("layer20", 6, "does not give layer19"), ("layer19", 12, "frames of 12 numbers")):
        save_model(tensorflow, tmp_path / output, output=output)
        with one_line(message, CheckpointError):
            trill.Trill(tmp_path / output, embedding_size=size).embed([torch.zeros(16_000)])


def test_without_tensorflow_or_the_folder_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with one_line("trill needs the folder trill/, which is not in", CheckpointError):
        registry.load_extractor("trill", weights=tmp_path)
    (tmp_path / "trill").mkdir()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with one_line(r"pip install 'serab-companion\[tensorflow\]'"):
        registry.load_extractor("trill", weights=tmp_path)


@pytest.mark.parametrize("code", ["import torch._dynamo", "OpenSmile().embed([torch.zeros(16_000)])"])
def test_what_tensorflow_could_break_still_works_beside_it(tensorflow, code: str) -> None:
    """Either ends the process where TensorFlow is imported first."""
    start = "import torch; from serab_lib.extractors import trill; trill._import_tensorflow(); "
    start += "from serab_lib.extractors.opensmile import OpenSmile; "
    subprocess.run([sys.executable, "-c", start + code], check=True, capture_output=True, timeout=300)
