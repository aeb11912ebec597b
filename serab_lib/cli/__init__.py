"""The command line: `serab`. One module a group of commands; importing it registers them."""

from __future__ import annotations

from serab_lib.cli import audio, audit, book, fetch, grid, listing, pretrain, reproduce
from serab_lib.cli.app import app

__all__ = ["app", "audio", "audit", "book", "fetch", "grid", "listing", "main", "pretrain", "reproduce"]


def main() -> None:
    """Run the program."""
    app()
