"""Whether a GPU computes what the CPU does, and how fast: one table, `results/gpu/check.csv`, in at most 8 minutes.

    python benchmarks/gpu_check.py [--share 1.0] [--weights DIR] [--results DIR]

Every family of extractors, with random weights where the released ones are not at hand, on the same noises on both
devices; an epoch of pre-training in two precisions; and whether a resumed run ends where one that never stopped does.
Without a GPU a small share of it runs on the CPU, and says so.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from measuring import find_weights, make_parser, run, time_extraction
from pretrain_speed import measure, write_clips

from serab_lib.extractors.registry import get_entry, load_extractor
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.train import pretrain

MODELS = ("vggish", "yamnet", "byol-s-512", "byol-s-2048", "byol-s-cvt-2048", "wav2vec2-base")
TOLERANCE = 1e-3  # relative


def main() -> int:
    """Check and time everything and write the table; 1 if vectors, or a resumed run, differ."""
    parser = make_parser(__doc__)
    parser.add_argument("--share", type=float, help="of the work; 1 on a GPU, 0.02 on the CPU")
    parser.add_argument("--models", default=",".join(MODELS))
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        print("no GPU was found: a small share of the work runs on the CPU alone", flush=True)
    share = options.share or (1.0 if device == "cuda" else 0.02)
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        checks = check_extractors(options, device, share, Path(folder)), check_training(device, share, Path(folder))
        for row in itertools.chain(*checks):
            rows.append({"device": name, **row})
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    file = options.results / "gpu" / "check.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(file, index=False)
    print(f"written to {file}")
    return int(any(row.get("difference", 0) > TOLERANCE for row in rows))


def check_extractors(
    options: argparse.Namespace, device: str, share: float, folder: Path
) -> Iterator[dict[str, object]]:
    """Embed noises of 1 to 5 s on both devices: utterances a second on each, and the largest relative difference."""
    generator = np.random.default_rng(0)
    paths = [str(folder / f"{number:03d}.wav") for number in range(max(4, round(200 * share)))]
    for path in paths:
        soundfile.write(path, generator.uniform(-0.3, 0.3, generator.integers(16_000, 80_000)), 16_000)
    for name in options.models.split(","):
        entry = get_entry(name)
        path, weights = find_weights(entry, options.weights, folder)
        entry = entry if weights == "released" else dataclasses.replace(entry, own_checkpoint=path)
        seconds, vectors = zip(
            *(
                time_extraction(load_extractor(entry, weights=options.weights, device=each), paths)
                for each in ("cpu", device)
            ),
            strict=True,
        )
        yield {
            "check": "vectors",
            "model": name,
            "weights": weights,
            "cpu_per_s": round(len(paths) / seconds[0], 1),
            "gpu_per_s": round(len(paths) / seconds[1], 1) if device != "cpu" else None,
            "difference": float(np.abs(vectors[1] - vectors[0]).max() / np.abs(vectors[0]).max()),
        }


def check_training(device: str, share: float, folder: Path) -> Iterator[dict[str, object]]:
    """Pre-train on noise: speed and memory in two precisions, and the weights of a run that was resumed."""
    write_clips(folder / "audio", max(4, round(512 * share)))
    sizes = {"batch_size": 256} if device == "cuda" else {"batch_size": 4, "hidden_size": 64}
    sizes["device"] = device
    for precision in ("32", "bf16"):
        crops = max(1, round(10 * share))
        config = PretrainConfig(model="byol-s-512", epochs=2, precision=precision, crops_per_clip=crops, **sizes)
        done = measure(config, folder)
        kept = ("model", "precision", "batch_size", "crops_per_s", "wait_share", "memory_gib", "loss")
        yield {"check": "pre-training", **{name: done[name] for name in kept}}
    whole, resumed = folder / "whole", folder / "resumed"
    config = PretrainConfig(model="byol-s-512", epochs=2, **sizes)
    pretrain(folder / "audio", whole, config, cache=folder / "cache")
    for epochs in (1, 2):
        config = dataclasses.replace(config, epochs=epochs)
        pretrain(folder / "audio", resumed, config, resume=epochs == 2, cache=folder / "cache")
    pair = [torch.load(out / "encoder.pth", weights_only=True) for out in (whole, resumed)]
    largest = max(float((pair[0][name] - pair[1][name]).abs().max()) for name in pair[0])
    yield {"check": "resumed run", "model": "byol-s-512", "difference": largest}


if __name__ == "__main__":
    run(main, interrupted="the same command begins anew")
