from pathlib import Path
from types import SimpleNamespace

import pytest
from making import one_line

from serab_lib.pretraining.run import COLUMNS, PROBE_COLUMNS, Log, keep_best, read_log, read_probe


def test_rows_after_the_checkpoint_are_removed_from_the_log_which_may_break_off_in_a_row(tmp_path: Path) -> None:
    with one_line(r"there is no .*log\.csv: name the --out folder"):
        read_log(tmp_path)
    rows = [f"{step}{',1' * (len(COLUMNS) - 1)}" for step in (3, 4, 5)]
    (tmp_path / "log.csv").write_text("\n".join([",".join(COLUMNS), *rows, "1,1"]))
    (tmp_path / "probe.csv").write_text(f"{','.join(PROBE_COLUMNS)}\n0,0,SAV,0.3\n5,1,SAV,0.4\n")
    for step, kept in ((4, [[3, 4], [0]]), (0, [[], []])):
        Log(tmp_path, SimpleNamespace(is_global_zero=True), SimpleNamespace(wait_s=0.0), step=step)
        assert [read(tmp_path)["step"].tolist() for read in (read_log, read_probe)] == kept


@pytest.mark.parametrize(("losses", "best"), [((3.0, 2.0, 2.5), 2), ((2.0, 2.0, 2.0), 1)])
def test_without_a_probe_the_epoch_of_the_lowest_loss_is_kept(tmp_path: Path, losses: tuple, best: int) -> None:
    header, rest = ",".join(COLUMNS), ",".join(["1"] * (len(COLUMNS) - 3))
    for epoch in range(1, 4):
        rows = [f"{i},{i},{losses[i - 1]},{rest}" for i in range(1, epoch + 1)]
        (tmp_path / "log.csv").write_text("\n".join([header, *rows]))
        for name in ("last.ckpt", "encoder.pth"):
            (tmp_path / name).write_text(str(epoch))
        keep_best(tmp_path, epoch, probed=False)
    assert (tmp_path / "best.ckpt").read_text() == (tmp_path / "encoder_best.pth").read_text() == str(best)
