"""What choosing the classifier on the test set adds, simulated for the paper's models and test sizes.

    python benchmarks/selection.py [--n-draws 1000] [--out serab_lib/data/selection.csv]

Writes the table that `serab audit` and the chapter on the audit take from the package; no data is needed.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from measuring import run

from serab_lib.audit.selection import FILE, N_CLASSIFIERS, N_DRAWS
from serab_lib.audit.tables import list_readings
from serab_lib.core import replaced
from serab_lib.corpora.task import PAPER_TASKS
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.rankings import correlate_ranks, redraw

# Assumptions from mild to strong, as standard deviations in points; `serab_lib.audit.selection` says what they are.
SPREADS, SHIFTS = (1.0, 2.0, 4.0), (0.0, 1.0, 2.0, 3.0)


def main() -> None:
    """Simulate under every pair of assumptions and write one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-draws", type=int, default=N_DRAWS)
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    pairs = itertools.product(SPREADS, SHIFTS)
    table = pd.concat([simulate(spread, shift, n_draws=options.n_draws) for spread, shift in pairs])
    with replaced(options.out) as temporary:
        table.round(4).to_csv(temporary, index=False)
    print(f"{len(table)} rows of {options.n_draws:,} draws in {options.out}")


def simulate(spread: float, shift: float, *, n_draws: int = N_DRAWS) -> pd.DataFrame:
    """Simulate the choice on test and that on validation, of the paper's models on its tasks, with the released sizes.

    Each model has five classifiers around its printed accuracy, whose true accuracies differ by `spread`; the few
    speakers of each part add `shift` to each, drawn anew for validation and for test; mistakes are correlated.
    """
    rng, accuracies = np.random.default_rng(0), read_accuracies()
    um, tasks = np.zeros((3, n_draws, len(accuracies))), []
    for row in list_readings().query("reading == 'released'").itertuples():
        typical = (accuracies[row.task] / 100).to_numpy()[:, None]
        true = typical + spread / 100 * rng.standard_normal((n_draws, len(typical), N_CLASSIFIERS))
        validation, test = (draw_part(true, shift / 100, n, rng) for n in (row.n_validation, row.n_test))
        printed, chosen = test.max(axis=2), take_best(test, by=validation)
        um += np.stack([printed, chosen, true.max(axis=2)]) / len(PAPER_TASKS)
        gap, behind_printed = 100 * (printed - chosen), take_best(true, by=test)
        low, high = np.quantile(gap, [0.025, 0.975])
        optimism = 100 * (printed - behind_printed).mean()
        better = 100 * (behind_printed - take_best(true, by=validation)).mean()
        tasks.append((row.task, row.n_test, gap.mean(), low, high, optimism, better))
    on_test, on_validation, best = um
    table = pd.DataFrame(tasks, columns=["task", "n_test", "gap", "low", "high", "optimism", "better_choice"])
    return table.assign(
        spread=spread,
        shift=shift,
        tau_test=correlate_ranks(on_test, best).mean(),
        tau_validation=correlate_ranks(on_validation, best).mean(),
    )


def draw_part(true: np.ndarray, shift: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw accuracies on a part of n utterances; all models and classifiers are tested on the same ones."""
    here = np.clip(true + shift * rng.standard_normal(true.shape), 0.01, 0.99)
    return redraw(here.reshape(len(true), -1), n, rng).reshape(true.shape)


def take_best(accuracies: np.ndarray, *, by: np.ndarray) -> np.ndarray:
    """Accuracies of the classifiers that are best by another accuracy, the first among equals."""
    return np.take_along_axis(accuracies, by.argmax(axis=2)[..., None], axis=2)[..., 0]


if __name__ == "__main__":
    run(main)
