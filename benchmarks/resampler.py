"""What the resampler of a copy does to a cell: measured on the recordings as released.

    python benchmarks/resampler.py --data DIR --weights DIR [--results results] [--work _build/resampler]

Each corpus is brought to 16 kHz by four resamplers, without rounding to 16 bits, and its cells are evaluated on each
copy under both protocols. Writes RESULTS/audit/resampler.csv, where the rows of other tasks and models stay. Copies and
what was measured on them lie in WORK until their task is finished (RAVDESS: 1.4 GB): after an interruption the same
command goes on from there. Needs resampy and soxr: `pip install 'serab-companion[bench]'`.
"""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import soundfile
import torch
from measuring import keep, make_parser, run

from serab_lib.audio import SAMPLE_RATE_HZ, decode, import_torchaudio, resample
from serab_lib.benchmark.grid import Settings, run_grid
from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError, replaced
from serab_lib.corpora.corpus import Corpus, find_corpus
from serab_lib.corpora.splits import PROTOCOLS

torchaudio = import_torchaudio()
COLUMNS = ["task", "model", "resampler", "protocol", "classifier", "validation_accuracy", "test_accuracy"]


def main() -> None:
    """Measure and write, after each task."""
    parser = make_parser(__doc__)
    parser.add_argument("--tasks", default="RAV")
    parser.add_argument("--models", default="byol-s-512,opensmile,yamnet,logmel-stats")
    parser.add_argument("--work", type=Path, default=Path("_build/resampler"))
    options = parser.parse_args()
    for task in options.tasks.split(","):
        corpus = find_corpus(task, options.data)
        work = options.work / corpus.task.code
        tables = []
        for name, change_rate in load_resamplers().items():
            copy = work / name
            write_copy(corpus, copy / "data", change_rate)
            settings = Settings(data=copy / "data", weights=options.weights, out=copy / "results", protocols=PROTOCOLS)
            tables.append(measure_copy(task, options.models.split(","), settings).assign(resampler=name))
            print(f"{corpus.task.code}, {name}: measured", flush=True)
        table = pd.concat(tables)[[*COLUMNS, "selected", "best_params"]]
        keep(Results(options.results), "resampler", table)
        shutil.rmtree(work)


def load_resamplers() -> dict[str, Callable[[np.ndarray, int], np.ndarray]]:
    """Functions of a waveform and its rate by name.

    resampy changed its "kaiser_best" in version 0.3.0 (June 2022), from 64 zero crossings and a roll-off of 0.948 to 50
    and 0.917: what `serab_lib.audio` computes is the one before.
    """
    resampy, soxr = _import("resampy"), _import("soxr")
    return {
        "kaiser-best-2021": lambda samples, rate: resample(torch.from_numpy(samples), rate).numpy(),
        "kaiser-best-2022": lambda samples, rate: resampy.resample(samples, rate, SAMPLE_RATE_HZ, filter="kaiser_best"),
        "torchaudio": lambda samples, rate: torchaudio.functional.resample(
            torch.from_numpy(samples), rate, SAMPLE_RATE_HZ
        ).numpy(),
        "soxr-hq": lambda samples, rate: soxr.resample(samples, rate, SAMPLE_RATE_HZ, quality="HQ"),
    }


def write_copy(corpus: Corpus, data: Path, change_rate: Callable[[np.ndarray, int], np.ndarray]) -> None:
    """Write what is not there yet of a corpus at 16 kHz, in 32-bit floating point."""
    for stem, path in zip(corpus.utterances["stem"], corpus.utterances["path"], strict=True):
        file = data / corpus.task.name / f"{stem}.wav"
        if not file.is_file():
            waveform, rate = decode(path)
            with replaced(file) as temporary:
                soundfile.write(
                    temporary, change_rate(waveform.numpy(), rate), SAMPLE_RATE_HZ, format="WAV", subtype="FLOAT"
                )


def measure_copy(task: str, models: list[str], settings: Settings) -> pd.DataFrame:
    """Compute the cells of a copy that are not there yet, and read them all."""
    summary = run_grid([task], models, settings)
    if summary.failures:
        raise SerabError(summary.failures[0])
    cells = Results(settings.out).read_cells()
    cells["best_params"] = cells["best_params"].map(json.loads)
    return cells[cells["model"].isin(models)]


def _import(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise SerabError(f"{package} is not installed: `pip install 'serab-companion[bench]'`") from error


if __name__ == "__main__":
    run(main)
