"""Extraction: the engine against the released procedure, on the same files in one run.

    python benchmarks/extraction.py --data DIR --weights DIR [--n-files 120] [--pairs 3] [--models NAME,NAME]

Reads the recordings of DIR/ravdess. Each pair runs both ways one after the other, each in a process of its own; the
median of the ratios counts. Where BYOL-S's weights are not at hand, both sides have the same random ones: the speed
does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import released
import soundfile
from measuring import choose_recordings, find_weights, make_parser, run, time_extraction

from serab_lib.core import SerabError
from serab_lib.corpora.task import get_task
from serab_lib.extractors.base import Statistics, StatisticsExtractor
from serab_lib.extractors.registry import get_entry, load_extractor

MODELS = ("byol-s-512", "opensmile")
SIDES = ("released", "engine")


def main() -> None:
    """Run the comparison, or with --side one of its sides."""
    parser = make_parser(__doc__, measures_time=True)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", help=argparse.SUPPRESS)
    options = parser.parse_args()
    models = [get_entry(name).name for name in options.models.split(",")]
    if unknown := set(models) - set(MODELS):
        raise SerabError(f"there is no released procedure here for {', '.join(unknown)}: choose {' or '.join(MODELS)}")
    if options.pairs < 1:
        raise SerabError(f"--pairs {options.pairs}: expected 1 or more")
    paths = choose_recordings(options.data, options.n_files)
    if options.side:
        print(json.dumps(measure(options.side, models[0], paths, options.checkpoint)))
        return
    n_seconds = sum(soundfile.info(path).duration for path in paths)
    print(f"{len(paths)} recordings, {n_seconds:.0f} s of audio, {os.cpu_count()} cores")
    resampler = "resampy, as the release does" if released.resampy else "torchaudio, which is faster than its resampy"
    print(f"the released procedure resamples with {resampler}")
    for model in models:
        compare(model, options, n_seconds)


def compare(model: str, options: argparse.Namespace, n_seconds: float) -> None:
    """Print the ratio of both sides for one model."""
    command = [sys.executable, __file__, "--n-files", str(options.n_files), "--models", model]
    command += ["--data", options.data] if options.data else []
    with tempfile.TemporaryDirectory() as folder:
        weights = "no"
        if get_entry(model).checkpoints:
            checkpoint, weights = find_weights(get_entry(model), options.weights, Path(folder))
            command += ["--checkpoint", str(checkpoint)]
        pairs = [[run_side([*command, "--side", side]) for side in SIDES] for _ in range(options.pairs)]
    ratios = [theirs["seconds"] / ours["seconds"] for theirs, ours in pairs]
    rate = statistics.median(n_seconds / ours["seconds"] for _, ours in pairs)
    theirs, ours = pairs[-1]
    difference = np.abs(np.subtract(ours["first"], theirs["first"])).max() / np.abs(theirs["first"]).max()
    print(
        f"{model}, {weights} weights: {statistics.median(ratios):.1f} times the released procedure "
        f"({min(ratios):.1f} to {max(ratios):.1f}), {rate:.0f} s of audio per second, "
        f"peak memory {ours['peak_mib']:.0f} MiB ({theirs['peak_mib']:.0f}), "
        f"first embedding differs by {difference:.1e} of its largest value",
        flush=True,
    )


def run_side(command: list[str]) -> dict:
    """Measure one side in a process of its own."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SerabError((done.stderr.strip().splitlines() or ["failed"])[-1].removeprefix("error: "))
    return json.loads(done.stdout.splitlines()[-1])


def measure(side: str, model: str, paths: list[str], checkpoint: str | None) -> dict:
    """Time one side; imports are not counted."""
    mean, std = get_task("RAV").log_mel_statistics
    if side == "released":
        embed = released.embed_opensmile
        if checkpoint:
            embed = partial(released.embed_byol, checkpoint=checkpoint, mean=mean, std=std)
        embed(paths[:2])
        start = time.perf_counter()
        matrix = embed(paths)
        seconds = time.perf_counter() - start
    else:
        extractor = load_extractor(f"path:{checkpoint}" if checkpoint else model)
        if isinstance(extractor, StatisticsExtractor):
            extractor.with_statistics(Statistics(mean, std))
        seconds, matrix = time_extraction(extractor, paths)
    peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    return {"seconds": seconds, "peak_mib": peak, "first": matrix[0].astype(float).tolist()}


if __name__ == "__main__":
    run(main, interrupted="the same command begins anew")
