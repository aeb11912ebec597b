"""`serab models`, `embed`, `run`, `table` and `submit`: the extractors, the grid, and its results."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from serab_lib.cli import app
from serab_lib.core import SerabError


@app.command
def models(weights: app.Weights = None, as_json: app.AsJson = False) -> None:
    """List the extractors: parameters, embedding size, and whether their weights are at hand."""
    from serab_lib.extractors.registry import EXTRACTORS

    described = ("name", "title", "embedding_size", "n_parameters", "sample_rate", "licence", "trained_on", "heard")
    rows = []
    for entry in EXTRACTORS.values():
        row = {name: getattr(entry, name) for name in described} | {"notes": " ".join(entry.notes.split())}
        best = next(iter(entry.checkpoints), None)
        row |= {"file": best.file, "source": best.url} if best else {"file": None, "source": None}
        rows.append(row | {"weights": entry.weights_state(weights)})
    app.print_rows(rows, ("name", "embedding_size", "n_parameters", "weights", "licence"), as_json)


@app.command
def embed(
    files: Annotated[list[Path], typer.Argument(help="Audio files.")],
    model: Annotated[str, typer.Option(help="An extractor of `serab models`.")],
    out: Annotated[Path, typer.Option(help="The .npz file to write: `files` and `embeddings`.")],
    weights: app.Weights = None,
    device: app.Device = "cpu",
    jobs: app.Jobs = None,
    layer: app.Layer = None,
) -> None:
    """Make embeddings of your own audio."""
    import numpy as np

    from serab_lib.benchmark.embeddings import extract
    from serab_lib.core import replaced
    from serab_lib.extractors.registry import choose_layer, load_extractor

    for file in files:
        if not file.is_file():
            raise SerabError(f"there is no file {file}: give paths of audio files")
    extractor = load_extractor(choose_layer(model, layer), weights=weights, device=device)
    paths = [str(file) for file in files]
    with app.progress() as tell:
        made = extract(paths, extractor, n_jobs=jobs, progress=tell)
    for reason in made.unusable.values():
        raise SerabError(reason)
    with replaced(out) as temporary, temporary.open("wb") as stream:
        np.savez(stream, files=np.array(paths), embeddings=made.matrix)
    app.output.print(f"{len(paths)} embeddings of {extractor.embedding_size} numbers in {out}")


@app.command
def run(
    tasks: Annotated[str, typer.Option(help="Codes or names, comma-separated; `all` for the paper's nine.")],
    models: Annotated[
        str, typer.Option(help="Extractors, comma-separated; `ready` for all whose weights are at hand.")
    ],
    protocol: Annotated[
        Literal["released", "described", "rotated", "both", "all"],
        typer.Option(
            help="How speakers are split and classifiers selected; both: released and described; all: rotated as well."
        ),
    ] = "described",
    data: app.Data = None,
    weights: app.Weights = None,
    out: app.Out = Path("results"),
    cache: app.Cache = None,
    device: app.Device = "cpu",
    jobs: app.Jobs = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Compute on many machines: tcp://HOST:PORT of a Dask scheduler that you trust, local:N for N "
            "processes here, slurm or slurm:FILE.toml for jobs of Slurm. Data, weights and cache must lie on a "
            "file system that all share, under the same paths. Extraction goes to workers with the resource GPU, if "
            "any have it. What a lost worker had begun is run again, up to 3 times.",
        ),
    ] = None,
    layer: app.Layer = None,
    search: Annotated[bool, typer.Option(help="Search hyperparameters; the classifiers' defaults otherwise.")] = True,
) -> None:
    """Compute cells of the grid: extract embeddings, fit the five classifiers, write the accuracies."""
    from serab_lib.benchmark.grid import Settings, run_grid
    from serab_lib.corpora.splits import ALL_PROTOCOLS, PROTOCOLS
    from serab_lib.corpora.task import PAPER_TASKS
    from serab_lib.extractors.registry import EXTRACTORS, choose_layer

    chosen_tasks = list(PAPER_TASKS) if tasks == "all" else app.split_names(tasks, "--tasks")
    if models == "ready":
        chosen_models = [name for name, entry in EXTRACTORS.items() if entry.weights_state(weights) != "missing"]
    else:
        chosen_models = app.split_names(models, "--models")
    protocols = {"both": PROTOCOLS, "all": ALL_PROTOCOLS}.get(protocol, (protocol,))
    folders = {"out": out, "data": data, "weights": weights, "cache": cache}
    settings = Settings(**folders, protocols=protocols, device=device, search=search, n_jobs=jobs)
    with app.progress() as tell, _open_cluster(dask) as compute:
        layers = [choose_layer(name, layer) for name in chosen_models]
        summary = run_grid(chosen_tasks, layers, settings, compute=compute, progress=tell)
    app.complain([], warnings=summary.warnings)
    done = summary.computed + summary.present
    if done:
        _print_cells(out, done)
        app.output.print(f"{len(summary.computed)} cells computed, {len(summary.present)} were there; results in {out}")
    app.complain(summary.failures)
    if summary.failures:
        raise typer.Exit(1)


def _open_cluster(address: str | None) -> AbstractContextManager[Any]:
    if address is None:
        return nullcontext()
    # Not before it is asked for: it imports all that fits classifiers, and finished cells are found within a second.
    from serab_lib.benchmark.cluster import open_cluster

    return open_cluster(address)


def _print_cells(out: Path, keys: list[tuple[str, str, str]]) -> None:
    """Print the selected classifiers' accuracies beside the paper's."""
    from tabulate import tabulate

    from serab_lib.benchmark.results import CELL_KEY, Results
    from serab_lib.evaluation.paper import read_accuracies
    from serab_lib.extractors.registry import EXTRACTORS

    cells, printed = Results(out).read_cells(), read_accuracies()
    chosen = cells[cells["selected"].astype(bool)].set_index(CELL_KEY)
    rows = []
    for key in keys:
        row, entry = chosen.loc[key], EXTRACTORS.get(key[1])
        known = entry is not None and entry.paper_row in printed.index and key[0] in printed and not row["synthetic"]
        rows.append(
            {
                **dict(zip(CELL_KEY, key, strict=True)),
                "classifier": row["classifier"],
                "validation": 100 * row["validation_accuracy"],
                "test": 100 * row["test_accuracy"],
                "UAR": 100 * row["test_uar"],
                "macro-F1": 100 * row["test_macro_f1"],
                "paper": printed.loc[entry.paper_row, key[0]] if known else None,
                "n test": row["n_test"],
                "note": "synthetic" if row["synthetic"] else "" if row["complete"] else "incomplete corpus",
            }
        )
    table = tabulate(rows, headers="keys", floatfmt=".1f", missingval="–", tablefmt="simple")
    app.output.print(f"Accuracy in percent\n\n{table}\n", markup=False)


@app.command
def transfer(
    train: Annotated[str, typer.Option(help="The corpus that teaches.")],
    test: Annotated[str, typer.Option(help="Corpora that test, comma-separated; itself is tested by rotation.")],
    models: Annotated[str, typer.Option(help="Extractors, comma-separated.")],
    emotions: Annotated[str, typer.Option(help="`shared`: all that they share.")] = "anger,happiness,sadness",
    classifiers: Annotated[str, typer.Option(help="What validation chooses from.")] = "LDA,LR,QDA,RF,SVC",
    data: app.Data = None,
    weights: app.Weights = None,
    out: app.Out = Path("results"),
    cache: app.Cache = None,
    device: app.Device = "cpu",
    jobs: app.Jobs = None,
    as_json: app.AsJson = False,
) -> None:
    """Train on one corpus, test on another: with normalisation by speaker, and without."""
    from serab_lib.benchmark.grid import Settings
    from serab_lib.benchmark.transfer import run_transfer

    names = app.split_names(test, "--test"), app.split_names(models, "--models")
    options = {"classifiers": app.split_names(classifiers, "--classifiers")}
    options |= {"emotions": () if emotions == "shared" else app.split_names(emotions, "--emotions")}
    settings = Settings(out=out, data=data, weights=weights, cache=cache, device=device, n_jobs=jobs)
    with app.progress() as tell:
        rows = run_transfer(train, *names, settings, progress=tell, **options)
    if not as_json:
        rows["chance"] = 1 / rows["emotions"].str.split().str.len()
        for column in ("test_uar", "low", "high", "chance"):
            rows[column] = (100 * rows[column]).map("{:.1f}".format)
    shown = ("train", "test", "model", "normalised", "test_uar", "low", "high", "chance", "n_test", "n_speakers")
    app.print_rows(rows.to_dict("records"), shown, as_json)


@app.command
def table(
    results: Annotated[Path, typer.Option(help="Folder that `serab run --out` wrote.")] = Path("results"),
    protocol: Annotated[str, typer.Option(help="Such as described; all that are there by default.")] = "",
    metric: Annotated[Literal["accuracy", "uar", "macro-f1"], typer.Option(help="What is printed.")] = "accuracy",
    form: Annotated[
        Literal["markdown", "csv", "latex", "json"], typer.Option("--format", help="How to write it.")
    ] = "markdown",
    paper: Annotated[bool, typer.Option(help="Print the paper's numbers below ours.")] = False,
    as_json: app.AsJson = False,
) -> None:
    """Print the accuracy grid, or that of another metric: models by tasks, with UM, WM and GM, in percent."""
    from serab_lib.book.tables import accuracy_grid, paper_grid, render

    cells = app.read_results(results)
    there = sorted(set(cells["protocol"]), reverse=True)
    if protocol and protocol not in there:
        raise SerabError(f"{results} has no results under protocol {protocol!r}, only {', '.join(there)}")
    column = f"test_{metric.replace('-', '_')}"
    grids = {name: accuracy_grid(cells, name, column) for name in ([protocol] if protocol else there)}
    if as_json or form == "json":
        app.print_json({name: json.loads(grid.round(4).to_json(orient="index")) for name, grid in grids.items()})
        return
    for name, grid in grids.items():
        if form == "markdown":
            marks = _describe_limits(cells[cells["protocol"] == name])
            title = {"accuracy": "Accuracy", "uar": "UAR", "macro-f1": "Macro-F1"}[metric]
            app.output.print(f"{title} on test in percent, protocol {name}{marks}\n")
        app.output.print(render(grid, form), markup=False)
        if paper:
            app.output.print(
                f"\nThe paper's, where it has the model\n\n{render(paper_grid(cells, name), form)}", markup=False
            )
        app.output.print()


def _describe_limits(cells: Any) -> str:
    """What keeps the numbers from being compared with others'."""
    limits = ""
    if cells["synthetic"].any():
        limits += ". SYNTHETIC corpora: these numbers test the pipeline and say nothing about people"
    if not cells["complete"].all():
        limits += f". Incomplete: {', '.join(sorted(set(cells.loc[~cells['complete'].astype(bool), 'task'])))}"
    if not cells["search"].all():
        limits += ". Some without search of hyperparameters"
    return limits


