"""The command line: `serab`."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from serab_lib.errors import SerabError, printable

app = typer.Typer(
    name="serab",
    help="The SERAB benchmark, recomputed: frozen extractors, five classifiers, nine corpora in six languages.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

Data = Annotated[
    Path | None,
    typer.Option(help="Folder with one folder per corpus. Default: SERAB_DATA, then the user's cache folder."),
]
Weights = Annotated[
    Path | None, typer.Option(help="Folder of checkpoints. Default: SERAB_WEIGHTS, then the user's cache folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")]
Layer = Annotated[
    int | None,
    typer.Option(min=1, help="Transformer layer of the self-supervised models, from 1. Default: the last."),
]
Jobs = Annotated[int | None, typer.Option(min=1, help="Workers. Default: one per core.")]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a command; a mistake of the user's ends it with one line and exit code 1."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except SerabError as error:
            errors.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            errors.print("interrupted: what was finished is kept; the same command goes on from there")
            raise typer.Exit(130) from None

    return app.command()(wrapped)


@command
def tasks(data: Data = None, as_json: AsJson = False) -> None:
    """List the tasks: their language, access, licence and what is on disk."""
    from serab_lib.corpus import find_corpus
    from serab_lib.tasks import TASKS

    rows = []
    for task in TASKS.values():
        row = {
            "code": task.code,
            "name": task.name,
            "language": task.language,
            "classes": len(set(task.emotions.values())),
            "access": task.access,
            "licence": task.licence,
            "on_disk": "no",
            "utterances": 0,
            "source": task.source,
        }
        try:
            corpus = find_corpus(task, data)
        except SerabError as error:
            row["problem"] = str(error)
        else:
            row["on_disk"] = "complete" if corpus.complete else "incomplete"
            row["on_disk"] += ", synthetic" if corpus.synthetic else ""
            row["utterances"] = len(corpus.utterances)
        rows.append(row)
    shown = ("code", "name", "language", "classes", "access", "on_disk", "utterances", "licence")
    _print_rows(rows, shown, as_json)


@command
def models(weights: Weights = None, as_json: AsJson = False) -> None:
    """List the extractors: parameters, embedding size, and whether their weights are at hand."""
    from serab_lib.checkpoints import CHECKPOINTS
    from serab_lib.extractors.registry import EXTRACTORS

    rows = []
    for entry in EXTRACTORS.values():
        (checkpoint, *_) = CHECKPOINTS.get(entry.name, (None,))
        rows.append(
            {
                "name": entry.name,
                "title": entry.title,
                "embedding_size": entry.embedding_size,
                "n_parameters": entry.n_parameters,
                "sample_rate": entry.sample_rate,
                "licence": entry.licence,
                "weights": entry.weights_state(weights),
                "file": checkpoint.file if checkpoint else None,
                "source": checkpoint.url if checkpoint else None,
            }
        )
    _print_rows(rows, ("name", "embedding_size", "n_parameters", "weights", "licence"), as_json)


@command
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Codes or names. All on disk if none.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Decode every file of a corpus and name what is missing, broken, silent or there twice."""
    from serab_lib.check import check_corpus
    from serab_lib.corpus import find_data
    from serab_lib.tasks import TASKS, get_task

    folder = find_data(data)
    chosen = [get_task(name) for name in names or []]
    chosen = chosen or [task for task in TASKS.values() if (folder / task.name).is_dir()]
    if not chosen:
        raise SerabError(f"no corpus in {folder}: pass --data DIR with one folder per corpus, such as DIR/ravdess")
    rows = []
    for task in chosen:
        with _progress() as tell:
            problems = check_corpus(task, data, progress=functools.partial(tell, f"{task.code}: decoding"))
        rows += [{"task": task.code, **dataclasses.asdict(problem)} for problem in problems]
        if not as_json:
            _print_problems(task.code, problems)
    if as_json:
        output.print_json(json.dumps(rows))
    if any(row["affects_result"] for row in rows):
        raise typer.Exit(1)


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
    layer: Layer = None,
    search: Annotated[bool, typer.Option(help="Search hyperparameters; the classifiers' defaults otherwise.")] = True,
) -> None:
    """Compute cells of the grid: extract embeddings, fit the five classifiers, write the accuracies."""
    from serab_lib.benchmark import Settings, run_grid
    from serab_lib.extractors.registry import EXTRACTORS, choose_layer
    from serab_lib.splits import PROTOCOLS
    from serab_lib.tasks import PAPER_TASKS

    chosen_tasks = list(PAPER_TASKS) if tasks == "all" else _names(tasks, "--tasks")
    if models == "ready":
        chosen_models = [name for name, entry in EXTRACTORS.items() if entry.weights_state(weights) != "missing"]
    else:
        chosen_models = _names(models, "--models")
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
    with _progress() as tell:
        summary = run_grid(chosen_tasks, chosen_models, settings, progress=tell)
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


