"""The log of a run: one row a step in log.csv, one row a measurement in probe.csv."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from serab_lib.core import SerabError, replaced
from serab_lib.pretraining.byol import MEASURES
from serab_lib.pretraining.distributed import average

COLUMNS = ("step", "epoch", "loss", *MEASURES, "learning_rate", "crops_per_s", "wait_share")
PROBE_COLUMNS = ("step", "epoch", "task", "validation_accuracy")
# Steps whose values stay on the device, so that it need not wait for them to be read.
_STEPS_PER_FLUSH = 20


def read_log(out: str | Path) -> pd.DataFrame:
    """Read the log of a run.

    Parameters
    ----------
    out : str or Path
        Folder of the run.

    Returns
    -------
    pandas.DataFrame
        One row a step: `step` and `epoch` from 1, `loss` (0 to 8), `embedding_std`, `projection_std`,
        `agreement`, `learning_rate`, `crops_per_s`, and `wait_share`, the share of time that was spent waiting
        for crops.
    """
    return _read(Path(out) / "log.csv", COLUMNS)


def read_probe(out: str | Path) -> pd.DataFrame:
    """Read what the probe of a run measured.

    Parameters
    ----------
    out : str or Path
        Folder of the run.

    Returns
    -------
    pandas.DataFrame
        One row a measurement: `step`, `epoch` (0 for the random weights that the run began with), `task` and
        `validation_accuracy`, a fraction of 1. Empty without a probe.
    """
    return _read(Path(out) / "probe.csv", PROBE_COLUMNS)


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame(columns=list(columns))


class Journal:
    """Writes the log of a run.

    Parameters
    ----------
    out : Path
        Folder of the run.
    writes : bool
        False in all processes but one; the others only take part in averages.
    step : int
        Steps that were made before. Rows of later steps, which an interrupted run has left behind without a
        checkpoint, are removed.
    """

    def __init__(self, out: Path, *, writes: bool, step: int = 0) -> None:
        self.out, self.writes = out, writes
        self.pending: list[tuple[int, int, float, torch.Tensor]] = []
        if writes:
            for name, columns in (("log.csv", COLUMNS), ("probe.csv", PROBE_COLUMNS)):
                kept = _read_whole_rows(out / name, columns, step)
                with replaced(out / name) as temporary:
                    kept.to_csv(temporary, index=False)
        self.restart_clock()

    def restart_clock(self, wait_s: float = 0.0) -> None:
        """Leave what went on until now out of the throughput."""
        self.began, self.waited_before = time.perf_counter(), wait_s

    def add(self, step: int, epoch: int, values: torch.Tensor, *, learning_rate: float) -> bool:
        """Note the loss and the measures of a step; says whether it is time to `flush`."""
        self.pending.append((step, epoch, learning_rate, values.detach()))
        return len(self.pending) >= _STEPS_PER_FLUSH

    def flush(self, *, batch_size: int, wait_s: float) -> list[float]:
        """Write the steps that were noted.

        Parameters
        ----------
        batch_size : int
        wait_s : float
            Time spent waiting for crops since the run began.

        Returns
        -------
        list of float
            Their losses, averaged over all processes.

        Raises
        ------
        SerabError
            If a loss is not finite.
        """
        if not self.pending:
            return []
        rows = average(torch.stack([values for *_, values in self.pending])).tolist()
        elapsed = time.perf_counter() - self.began
        speed = {
            "crops_per_s": round(len(rows) * batch_size / elapsed, 2),
            "wait_share": round((wait_s - self.waited_before) / elapsed, 4),
        }
        steps, self.pending = self.pending, []
        self.restart_clock(wait_s)
        for (step, epoch, rate, _), (loss, *measures) in zip(steps, rows, strict=True):
            if not math.isfinite(loss):
                raise SerabError(
                    f"the loss is not finite in step {step}: choose a lower --learning-rate or --precision 32; the "
                    "last checkpoint is kept"
                )
            measured = dict(zip(MEASURES, measures, strict=True))
            row = {"step": step, "epoch": epoch, "loss": loss, **measured, "learning_rate": rate, **speed}
            self._write("log.csv", row)
        return [loss for loss, *_ in rows]

    def add_probe(self, row: Mapping[str, Any]) -> None:
        """Write one measurement of the probe."""
        self._write("probe.csv", row)

    def _write(self, name: str, row: Mapping[str, Any]) -> None:
        if not self.writes:
            return
        with (self.out / name).open("a", newline="") as file:
            csv.writer(file).writerow(row.values())


def _read_whole_rows(path: Path, columns: tuple[str, ...], step: int) -> pd.DataFrame:
    """Rows up to a step, as text; a last one that was cut off is left out."""
    if not path.exists():
        return pd.DataFrame(columns=list(columns))
    with path.open(newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == len(columns)][1:]
    kept = [row for row in rows if row[0].isdecimal() and int(row[0]) <= step]
    return pd.DataFrame(kept, columns=list(columns), dtype=str)
