"""`serab run` and `serab table`: the grid, computed and printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from serab_lib.cli.app import AsJson, Data, Jobs, Layer, Weights, command, errors, output, progress, split_names
from serab_lib.core import SerabError


@command
def run(
    tasks: Annotated[str, typer.Option(help="Codes or names, comma-separated; `all` for the paper's nine.")],
    models: Annotated[
        str, typer.Option(help="Extractors, comma-separated; `ready` for all whose weights are at hand.")
    ],
    protocol: Annotated[str, typer.Option(help="released, described or both.")] = "described",
    data: Data = None,
    weights: Weights = None,
    out: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results"),
    cache: Annotated[Path | None, typer.Option(help="Folder of caches. Default: SERAB_CACHE, then the user's.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    jobs: Jobs = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Compute on many machines: tcp://HOST:PORT of a Dask scheduler that you trust, local:N for N "
            "processes here, slurm or slurm:PROFILE.toml for jobs of Slurm. Data, weights and cache must lie on a "
            "file system that all share, under the same paths. Extraction goes to workers with the resource GPU, if "
            "any have it. What a lost worker had begun is run again, up to 3 times.",
        ),
    ] = None,
    layer: Layer = None,
    search: Annotated[bool, typer.Option(help="Search hyperparameters; the classifiers' defaults otherwise.")] = True,
) -> None:
    """Compute cells of the grid: extract embeddings, fit the five classifiers, write the accuracies."""
    from serab_lib.benchmark.grid import Settings, run_grid
    from serab_lib.corpora.splits import PROTOCOLS
    from serab_lib.corpora.task import PAPER_TASKS
    from serab_lib.extractors.registry import EXTRACTORS, choose_layer

    chosen_tasks = list(PAPER_TASKS) if tasks == "all" else split_names(tasks, "--tasks")
    if models == "ready":
        chosen_models = [name for name, entry in EXTRACTORS.items() if entry.weights_state(weights) != "missing"]
    else:
        chosen_models = split_names(models, "--models")
    chosen_models = [choose_layer(name, layer) for name in chosen_models]
    if protocol not in (*PROTOCOLS, "both"):
        raise SerabError(f"there is no protocol {protocol!r}: choose {', '.join(PROTOCOLS)} or both")
    options = {"n_jobs": jobs} if jobs else {}
    settings = Settings(
        out=out,
        data=data,
        weights=weights,
        cache=cache,
        protocols=PROTOCOLS if protocol == "both" else (protocol,),
        device=device,
        search=search,
        **options,
    )
    with progress() as tell, _open_workplace(dask, settings) as workplace:
        summary = run_grid(chosen_tasks, chosen_models, settings, workplace=workplace, progress=tell)
    for warning in summary.warnings:
        errors.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    done = summary.computed + summary.present
    if done:
        _print_cells(out, done)
        output.print(f"{len(summary.computed)} cells computed, {len(summary.present)} were there; results in {out}")
    for failure in summary.failures:
        errors.print(f"[bold red]error:[/] {escape(failure)}", soft_wrap=True)
    if summary.failures:
        raise typer.Exit(1)


@contextmanager
def _open_workplace(dask: str | None, settings: Any) -> Iterator[Any]:
    """Yield the cluster at an address, or None for this machine."""
    if dask is None:
        yield None
        return
    from serab_lib.benchmark.cluster_connection import open_cluster
    from serab_lib.core import cache_folder
    from serab_lib.corpora.corpus import find_data
    from serab_lib.extractors.weights import weights_folder

    folders = {
        "--data": find_data(settings.data),
        "--weights": weights_folder(settings.weights),
        "--cache": cache_folder(settings.cache),
    }
    with open_cluster(dask, folders=folders) as cluster:
        yield cluster


@command
def table(
    results: Annotated[Path, typer.Option(help="Folder that `serab run --out` wrote.")] = Path("results"),
    protocol: Annotated[str, typer.Option(help="released or described; all that are there by default.")] = "",
    form: Annotated[str, typer.Option("--format", help="markdown, csv, latex or json.")] = "markdown",
    paper: Annotated[bool, typer.Option(help="Print the paper's numbers below ours.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the accuracy grid: models by tasks, with UM, WM and GM, in percent."""
    from serab_lib.benchmark.results import Results
    from serab_lib.book.tables import accuracy_grid, paper_grid, render

    form = "json" if as_json else form
    if form not in ("markdown", "csv", "latex", "json"):
        raise SerabError(f"there is no format {form!r}: choose markdown, csv, latex or json")
    cells = Results(results).read_cells()
    if cells.empty:
        raise SerabError(f"there are no results in {results}: make some with `serab run --out {results}`")
    for key, file in Results(results).find_damaged().items():
        raise SerabError(
            f"{results}: {file} is not as it was written for {', '.join(key)}: compute that cell again with `serab run`"
        )
    protocols = [protocol] if protocol else sorted(set(cells["protocol"]), reverse=True)
    grids = {}
    for name in protocols:
        grids[name] = accuracy_grid(cells, name)
        if grids[name].empty:
            raise SerabError(
                f"{results} has no results under protocol {name!r}, only {', '.join(set(cells['protocol']))}"
            )
    if form == "json":
        content = {name: json.loads(grid.round(4).to_json(orient="index")) for name, grid in grids.items()}
        output.print_json(json.dumps(content))
        return
    for name, grid in grids.items():
        marks = _marks(cells[cells["protocol"] == name])
        if form == "markdown":
            output.print(f"Accuracy on test in percent, protocol {name}{marks}\n", soft_wrap=True)
        output.print(render(grid, form), soft_wrap=True, markup=False)
        if paper:
            output.print(
                f"\nThe paper's, where it has the model\n\n{render(paper_grid(cells, name), form)}",
                soft_wrap=True,
                markup=False,
            )
        output.print()


def _print_cells(out: Path, keys: list[tuple[str, str, str]]) -> None:
    from tabulate import tabulate

    from serab_lib.benchmark.results import CELL_KEY, Results
    from serab_lib.evaluation.paper import read_accuracies
    from serab_lib.extractors.registry import EXTRACTORS

    cells = Results(out).read_cells()
    chosen = cells[cells["selected"].astype(bool)].set_index(CELL_KEY)
    printed = read_accuracies()
    rows = []
    for key in keys:
        row = chosen.loc[key]
        entry = EXTRACTORS.get(key[1])
        known = entry is not None and entry.paper_row in printed.index and key[0] in printed
        rows.append(
            {
                **dict(zip(CELL_KEY, key, strict=True)),
                "classifier": row["classifier"],
                "validation": 100 * row["validation_accuracy"],
                "test": 100 * row["test_accuracy"],
                "UAR": 100 * row["test_uar"],
                "paper": printed.loc[entry.paper_row, key[0]] if known and not row["synthetic"] else None,
                "n test": row["n_test"],
                "note": "synthetic" if row["synthetic"] else "" if row["complete"] else "incomplete corpus",
            }
        )
    table = tabulate(rows, headers="keys", floatfmt=".1f", missingval="–", tablefmt="simple")
    output.print(f"Accuracy in percent\n\n{table}\n", markup=False, soft_wrap=True)


def _marks(cells: Any) -> str:
    marks = ""
    if cells["synthetic"].any():
        marks += ". SYNTHETIC corpora: these numbers test the pipeline and say nothing about people"
    if not cells["complete"].all():
        tasks = ", ".join(sorted(set(cells.loc[~cells["complete"].astype(bool), "task"])))
        marks += f". Incomplete: {tasks}"
    if not cells["search"].all():
        marks += ". Some without search of hyperparameters"
    return marks
