from collections import Counter
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from making import COMMITTED, write_savee

from serab_lib.audit import findings, measurements
from serab_lib.corpora.task import get_task
from serab_lib.evaluation.paper import read_accuracies

FOLDER = COMMITTED.folder / "byol-a-window"
CELLS = pd.read_csv(FOLDER / "cells.csv")
WINDOWS = measurements.read_measurement(COMMITTED, "byol_a_window")
TASKS = ("AES", "EMB", "EMV", "RAV")


def read_right(cell: Any) -> pd.Series:
    file = FOLDER / "predictions" / f"{cell.task}-{cell.model}-{cell.protocol}.csv"
    answers = pd.read_csv(file, index_col="stem")
    return answers[cell.classifier] == answers["emotion"]


def count_answers(protocol: str) -> dict[str, Counter[tuple[bool, bool]]]:
    """Per task, how many utterances the reported classifiers get right and wrong through (400, 1,024)."""
    reported = CELLS[CELLS["selected"] & (CELLS["protocol"] == protocol)]
    right = {(cell.task, cell.model): read_right(cell) for cell in reported.itertuples()}
    pairs = {task: [right[task, f"byol-a-512-window-{n}"] for n in (400, 1024)] for task in TASKS}
    return {task: Counter(zip(first, second[first.index], strict=True)) for task, (first, second) in pairs.items()}


def test_predictions_give_back_the_accuracies() -> None:
    assert len(CELLS) == len(TASKS) * 2 * 2 * 5  # windows, protocols, classifiers
    for cell in CELLS.itertuples():
        right = read_right(cell)
        assert (len(right), round(right.mean(), 6)) == (cell.n_test, cell.test_accuracy)


@pytest.mark.parametrize("protocol", ["released", "described"])
def test_the_table_of_the_windows_is_that_of_the_cells(protocol: str) -> None:
    own = WINDOWS[WINDOWS["protocol"] == protocol].set_index("task")
    assert list(own.index) == list(TASKS)
    for task, counted in count_answers(protocol).items():
        found = own.loc[task, ["n_test", "only_400", "only_1024"]].tolist()
        assert found == [counted.total(), counted[True, False], counted[False, True]]
        right = [counted[True, True] + counted[True, False], counted[True, True] + counted[False, True]]
        accuracies = 100 * np.array(right) / counted.total()
        assert own.loc[task, ["window_400", "window_1024"]].tolist() == pytest.approx(accuracies, abs=1e-6)
        assert own.loc[task, "own_statistics"] in (100 * np.arange(counted.total() + 1) / counted.total()).round(1)


def test_the_finding_holds_against_a_second_implementation(monkeypatch: pytest.MonkeyPatch) -> None:
    others = dict.fromkeys(findings.FINDERS.keys() - {"byol-a-window"}, lambda _: ())
    monkeypatch.setattr(findings, "FINDERS", findings.FINDERS | others)
    (finding,) = (each for each in findings.audit(results=COMMITTED.folder) if each.name == "byol-a-window")
    for protocol in ("released", "described"):
        total = sum(count_answers(protocol).values(), Counter())
        a, b = total[True, False], total[False, True]
        tail = sum(comb(a + b, k) for k in range(min(a, b) + 1)) / 2 ** (a + b)
        assert finding.values[f"p_{protocol}"] == pytest.approx(min(1.0, 2 * tail))
    printed = read_accuracies().loc["BYOL-A, 512"]
    own = {task: 100 * (n[True, True] + n[True, False]) / n.total() for task, n in count_answers("released").items()}
    distances = [abs(accuracy - printed[task]) for task, accuracy in own.items()]
    assert finding.values["distance_window_400"] == pytest.approx(sum(distances) / 4)
    assert finding.values["exact_window_400"] == sum(distance < 0.05 for distance in distances) == 2
    assert (finding.table, finding.values["a_or_no"]) == ("very likely", "no")


def test_the_release_has_the_statistics_of_its_own_window() -> None:
    means = WINDOWS.set_index("task")
    for row in pd.read_csv(FOLDER / "statistics.csv").itertuples():
        assert (means.loc[row.task, f"mean_{row.window_samples}"] == row.mean).all()
        off = abs(row.mean - get_task(row.task).log_mel_statistics[0])
        assert off < 0.01 if row.window_samples == 400 else off > 0.5


def test_byol_s_is_averaged_where_all_its_cells_are_there() -> None:
    keys = {"model": "byol-s-512", "protocol": "released", "selected": True, "synthetic": False}
    cells = pd.DataFrame({"task": TASKS, "test_accuracy": [0.5, 0.51, 0.52, 0.53]}).assign(**keys)
    averaged = measurements.compare_windows(WINDOWS, cells)["byol_s_measured"]
    assert averaged.tolist() == pytest.approx([50, 51, 52, 53, 51.5])
    assert pd.isna(measurements.compare_windows(WINDOWS, cells[1:]).loc["mean", "byol_s_measured"])


def test_the_committed_leaks_are_differences_of_accuracies() -> None:
    leaks = measurements.read_measurement(COMMITTED, "speaker_leak")
    assert set(leaks["task"]) == {"RAV"}
    assert (leaks["leak"] - leaks["seen"] + leaks["unseen"]).abs().max() < 2e-6
    assert (leaks.groupby(["model", "takes"])["speaker"].nunique() == 5).all()
    # Without the other take of a sentence in the other half, less is known.
    means = leaks.groupby(["takes", "model"])["leak"].mean()
    assert (means["together"] < means["apart"]).all()


def test_cremads_three_contradicting_pairs_and_planted_copies_of_any_format_are_found(tmp_path: Path) -> None:
    found = measurements.find_duplicates(get_task("CRE"), {})
    named = (("1006_TIE", "HAP", "NEU"), ("1013_WSI", "DIS", "SAD"), ("1017_IWW", "ANG", "FEA"))
    assert found["files"].tolist() == [(f"{who}_{a}_XX", f"{who}_{b}_XX") for who, a, b in named]
    assert found["contradicting"].all() and (found["n_used"] == 1).all()
    assert measurements.find_duplicates(get_task("SAV"), {}).empty
    write_savee(tmp_path)
    folder, task = tmp_path / "savee", get_task("SAV")
    samples, rate = soundfile.read(folder / "DC_a01.wav", dtype="int16")
    (folder / "JK_sa02.wav").unlink()
    soundfile.write(folder / "DC_a01.wav", samples, rate)
    soundfile.write(folder / "JK_sa02.flac", samples, rate)
    for name in ("DC_a02.wav", "DC_a03.wav"):  # undecodable, and so no copies of each other
        (folder / name).write_bytes(b"no audio")
    found = measurements.find_duplicates(task, measurements.hash_corpora(tmp_path))
    assert found.to_numpy().tolist() == [[("DC_a01", "JK_sa02"), ("anger", "sadness"), True, 2]]


def test_odd_files_have_reasons() -> None:
    table = measurements.list_odd_files().set_index("file")
    assert not table.loc[["s05 (3)", "1040_ITH_SAD_XX"], "used"].any() and table.loc["1076_MTI_SAD_XX", "used"]
    assert table["reason"].str.len().min() > 10
