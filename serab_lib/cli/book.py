"""`serab book`: the notebooks through papermill, then the site."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated

import typer

from serab_lib.cli.app import Jobs, command, output, progress
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
    from serab_lib.book.build import build_book

    with progress() as tell:
        page = build_book(profile, root=root, parameters=_parse(parameter or []), n_jobs=jobs, progress=tell)
    output.print(f"the book is {page}", soft_wrap=True)


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
