"""Extraction: the engine against the released procedure, on the same files in one run.

    python benchmarks/extraction.py --data DIR --weights DIR [--repeats 3] [--pairs 3]

Uses the recordings of DIR/ravdess_48k where they are there, else of DIR/ravdess. Each pair runs both ways one after
the other; the median of the ratios counts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

MODELS = ("byol-s-512", "opensmile", "logmel-stats")


def main() -> int:
    """Run the comparison, or with --only one of its sides."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("SERAB_DATA"))
    parser.add_argument("--weights", default=os.environ.get("SERAB_WEIGHTS"))
    parser.add_argument("--repeats", type=int, default=3, help="how often each file is listed")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--only", nargs=2, metavar=("SIDE", "MODEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    paths = find_files(options.data)
    if not paths:
        print("no RAVDESS recordings: pass --data DIR with DIR/ravdess_48k or DIR/ravdess")
        return 1
    if options.only:
        print(json.dumps(measure(*options.only, paths * options.repeats, options.weights)))
        return 0
    n_seconds = options.repeats * sum(soundfile.info(path).duration for path in paths)
    print(f"{options.repeats} x {len(paths)} recordings, {n_seconds:.0f} s of audio, {os.cpu_count()} cores")
    resampler = "resampy, as the release does" if importlib.util.find_spec("resampy") else "torchaudio"
    print(f"the released procedure resamples with {resampler}")
    for model in MODELS:
        compare(model, options, n_seconds)
    for repeats in (options.repeats, 4 * options.repeats):
        ours = run_side("engine", "byol-s-512", options, repeats)
        if "error" not in ours:
            print(
                f"byol-s-512, {repeats} x {len(paths)} recordings: {1e3 * ours['seconds'] / repeats / len(paths):.1f} "
                f"ms per utterance, peak memory {ours['peak_mib']:.0f} MiB"
            )
    return 0


def find_files(data: str | None) -> list[str]:
    """Recordings at 48 kHz where they are at hand."""
    for name in ("ravdess_48k", "ravdess"):
        files = sorted(str(path) for path in Path(data or ".").glob(f"{name}/**/*") if path.is_file())
        if files:
            return files[:63]
    return []


def compare(model: str, options: argparse.Namespace, n_seconds: float) -> None:
    """Print the ratio of both sides for one model."""
    ratios, rates, ours = [], [], {}
    for _ in range(options.pairs):
        released = run_side("released", model, options, options.repeats)
        ours = run_side("engine", model, options, options.repeats)
        if "error" in ours:
            print(f"{model}: {ours['error']}")
            return
        rates.append(n_seconds / ours["seconds"])
        if "error" not in released:
            ratios.append(released["seconds"] / ours["seconds"])
    line = f"{model}: {statistics.median(rates):.0f} s of audio per second"
    if ratios:
        spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
        line += f", {statistics.median(ratios):.1f} times the released procedure ({spread})"
        difference = np.abs(np.array(ours["first"]) - np.array(released["first"])).max()
        line += f", first embedding differs by {difference / np.abs(released['first']).max():.1e} of its largest value"
    print(line, flush=True)


def run_side(side: str, model: str, options: argparse.Namespace, repeats: int) -> dict:
    """Measure one side in a process of its own."""
    command = [sys.executable, __file__, "--only", side, model, "--repeats", str(repeats)]
    command += ["--data", options.data] + (["--weights", options.weights] if options.weights else [])
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["failed"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def measure(side: str, model: str, paths: list[str], weights: str | None) -> dict:
    """Time one side; imports and loading of the network are not counted."""
    from serab_lib.checkpoints import require_checkpoint
    from serab_lib.embeddings import extract
    from serab_lib.extractors.registry import load_extractor
    from serab_lib.tasks import get_task

    mean, std = get_task("RAV").log_mel_statistics
    if side == "released":
        import released

        if model == "byol-s-512":
            checkpoint = require_checkpoint(model, weights)
            released.embed_byol(paths[:2], checkpoint, mean, std)
            start = time.perf_counter()
            matrix = released.embed_byol(paths, checkpoint, mean, std)
        elif model == "opensmile":
            released.embed_opensmile(paths[:2])
            start = time.perf_counter()
            matrix = released.embed_opensmile(paths)
        else:
            raise SystemExit(f"the release has no {model}")
    else:
        from serab_lib.extractors.base import Statistics, StatisticsExtractor

        extractor = load_extractor(model, weights=weights)
        if isinstance(extractor, StatisticsExtractor):
            extractor.with_statistics(Statistics(mean, std))
        with tempfile.TemporaryDirectory() as cache:
            extract(paths[:2], ["a", "b"], extractor, cache=Path(cache))
            start = time.perf_counter()
            made = extract(paths, [str(i) for i in range(len(paths))], extractor, cache=Path(cache))
            matrix = made.matrix
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peak += resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mib": peak, "first": matrix[0].astype(float).tolist()}


if __name__ == "__main__":
    sys.exit(main())
