from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from asserting import one_line

from serab_lib.pretraining.run import COLUMNS, PROBE_COLUMNS, Log, keep_best, read_log, read_probe

FABRIC, BATCHES = SimpleNamespace(is_global_zero=True), SimpleNamespace(wait_s=0.0)


def write_log(out: Path, steps: dict[str, float]) -> None:
    """Write a log that breaks off in the middle of a row."""
    rows = [f"{step},{loss},{','.join(['1'] * (len(COLUMNS) - 2))}" for step, loss in steps.items()]
    (out / "log.csv").write_text("\n".join([",".join(COLUMNS), *rows, "1,1"]))


def test_rows_after_the_checkpoint_are_removed_from_the_log(tmp_path: Path) -> None:
    write_log(tmp_path, {"3": 1, "4": 1, "5": 1})
    (tmp_path / "probe.csv").write_text(f"{','.join(PROBE_COLUMNS)}\n0,0,SAV,0.3\n5,1,SAV,0.4\n")
    Log(tmp_path, FABRIC, BATCHES, step=4)
    assert read_log(tmp_path)["step"].tolist() == [3, 4]
    assert read_probe(tmp_path)["step"].tolist() == [0]
    Log(tmp_path, FABRIC, BATCHES, step=0)
    assert read_log(tmp_path).empty
    assert read_probe(tmp_path).columns.tolist() == list(PROBE_COLUMNS)


def test_a_folder_without_a_run_has_no_log(tmp_path: Path) -> None:
    with one_line(r"there is no .*log\.csv: name the --out folder"):
        read_log(tmp_path)


@pytest.mark.parametrize(("losses", "best"), [((3.0, 2.0, 2.5), 2), ((2.0, 2.0, 2.0), 1)])
def test_without_a_probe_the_epoch_of_the_lowest_loss_is_kept(
    tmp_path: Path, losses: tuple[float, ...], best: int
) -> None:
    header, rest = ",".join(COLUMNS), ",".join(["1"] * (len(COLUMNS) - 3))
    for epoch in range(1, 4):
        rows = [f"{i},{i},{losses[i - 1]},{rest}" for i in range(1, epoch + 1)]
        (tmp_path / "log.csv").write_text("\n".join([header, *rows]))
        for name in ("last.ckpt", "encoder.pth"):
            (tmp_path / name).write_text(str(epoch))
        keep_best(tmp_path, epoch, probed=False)
    assert (tmp_path / "best.ckpt").read_text() == (tmp_path / "encoder_best.pth").read_text() == str(best)
