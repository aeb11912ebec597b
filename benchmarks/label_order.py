"""What the order of the classes does to one cell: an SVM's votes tie, and ties go to the lower number.

    python benchmarks/label_order.py --data DIR --weights DIR [--results results] [--n-orders 1000]

Writes one row per order of RAVDESS's classes, with BYOL-S 512, to RESULTS/audit/label_order.csv: the release's order
first, random ones after it.
"""

from __future__ import annotations

from measuring import make_parser, run

from serab_lib import load_extractor, split
from serab_lib.audit.kept import write_kept
from serab_lib.audit.label_order import measure_label_order
from serab_lib.benchmark.embeddings import extract_corpus
from serab_lib.benchmark.results import Results
from serab_lib.core import SerabError
from serab_lib.corpora.corpus import find_corpus

TASK, MODEL, PROTOCOL = "RAV", "byol-s-512", "released"


def main() -> None:
    """Measure and write."""
    parser = make_parser(__doc__)
    parser.add_argument("--n-orders", type=int, default=1000)
    options = parser.parse_args()
    results = Results(options.results)
    cells = results.read_cells().set_index(["task", "model", "protocol", "classifier"])["test_accuracy"].sort_index()
    if (TASK, MODEL, PROTOCOL) not in cells.index:
        raise SerabError(
            f"{options.results} has no cell of {MODEL} on {TASK}: `serab run --tasks {TASK} --models {MODEL} "
            f"--protocol {PROTOCOL} --out {options.results}` makes it"
        )
    others = cells.loc[TASK, MODEL, PROTOCOL].drop("SVC").max()
    corpus = find_corpus(TASK, options.data)
    embeddings = extract_corpus(corpus, load_extractor(MODEL, weights=options.weights))
    parts = split(corpus.utterances, corpus.task, PROTOCOL)
    orders = measure_label_order(
        embeddings,
        parts,
        classes=corpus.task.classes,
        n_orders=options.n_orders,
        other_accuracy=float(others),
    )
    table = orders.assign(task=TASK, model=MODEL, classes=orders["classes"].str.join(" "))
    write_kept(results, "label_order", table)
    print(table["released"].describe(), (100 * table["released"]).round(1).value_counts(normalize=True).head(8))


if __name__ == "__main__":
    run(main)
