"""Extraction throughput of each family of extractors, in utterances and in seconds of audio per second.

    python benchmarks/families.py --data DIR --weights DIR [--device cuda] [--repeats 1] [--models NAME,NAME]

Where a model's weights are not at hand, the same network runs with random ones: its speed does not depend on them.
On a GPU each model is timed on the CPU too, and the ratio printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path

import soundfile
import torch
from extraction import find_files

from serab_lib.checkpoints import find_checkpoint
from serab_lib.embeddings import extract
from serab_lib.errors import SerabError
from serab_lib.extractors.base import Statistics, StatisticsExtractor
from serab_lib.extractors.registry import Entry, get_entry, load_extractor
from serab_lib.extractors.ssl import Architecture

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
    """Time every family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("SERAB_DATA"))
    parser.add_argument("--weights", default=os.environ.get("SERAB_WEIGHTS"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=1, help="how often each file is listed")
    parser.add_argument("--models", default=",".join(MODELS))
    options = parser.parse_args()
    paths = find_files(options.data) * options.repeats
    if not paths:
        print("no RAVDESS recordings: pass --data DIR with DIR/ravdess_48k or DIR/ravdess")
        return 1
    n_seconds = sum(soundfile.info(path).duration for path in paths)
    print(f"{len(paths)} recordings, {n_seconds:.0f} s of audio, {os.cpu_count()} cores")
    print(HEADER)
    for model in options.models.split(","):
        try:
            time_model(get_entry(model), paths, n_seconds, options)
        except SerabError as error:
            print(f"{model:18} left out: {error}")
    return 0


def time_model(entry: Entry, paths: list[str], n_seconds: float, options: argparse.Namespace) -> None:
    """Print one line per device."""
    with tempfile.TemporaryDirectory() as folder:
        if entry.needs_weights and not find_checkpoint(entry.name, options.weights):
            entry, weights = with_random_weights(entry, Path(folder)), "random"
        else:
            weights = "real" if entry.needs_weights else "none"
        spent = {}
        for device in dict.fromkeys(("cpu", options.device)):
            spent[device] = time_extraction(entry, paths, device, options.weights)
            ratio = f"{spent['cpu'] / spent[device]:.1f}" if device != "cpu" else ""
            rates = f"{len(paths) / spent[device]:13.1f} {n_seconds / spent[device]:10.0f}"
            print(f"{entry.name:18} {device:7} {weights:8} {rates} {ratio:>8}", flush=True)


def time_extraction(entry: Entry, paths: list[str], device: str, weights: str | None) -> float:
    """Seconds from files to embeddings, decoding and resampling included; loading the network is not."""
    extractor = load_extractor(entry, weights=weights, device=device)
    if isinstance(extractor, StatisticsExtractor):
        extractor.with_statistics(Statistics(-10.3, 5.0))
    with tempfile.TemporaryDirectory() as cache:
        extract(paths[:2], ["a", "b"], extractor, cache=Path(cache))
        start = time.perf_counter()
        extract(paths, [str(i) for i in range(len(paths))], extractor, cache=Path(cache))
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter() - start


def with_random_weights(entry: Entry, folder: Path) -> Entry:
    """Give an entry a checkpoint of random weights."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from making import write_checkpoint

    path = folder / f"{entry.name}.pth"
    if entry.family == "trill:Trill":
        raise SerabError("its SavedModel is not at hand: `serab fetch trill`")
    if entry.family == "ssl:SslExtractor":
        network = Architecture.of_bundle(str(entry.options["bundle"])).build()
        torch.save(network.state_dict(), path)
    else:
        write_checkpoint(path, entry.family, entry.embedding_size)
    # Another name, so that no released checkpoint is asked for.
    options = {**entry.options, "checkpoint": path}
    return dataclasses.replace(entry, name=f"{entry.name}*", options=options)


if __name__ == "__main__":
    sys.exit(main())
