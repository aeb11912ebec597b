"""The command line: `serab`. One module a group of commands; importing it registers them."""

from __future__ import annotations

from serab_lib.cli import audio, book, grid, listing
from serab_lib.cli.app import app

__all__ = ["app", "audio", "book", "grid", "listing", "main"]


def main() -> None:
    """Run the program."""
    app()