@app.command
def submit(
    model: Annotated[str, typer.Option(help="Whose cells, as `cells.csv` names it: for hear:MODULE, hear-MODULE.")],
    title: Annotated[str, typer.Option(help="What it is, as tables are to call it.")],
    by: Annotated[str, typer.Option(help="Who measured it.")],
    source: Annotated[str, typer.Option(help="Address of the model.")],
    trained_on: Annotated[str, typer.Option(help="What it was trained on; `nothing` if so.")],
    trained_on_source: Annotated[str, typer.Option(help="Address where that is said.")],
    heard: Annotated[list[str] | None, typer.Option(help="Code of a task whose corpus is part of that.")] = None,
    results: Annotated[Path, typer.Option(help="Folder that `serab run --out` wrote.")] = Path("results"),
    out: Annotated[Path, typer.Option(help="Folder of contributed rows.")] = Path("results", "contributed"),
) -> None:
    """Write a model's cells as a row that a pull request adds, once they are held to the published splits."""
    from serab_lib.benchmark import contributed

    texts = {"title": title, "by": by, "source": source, "trained_on": trained_on}
    about = contributed.Contribution(**texts, trained_on_source=trained_on_source, heard=tuple(heard or ()))
    folder = contributed.submit(results, model, about, out)
    app.output.print(f"{folder} is the row of {model}: add it by a pull request")
