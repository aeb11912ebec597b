"""How often three 95 % intervals of an accuracy hold the truth about all speakers, where few of them were tested.

    python benchmarks/interval_coverage.py [--n-simulated 1000] [--out serab_lib/data/interval_coverage.csv]

Simulates test sets of 300 utterances by 2 to 5 speakers, whose own accuracies differ by 8 points (standard deviation)
around 70 %, and writes the table that the chapter on the grid takes from the package; no data is needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import run

from serab_lib.core import replaced
from serab_lib.evaluation.significance import ALPHA, COVERAGE, N_SIMULATED, t_interval, wilson_interval

N_SPEAKERS, N_UTTERANCES, TRUTH, SPREAD = (2, 3, 4, 5), 300, 0.7, 0.08


def main() -> None:
    """Simulate for each number of speakers and write one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-simulated", type=int, default=N_SIMULATED)
    parser.add_argument("--out", type=Path, default=COVERAGE)
    options = parser.parse_args()
    table = pd.DataFrame({n: simulate_coverage(n, n_simulated=options.n_simulated) for n in N_SPEAKERS}).T
    with replaced(options.out) as temporary:
        table.rename_axis("speakers").to_csv(temporary)
    print(f"{options.n_simulated:,} test sets of each number of speakers in {options.out}")


def simulate_coverage(n_speakers: int, *, spread: float = SPREAD, n_simulated: int = N_SIMULATED) -> dict[str, float]:
    """Share of 95 % intervals that hold the accuracy over endless speakers, whose own ones differ by `spread`.

    As many utterances are tested however many speakers there are. `bootstrap` takes percentiles over draws of speakers.
    """
    rng = np.random.default_rng(0)
    n = N_UTTERANCES // n_speakers
    own = rng.binomial(n, np.clip(rng.normal(TRUTH, spread, (n_simulated, n_speakers)), 0, 1)) / n
    drawn = own[:, rng.integers(0, n_speakers, (n_simulated, n_speakers))].mean(axis=2)
    intervals = {
        "Wilson": wilson_interval(n * own.sum(axis=1), n * n_speakers),
        "bootstrap": np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2], axis=1),
        "t": np.transpose([t_interval(each) for each in own]),
    }
    return {name: float(np.mean((low <= TRUTH) & (high >= TRUTH))) for name, (low, high) in intervals.items()}


if __name__ == "__main__":
    run(main)
