"""Whether the support vector machines of measured cells converge before the release's limit, and what that changes.

    python benchmarks/svc_convergence.py --data DIR --weights DIR [--results results] [--tasks RAV,EMB]

Each cell's machine, with the parameters that its search chose, is fitted again with the limit of 10,000 iterations and
with a hundred times as many. Writes one row per cell to RESULTS/audit/svc_convergence.csv.
"""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
from measuring import keep, make_parser, run
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC

from serab_lib import load_extractor, split
from serab_lib.benchmark.embeddings import extract_corpus
from serab_lib.benchmark.results import Results
from serab_lib.corpora.corpus import find_corpus
from serab_lib.evaluation.classifiers import Parts
from serab_lib.evaluation.protocol import make_parts
from serab_lib.evaluation.solvers import MAX_ITERATIONS, SEED
from serab_lib.extractors.registry import get_entry


def main() -> None:
    """Measure and write, cell by cell."""
    parser = make_parser(__doc__)
    parser.add_argument("--tasks")
    options = parser.parse_args()
    results = Results(options.results)
    cells = results.read_cells()
    cells = cells[(cells["classifier"] == "SVC") & cells["protocol"].isin(["released", "described"])]
    cells = cells[cells["task"].isin(options.tasks.split(","))] if options.tasks else cells
    rows = []
    for (task, model), own in cells.groupby(["task", "model"]):
        corpus = find_corpus(task, options.data)
        for cell in own.itertuples():
            extractor = load_extractor(get_entry(model).under(cell.protocol), weights=options.weights)
            utterances = split(corpus.utterances, corpus.task, cell.protocol)
            parts = make_parts(extract_corpus(corpus, extractor).matrix, utterances, corpus.task.classes)
            tested = utterances.loc[utterances["part"] == "test", "emotion"].map(corpus.task.classes.index)
            key = {"task": task, "model": model, "protocol": cell.protocol, "selected": cell.selected}
            chosen = json.loads(cell.best_params)
            rows.append(key | {"best_params": chosen} | fit_twice(parts, tested.to_numpy(), chosen))
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    keep(results, "svc_convergence", pd.DataFrame(rows))


def fit_twice(parts: Parts, tested: np.ndarray, parameters: dict[str, object]) -> dict[str, object]:
    """Fit with the limit and with a hundredfold one: pairs of classes that were stopped, and both test accuracies."""
    X_train, y_train, X_validation, y_validation, X_test = parts
    X, y = np.concatenate([X_train, X_validation]), np.concatenate([y_train, y_validation])
    found: dict[str, object] = {}
    for name, limit in (("limited", MAX_ITERATIONS), ("longer", 100 * MAX_ITERATIONS)):
        machine = SVC(max_iter=limit, random_state=SEED, **parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.fit(X, y)
        found[f"n_stopped_{name}"] = int((machine.n_iter_ >= limit).sum())
        found[f"accuracy_{name}"] = float(machine.score(X_test, tested))
    return found


if __name__ == "__main__":
    run(main)
