"""The printed columns and means once more, from the CSV files alone: what the audit says of sizes holds here, too."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serab_lib.audit import tables

PAPER = Path(__file__).resolve().parents[2] / "serab_lib" / "data" / "paper"
SIZES = {"AES": 207, "CAF": 216, "CRE": 1556, "EMB": 84, "EMV": 196, "IEM": 1122, "RAV": 300, "SAV": 120, "SHE": 372}
SMALL = {
    "AES": [207, 414],
    "CAF": [216, 432],
    "CRE": [],
    "EMB": [84, 168, 252, 336, 420, 496],
    "EMV": [196, 392],
    "IEM": [],
    "RAV": [300, 400],
    "SAV": [120, 240, 360, 400, 480],
    "SHE": [372],
}
AGAINST_1157 = {
    "TRILL, layer 19",
    "BYOL-A, 2048",
    "BYOL-A, 1024",
    "BYOL-S/CvT, 256",
    "BYOL-S, 512",
    "BYOL-S, 1024",
    "BYOL-S/CvT, 2048",
}


@pytest.fixture(scope="module")
def printed() -> pd.DataFrame:
    return pd.read_csv(PAPER / "table3_accuracy.csv", index_col="model")


def counts_near(accuracy: float, n: int) -> np.ndarray:
    """Every number of right answers of n that is within half of the last digit of a printed accuracy."""
    right = np.arange(n + 1)
    return right[np.abs(100 * right / n - accuracy) <= 0.05 + 1e-9]


def allows(row: pd.Series, sizes: dict[str, int]) -> bool:
    """Whether some whole numbers of right answers, or the accuracies as printed, give the printed weighted mean."""
    total = sum(sizes.values())
    counts = [counts_near(row[task], n) for task, n in sizes.items()]
    if not all(len(own) for own in counts):
        return False
    reachable = np.arange(sum(own.min() for own in counts), sum(own.max() for own in counts) + 1)
    means = [*(100 * reachable / total), sum(row[task] * n for task, n in sizes.items()) / total]
    return bool((np.abs(np.array(means) - row["WM"]) <= 0.05 + 1e-9).any())


def test_the_sizes_below_500_that_each_column_allows(printed: pd.DataFrame) -> None:
    for task, wanted in SMALL.items():
        allowed = [n for n in range(10, 500) if all(len(counts_near(value, n)) for value in printed[task])]
        assert allowed == wanted
    own = tables.compare_test_sizes().drop_duplicates("task").set_index("task")["small_sizes"]
    assert {task: list(sizes) for task, sizes in own.items()} == SMALL


def test_seven_weighted_means_rule_out_1157(printed: pd.DataFrame) -> None:
    usable = printed[[allows(row, SIZES) for _, row in printed.iterrows()]]
    assert set(printed.index) - set(usable.index) == {"BYOL-A, 512"}
    against = {model for model, row in usable.iterrows() if not allows(row, SIZES | {"IEM": 1157})}
    assert against == AGAINST_1157
    # The other count of CREMA-D rules it out in one row more.
    other = SIZES | {"CRE": 1558}
    assert {m for m, row in usable.iterrows() if not allows(row, other | {"IEM": 1157})} > AGAINST_1157
    assert set(tables.check_weighted_means("IEM", [1157])["impossible"].item()) == AGAINST_1157


def test_the_sizes_of_iem4_that_all_weighted_means_allow(printed: pd.DataFrame) -> None:
    usable = printed.drop(index="BYOL-A, 512")
    possible = [n for n in range(1000, 1300) if all(allows(row, SIZES | {"IEM": n}) for _, row in usable.iterrows())]
    assert (min(possible), max(possible), len(possible)) == (1104, 1139, 31) and 1122 in possible
    counts = pd.read_csv(PAPER.parent / "manifests" / "iem4_counts.csv")
    by_speaker = counts.groupby("speaker")[counts.columns[-1]].sum()
    pairs = [int(by_speaker.iloc[i] + by_speaker.iloc[j]) for i in range(10) for j in range(i)]
    values = tomllib.loads((PAPER.parent / "findings.toml").read_text())["shared-speakers-IEM"]["values"]
    assert (values["n_pairs"], values["n_fitting_pairs"]) == (len(pairs), sum(n in possible for n in pairs))
