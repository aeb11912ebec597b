"""What all commands share: the program, its options, how it prints and how it fails."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from serab_lib.core import SerabError

if TYPE_CHECKING:
    from rich.progress import TaskID

app = typer.Typer(
    name="serab",
    help="The SERAB benchmark, recomputed: frozen extractors, five classifiers, nine corpora in six languages.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
output = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False)

Data = Annotated[
    Path | None,
    typer.Option(
        help="Folder with one folder per corpus; where one lies elsewhere, DIR,cremad=PATH or cremad=PATH. Default: "
        "SERAB_DATA, then the user's cache folder."
    ),
]
Weights = Annotated[
    Path | None, typer.Option(help="Folder of checkpoints. Default: SERAB_WEIGHTS, then the user's cache folder.")
]
Cache = Annotated[Path | None, typer.Option(help="Folder of caches. Default: SERAB_CACHE, then the user's.")]
Out = Annotated[Path, typer.Option(help="Folder of results.")]
Device = Annotated[str, typer.Option(help="cpu, or cuda, mps or xpu where torch finds one.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Workers. Default: one per core.")]
Layer = Annotated[
    int | None, typer.Option(min=1, help="Transformer layer of the self-supervised models, from 1. Default: the last.")
]
AcceptLicence = Annotated[
    bool, typer.Option("--accept-licence", help="Accept the licences of checkpoints that ask for it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a command; a mistake of the user's ends it with one line and exit code 1."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except SerabError as error:
            complain([str(error)])
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            errors.print("interrupted: what was finished is kept; the same command goes on from there")
            raise typer.Exit(130) from None

    return app.command()(wrapped)


def split_names(text: str, option: str) -> list[str]:
    """Split a list separated by commas; an empty one is the user's mistake."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise SerabError(f"{option} is empty: give names separated by commas")
    return names


def read_results(folder: Path) -> Any:
    """Cells of a folder of results; one that holds none is the user's mistake."""
    from serab_lib.benchmark.results import Results

    cells = Results(folder).read_cells()
    if cells.empty:
        raise SerabError(f"there are no results in {folder}: make some with `serab run --out {folder}`")
    return cells


def complain(failures: Iterable[str], *, warnings: Iterable[str] = ()) -> None:
    """Print a line for each warning, then for each failure."""
    for style, name, texts in (("yellow", "warning", warnings), ("bold red", "error", failures)):
        for text in texts:
            errors.print(f"[{style}]{name}:[/] {escape(text)}", soft_wrap=True)


def print_json(content: Any) -> None:
    """Print what `--json` promises."""
    output.print_json(json.dumps(content, ensure_ascii=False), highlight=output.is_terminal)  # to colour takes long


def print_rows(rows: list[dict[str, Any]], shown: tuple[str, ...], as_json: bool = False) -> None:
    """Print rows as a table of the columns in `shown`, or whole as JSON."""
    from rich.table import Table

    if as_json:
        print_json(rows)
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
        printed.add_row(*(format_value(row[name]) for name in shown))
    output.print(printed, soft_wrap=False)


def format_value(value: object) -> str:
    """Write one value of a printed table."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that shows one progress bar per kind of work."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bars: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as progress:
        logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)

        def tell(what: str, n_done: int, n_total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=n_total)
            progress.update(bars[what], completed=n_done, total=n_total)

        yield tell
