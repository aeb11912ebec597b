"""A run on disk: its log, its whole state after a step, and its encoder alone."""

from __future__ import annotations

import csv
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn

from serab_lib.core import SerabError, replaced
from serab_lib.pretraining.byol import MEASURES

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from serab_lib.pretraining.clips import CropBatches

LAST, BEST = "last.ckpt", "best.ckpt"
ENCODER, BEST_ENCODER = "encoder.pth", "encoder_best.pth"
COLUMNS = ("step", "epoch", "loss", *MEASURES, "learning_rate", "crops_per_s", "wait_share")
PROBE_COLUMNS = ("step", "epoch", "task", "validation_accuracy")
_FORMAT = 2
# Steps whose values stay on the device, so that it need not wait for them to be read.
_STEPS_PER_WRITE = 20


def read_log(out: str | Path) -> pd.DataFrame:
    """Log of the run in a folder, one row a step; `wait_share` is the share of time spent waiting for crops."""
    return _read(Path(out) / "log.csv")


def read_probe(out: str | Path) -> pd.DataFrame:
    """What the probe of a run measured, one row each time; epoch 0 has the random weights that it began with."""
    return _read(Path(out) / "probe.csv")


def _read(path: Path) -> pd.DataFrame:
    """One of a run's two tables."""
    if not path.exists():
        raise SerabError(f"there is no {path}: name the --out folder of `serab pretrain`")
    return pd.read_csv(path)


class Log:
    """Writes log.csv, several steps at a time, and probe.csv; the steps after a checkpoint are taken out first."""

    def __init__(self, out: Path, fabric: Fabric, batches: CropBatches, *, step: int) -> None:
        self.out, self.fabric, self.batches = out, fabric, batches
        self.pending: list[tuple[dict[str, Any], torch.Tensor]] = []
        if fabric.is_global_zero:
            _cut_table(out / "log.csv", COLUMNS, step)
            _cut_table(out / "probe.csv", PROBE_COLUMNS, step)
        self.restart_clock()

    def restart_clock(self) -> None:
        """Leave what went on until now out of the throughput."""
        self.began, self.waited_s = time.perf_counter(), self.batches.wait_s

    def add(self, step: int, epoch: int, values: torch.Tensor, *, learning_rate: float) -> None:
        """Note the loss and the measures of a step."""
        self.pending.append(({"step": step, "epoch": epoch, "learning_rate": learning_rate}, values.detach()))
        if len(self.pending) >= _STEPS_PER_WRITE:
            self.write()

    def write(self) -> None:
        """Write the steps that were noted."""
        if not self.pending:
            return
        rows, values = zip(*self.pending, strict=True)
        self.pending = []
        means = self.fabric.all_reduce(torch.stack(values), reduce_op="mean").tolist()
        elapsed_s = time.perf_counter() - self.began
        speed = {
            "crops_per_s": round(len(rows) * self.batches.config.batch_size / elapsed_s, 2),
            "wait_share": round((self.batches.wait_s - self.waited_s) / elapsed_s, 4),
        }
        self.restart_clock()
        for row, numbers in zip(rows, means, strict=True):
            if not math.isfinite(numbers[0]):
                raise SerabError(
                    f"the loss is not finite in step {row['step']}: choose a lower --learning-rate or --precision 32; "
                    "the last checkpoint is kept"
                )
            self._append("log.csv", COLUMNS, row | dict(zip(("loss", *MEASURES), numbers, strict=True)) | speed)

    def add_probe(self, row: Mapping[str, Any]) -> None:
        """Write one measurement of the probe."""
        self._append("probe.csv", PROBE_COLUMNS, row)

    def _append(self, name: str, columns: tuple[str, ...], row: Mapping[str, Any]) -> None:
        if self.fabric.is_global_zero:
            with (self.out / name).open("a", newline="") as file:
                csv.DictWriter(file, columns).writerow(row)


def _cut_table(path: Path, columns: tuple[str, ...], step: int) -> None:
    """Keep the whole rows up to a step, as they were written; begin anew before the first one."""
    table = pd.DataFrame(columns=list(columns))
    if step and path.exists():
        rows = pd.read_csv(path, dtype=str).dropna()
        table = rows[rows["step"].astype(int) <= step]
    with replaced(path) as temporary:
        table.to_csv(temporary, index=False)


def write_checkpoint(out: Path, state: Mapping[str, Any], encoder: nn.Module) -> None:
    """Write the state of a run, whole or not at all, and the encoder's weights beside it."""
    with replaced(out / LAST) as temporary:
        torch.save({"format": _FORMAT, **state}, temporary)
    write_encoder(out / ENCODER, encoder)


def write_encoder(path: Path, encoder: nn.Module) -> None:
    """Write an encoder's weights under the released names."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    with replaced(path) as temporary:
        torch.save(state, temporary)


def keep_best(out: Path, epoch: int, *, probed: bool) -> None:
    """Keep the checkpoint just written as the best, if its epoch has the highest accuracy or else the lowest loss."""
    if probed:
        values = read_probe(out).query("epoch > 0").set_index("epoch")["validation_accuracy"]
    else:
        values = -read_log(out).groupby("epoch")["loss"].mean()
    if len(values) and values.idxmax() == epoch:
        for last, best in ((LAST, BEST), (ENCODER, BEST_ENCODER)):
            with replaced(out / best) as temporary:
                shutil.copyfile(out / last, temporary)


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read the state of a run; refuse what is none, or one of another version."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a file that is no checkpoint makes the reader fail in every way there is
        raise SerabError(
            f"{path} is not the checkpoint of a run, or is cut off ({type(error).__name__}): delete it to begin anew"
        ) from error
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise SerabError(f"{path} is not a checkpoint that this version can go on from: choose another folder")
    return state
