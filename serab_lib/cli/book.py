"""`serab book`: the notebooks through papermill, then the site."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from serab_lib.cli.app import Jobs, command, errors, output, progress
from serab_lib.core import SerabError


@command
def book(
    profile: Annotated[str, typer.Option(help="demo, published or paper.")] = "published",
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A notebook's parameter; may be repeated.")
    ] = None,
    root: Annotated[Path, typer.Option(help="The project's folder.")] = Path("."),
    jobs: Jobs = None,
) -> None:
    """Build the book: run its notebooks, then make the site in _build/<profile>/html."""
    from serab_lib.book import build

    with progress() as tell:
        site = build(profile, root=root, parameters=_parse(parameter or []), n_jobs=jobs, progress=tell)
    for notebook, texts in site.complaints.items():
        first = " ".join(texts[0].split())[:200]
        errors.print(f"[yellow]warning:[/] {notebook} wrote to the standard error: {escape(first)}", soft_wrap=True)
    output.print(f"the book is {site.folder / 'index.html'}", soft_wrap=True)


def _parse(texts: list[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise SerabError(f"{text!r} is no parameter: write NAME=VALUE, such as n_draws=1000")
        try:
            values[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            values[name] = value
    return values