@command
def table(
    results: Annotated[Path, typer.Option(help="Folder that `serab run --out` wrote.")] = Path("results"),
    protocol: Annotated[str, typer.Option(help="released or described; all that are there by default.")] = "",
    form: Annotated[str, typer.Option("--format", help="markdown, csv, latex or json.")] = "markdown",
    paper: Annotated[bool, typer.Option(help="Print the paper's numbers below ours.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the accuracy grid: models by tasks, with UM, WM and GM, in percent."""
    from serab_lib.results import Results
    from serab_lib.tables import accuracy_grid, paper_grid, render

    form = "json" if as_json else form
    if form not in ("markdown", "csv", "latex", "json"):
        raise SerabError(f"there is no format {form!r}: choose markdown, csv, latex or json")
    cells = Results(results).read_cells()
    if cells.empty:
        raise SerabError(f"there are no results in {results}: make some with `serab run --out {results}`")
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


@command
def embed(
    files: Annotated[list[Path], typer.Argument(help="Audio files.")],
    model: Annotated[str, typer.Option(help="An extractor of `serab models`.")],
    out: Annotated[Path, typer.Option(help="The .npz file to write: `files` and `embeddings`.")],
    weights: Weights = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    jobs: Jobs = None,
    layer: Layer = None,
) -> None:
    """Make embeddings of your own audio."""
    import numpy as np

    from serab_lib.embeddings import extract
    from serab_lib.extractors.registry import choose_layer, load_extractor
    from serab_lib.fingerprints import hash_files
    from serab_lib.storage import cache_folder, replaced

    for file in files:
        if not file.is_file():
            raise SerabError(f"there is no file {file}: give paths of audio files")
    extractor = load_extractor(choose_layer(model, layer), weights=weights, device=device)
    paths, cache = [str(file) for file in files], cache_folder()
    with _progress() as tell:
        made = extract(paths, hash_files(paths, cache=cache), extractor, cache=cache, n_jobs=jobs, progress=tell)
    for reason in made.unusable.values():
        raise SerabError(reason)
    with replaced(out) as temporary, temporary.open("wb") as stream:
        np.savez(stream, files=np.array(paths), embeddings=made.matrix)
    output.print(f"{len(paths)} embeddings of {extractor.embedding_size} numbers in {out}")


@command
def synthesise(
    data: Annotated[Path, typer.Option(help="Folder to write the corpora into, one folder each.")],
    tasks: Annotated[str, typer.Option(help="Codes or names, comma-separated; `all` for the paper's nine.")] = "all",
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same seed gives the same files.")] = 0,
) -> None:
    """Speak nine small corpora with eSpeak NG: they test the pipeline and say nothing about people."""
    from serab_lib.synthetic import generate

    chosen = None if tasks == "all" else _names(tasks, "--tasks")
    with _progress() as tell:
        generate(data, tasks=chosen, seed=seed, progress=functools.partial(tell, "speaking"))
    output.print(f"synthetic corpora in {data}")


def _print_problems(code: str, problems: list[Any], *, n_shown: int = 10) -> None:
    """Print what is wrong with a corpus, the first few of each kind."""
    verdict = "not fit for a comparable result" if any(each.affects_result for each in problems) else "complete"
    output.print(f"[bold]{code}[/]: {verdict}{', with these remarks' if problems else ' and decodable'}")
    for kind in dict.fromkeys(each.kind for each in problems):
        alike = [each for each in problems if each.kind == kind]
        for each in alike[:n_shown]:
            output.print(f"  {kind}: {escape(printable(each.file))}: {escape(each.consequence)}", soft_wrap=True)
        if len(alike) > n_shown:
            output.print(f"  {kind}: {len(alike) - n_shown} more, all with --json")


def _names(text: str, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise SerabError(f"{option} is empty: give names separated by commas")
    return names


def _print_rows(rows: list[dict[str, Any]], shown: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        output.print_json(json.dumps(rows, ensure_ascii=False))
        return
    printed = Table(box=None, pad_edge=False, header_style="bold")
    for name in shown:
        printed.add_column(
            name.replace("_", " "),
            overflow="fold",
            no_wrap=name in ("name", "code"),
            justify="right" if rows and isinstance(rows[0][name], int) else "left",
        )
    for row in rows:
        printed.add_row(*(_format(row[name]) for name in shown))
    output.print(printed)


def _format(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


def _print_cells(out: Path, keys: list[tuple[str, str, str]]) -> None:
    from tabulate import tabulate

    from serab_lib.extractors.registry import EXTRACTORS
    from serab_lib.paper import read_accuracies
    from serab_lib.results import CELL_KEY, Results

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


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows one progress bar per kind of work."""
    bars: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as progress:
        logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)

        def tell(what: str, n_done: int, n_total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=n_total)
            progress.update(bars[what], completed=n_done, total=n_total)

        yield tell


def main() -> None:
    """Run the program."""
    app()


if __name__ == "__main__":
    main()
