"""Rows of the grid that others contribute: a folder with one model's cells, held to the published splits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from serab_lib.benchmark.results import CELL_KEY, Cell, Results
from serab_lib.core import SerabError, read_toml, replaced, unknown_name
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import ROTATED, split_folds
from serab_lib.corpora.task import TASKS
from serab_lib.evaluation.protocol import measure, select

RECORD = "contribution.toml"


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """Who measured what: an extractor's title, training and `heard` tasks as in `models.toml`, and where it is."""

    by: str
    title: str
    source: str
    trained_on: str
    trained_on_source: str
    heard: tuple[str, ...] = ()


def submit(results: str | Path, model: str, about: Contribution, out: str | Path) -> Path:
    """Write one model's cells as a folder of its name below `out`, which a pull request adds to `results/contributed/`.

    `results` is a folder that `serab run --out` wrote, `model` is called as in its `cells.csv`. SerabError, and nothing
    is written, if `read_model` refuses a cell or contributed ones of the model are there.
    """
    made, target = read_model(Results(results), model), Results(Path(out) / model)
    if not target.read_cells().empty:
        raise SerabError(f"{target.folder} has cells already: remove it, or choose another folder with --out")
    with replaced(target.folder / RECORD) as temporary:
        # A text or a list in JSON is one in TOML, too.
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in asdict(about).items()]
        temporary.write_text("".join(lines), encoding="utf-8")
    for cell in made:
        unnamed = ["stem"] if TASKS[cell.key[0]].counts else []  # names that may not be published
        target.write(replace(cell, predictions=cell.predictions.drop(columns=unnamed)))
    return target.folder


def read_contribution(folder: Path) -> tuple[Contribution, pd.DataFrame]:
    """Read a contributed folder: who and what, and the cells of the model that it is named after."""
    about, made = read_toml(folder / RECORD, Contribution), read_model(Results(folder), folder.name)
    return about, pd.concat(cell.scores for cell in made)


def read_model(results: Results, model: str) -> list[Cell]:
    """Read all cells of a model, holding each to the published lists and splits, and its scores to its predictions.

    Raises
    ------
    SerabError
        One line that says which cell differs, and in what; or that there is none.
    """
    cells, provenance, finished, made = results.read_cells(), results.read_provenance(), results.finished_inputs(), []
    if model not in set(cells["model"]):
        raise unknown_name("model", model, set(cells["model"]), listing=f"serab table --results {results.folder}")
    for key, rows in cells[cells["model"] == model].groupby(CELL_KEY):
        scores, origin = rows.assign(best_params=rows["best_params"].map(json.loads)), provenance.get("/".join(key), {})
        made.append(Cell(key, scores, results.read_predictions(*key).astype(str), origin))
        for what, found, expected in _compare(made[-1], is_whole=finished.get(key) is not None):
            if found != expected:
                raise SerabError(f"{', '.join(key)}: {what}: {found}, expected {expected}; compute the cell again")
    return made


def _compare(cell: Cell, *, is_whole: bool) -> Iterator[tuple[str, object, object]]:
    """Yield what of a cell is looked at, what is there, and what should be; each relies on those before it."""
    (code, _, protocol), rows, predictions = cell.key, cell.scores.set_index("classifier"), cell.predictions
    if code not in TASKS:
        raise unknown_name("task", code, TASKS, listing="serab tasks")
    yield "all classifiers and their provenance are there", is_whole, True
    yield "selected", list(rows.index[rows["selected"]]), [select(cell.scores, protocol)]
    folds = split_folds(list_utterances(code), TASKS[code], protocol)
    parts = pd.concat([fold.assign(fold=str(number)) for number, fold in enumerate(folds, start=1)])
    sizes = parts["part"].value_counts().add_prefix("n_").to_dict()
    for column, expected in {"search": True, "complete": True, "synthetic": False, **sizes}.items():
        yield column, set(rows[column]), {expected}
    columns = ["speaker", "group", "emotion"] if TASKS[code].counts else ["stem", "speaker", "group", "emotion"]
    columns += ["fold"] if protocol == ROTATED else []
    yield "columns that predictions lack", sorted({*columns, *rows.index} - {*predictions}), []
    found = Counter(predictions[columns].itertuples(index=False, name=None))
    published = Counter(parts.loc[parts["part"] == "test", columns].itertuples(index=False, name=None))
    yield "a prediction that is not of the published split", sorted(found - published)[:1], []
    yield "a test utterance without its prediction", sorted(published - found)[:1], []
    for name in rows.index:
        for metric, value in measure(predictions["emotion"], predictions[name]).items():
            yield f"{metric} of {name} by its predictions", round(value, 6), round(float(rows.loc[name, metric]), 6)
