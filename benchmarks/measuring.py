"""What the programs that measure share: their options, their recordings and weights, and how they end."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from serab_lib.audit.measurements import read_measurement
from serab_lib.benchmark.embeddings import extract
from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError, replaced
from serab_lib.corpora.corpus import load_task
from serab_lib.extractors.base import Extractor
from serab_lib.extractors.registry import Entry
from serab_lib.extractors.ssl import build_network
from serab_lib.extractors.weights import find_checkpoint, require_checkpoint

# Enough for several batches, so that each worker has begun.
N_WARM = 16
TESTS = Path(__file__).resolve().parents[1] / "tests" / "support"


class NoWeightsError(SerabError):
    """An extractor whose weights are not at hand and cannot be made up."""


def make_parser(description: str | None, *, measures_time: bool = False) -> argparse.ArgumentParser:
    """Options that name the corpora and the weights, and the results or how many recordings to time."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("SERAB_DATA"))
    parser.add_argument("--weights", default=os.environ.get("SERAB_WEIGHTS"))
    if measures_time:
        parser.add_argument("--n-files", type=int, default=120, help="recordings, spread evenly over the actors")
    else:
        parser.add_argument("--results", type=Path, default=Path("results"))
    return parser


def run(main: Callable[[], int | None], *, interrupted: str | None = None) -> None:
    """Run a program and end with the code it returns; a mistake of the user's ends it with one line."""
    try:
        code = main()
    except (SerabError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        kept = "what was finished is kept; the same command goes on from there"
        print(f"interrupted: {interrupted or kept}", file=sys.stderr)
        sys.exit(130)
    if code:
        sys.exit(code)


def keep(results: Results, name: str, table: pd.DataFrame) -> None:
    """Write a table to the results' `audit/<name>.csv`, in the place of its rows of the same tasks and models."""
    cells = {}
    for rows in (read_measurement(results, name), table):
        cells |= dict(iter(rows.groupby(["task", "model"], sort=False)))
    whole = pd.concat(cells.values())
    if "best_params" in whole:
        whole = whole.assign(best_params=whole["best_params"].map(json.dumps))
    with replaced(results.folder / "audit" / f"{name}.csv") as temporary:
        whole.round(6).to_csv(temporary, index=False)


def choose_recordings(data: str | None, n_files: int) -> list[str]:
    """Distinct recordings of RAVDESS, spread evenly over actors and emotions."""
    if n_files < 1:
        raise SerabError(f"--n-files {n_files}: expected 1 or more")
    paths = load_task("RAV", data).sort_values(["speaker", "stem"])["path"].to_numpy()
    return paths[np.linspace(0, len(paths) - 1, min(n_files, len(paths))).astype(int)].tolist()


def time_extraction(extractor: Extractor, paths: Sequence[str]) -> tuple[float, np.ndarray]:
    """Seconds from files to embeddings, and these: decoding, hashes and cache included, loading the network not."""
    with tempfile.TemporaryDirectory() as folder:
        warm, cold = Path(folder, "warm"), Path(folder, "cold")
        first = paths[:N_WARM]
        extract(first, extractor, cache=warm)
        start = time.perf_counter()
        made = extract(paths, extractor, cache=cold)
        if extractor.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    for reason in made.unusable.values():
        raise SerabError(reason)
    return seconds, made.matrix


def find_weights(entry: Entry, weights: str | None, folder: Path) -> tuple[Path, str]:
    """The released checkpoint where it is at hand, else one of random weights in a folder; and which it is."""
    if find_checkpoint(entry, weights):
        return require_checkpoint(entry, weights)[0], "released"
    path = folder / f"{entry.name}.pth"
    if entry.family == "trill:Trill":
        raise NoWeightsError("its SavedModel is not at hand: `serab fetch trill`")
    if entry.family == "ssl:SslExtractor":
        torch.save(build_network(str(entry.options["bundle"])).state_dict(), path)
    else:
        sys.path.insert(0, str(TESTS))
        from making import write_checkpoint

        write_checkpoint(path, entry.family, entry.embedding_size)
    return path, "random"
