"""Extraction throughput of each family of extractors, in utterances and in seconds of audio per second.

    python benchmarks/families.py --data DIR --weights DIR [--device cuda] [--n-files 120] [--models NAME,NAME]

Where a model's weights are not at hand, the same network runs with random ones: its speed does not depend on them.
On a GPU each model is timed on the CPU too, and the ratio printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from pathlib import Path

import soundfile
from measuring import NoWeightsError, choose_recordings, find_weights, make_parser, run, time_extraction

from serab_lib.core import SerabError
from serab_lib.extractors.registry import Entry, get_entry, load_extractor

# One or two of each family.
MODELS = (
    "logmel-stats",
    "opensmile",
    "vggish",
    "yamnet",
    "trill",
    "byol-s-512",
    "byol-s-2048",
    "byol-s-cvt-256",
    "byol-s-cvt-2048",
    "wav2vec2-base",
    "wavlm-base-plus",
)
HEADER = f"{'model':18} {'device':7} {'weights':8} {'utterances/s':>13} {'audio s/s':>10} {'to CPU':>8}"


def main() -> int:
    """Time every family; 1 if one of them failed, or is named and has no weights."""
    parser = make_parser(__doc__, measures_time=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models")
    options = parser.parse_args()
    entries = [get_entry(name) for name in (options.models.split(",") if options.models else MODELS)]
    paths = choose_recordings(options.data, options.n_files)
    n_seconds = sum(soundfile.info(path).duration for path in paths)
    print(f"{len(paths)} recordings, {n_seconds:.0f} s of audio, {os.cpu_count()} cores")
    print(HEADER)
    code = 0
    for entry in entries:
        try:
            time_model(entry, paths, n_seconds, options)
        except SerabError as error:
            print(f"{entry.name:18} left out: {error}", flush=True)
            if options.models or not isinstance(error, NoWeightsError):
                code = 1
    return code


def time_model(entry: Entry, paths: list[str], n_seconds: float, options: argparse.Namespace) -> None:
    """Print one line per device."""
    with tempfile.TemporaryDirectory() as folder:
        weights = "none"
        if entry.checkpoints:
            path, weights = find_weights(entry, options.weights, Path(folder))
        if weights == "random":
            entry = dataclasses.replace(entry, own_checkpoint=path)
        spent = {}
        for device in dict.fromkeys(("cpu", options.device)):
            extractor = load_extractor(entry, weights=options.weights, device=device)
            spent[device], _ = time_extraction(extractor, paths)
            ratio = f"{spent['cpu'] / spent[device]:.1f}" if device != "cpu" else ""
            rates = f"{len(paths) / spent[device]:13.1f} {n_seconds / spent[device]:10.0f}"
            print(f"{entry.name:18} {device:7} {weights:8} {rates} {ratio:>8}", flush=True)


if __name__ == "__main__":
    run(main, interrupted="the same command begins anew")
