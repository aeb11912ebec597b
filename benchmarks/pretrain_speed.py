"""Crops a second, the share of time spent waiting for data, and memory: the recipe at full size on one device.

    python benchmarks/pretrain_speed.py [--models NAME,NAME] [--precisions 32,bf16] [--device cuda] [--out FILE.csv]

Audio is noise, which costs what speech costs. The first epoch warms up; the second is measured.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import soundfile
import torch
from measuring import run

from serab_lib.core import SerabError
from serab_lib.pretraining.config import Device, Precision, PretrainConfig
from serab_lib.pretraining.train import pretrain


def main() -> None:
    options = parse_options()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder) / "audio", options.clips)
        for model in options.models.split(","):
            for precision in options.precisions.split(","):
                config = PretrainConfig(
                    model=model,
                    epochs=2,
                    precision=precision,
                    batch_size=options.batch_size,
                    crops_per_clip=max(1, options.crops // options.clips),
                    device=options.device,
                )
                rows.append(measure(config, Path(folder)))
                print(pd.DataFrame(rows).to_string(), flush=True)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(options.out, index=False)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="byol-s-512,byol-s-2048,byol-s-cvt-256")
    parser.add_argument("--precisions", default="32,bf16")
    parser.add_argument("--batch-size", type=int, default=PretrainConfig.batch_size)
    parser.add_argument("--crops", type=int, default=20_480, help="in an epoch")
    parser.add_argument("--clips", type=int, default=1024, help="of ten seconds")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=None, help="a CSV file to write")
    options = parser.parse_args()
    for kind, given, known in (
        ("device", [options.device], get_args(Device)),
        ("precision", options.precisions.split(","), get_args(Precision)),
    ):
        for value in set(given) - set(known):
            raise SerabError(f"there is no {kind} {value!r}: choose {' or '.join(known)}")
    return options


def write_clips(folder: Path, n_clips: int) -> None:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(n_clips):
        samples = generator.integers(-8000, 8000, 160_000, dtype=np.int16)
        soundfile.write(folder / f"{number:05d}.wav", samples, 16_000, subtype="PCM_16")


def measure(config: PretrainConfig, folder: Path) -> dict[str, object]:
    on_gpu = config.device == "cuda" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    out = folder / f"{config.model}-{config.precision}"
    log = pretrain(folder / "audio", out, config, cache=folder / "cache")
    measured = log[log["epoch"] == 2]
    return {
        "device": torch.cuda.get_device_name() if on_gpu else config.device,
        "model": config.model,
        "precision": config.precision,
        "batch_size": config.batch_size,
        "crops": len(measured) * config.batch_size,
        "crops_per_s": round(float(len(measured) / (1 / measured["crops_per_s"]).sum()), 1),
        "wait_share": round(float(np.average(measured["wait_share"], weights=1 / measured["crops_per_s"])), 4),
        "memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if on_gpu else None,
        "loss": round(float(measured["loss"].mean()), 4),
        "embedding_std": round(float(measured["embedding_std"].mean()), 4),
    }


if __name__ == "__main__":
    run(main, interrupted="the same command begins anew")
