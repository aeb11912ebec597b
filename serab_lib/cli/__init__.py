"""The command line: `serab`. One module a group of commands; importing it registers them."""

from __future__ import annotations

from serab_lib.cli import app, book, corpora, pretrain, run

__all__ = ["app", "book", "corpora", "main", "pretrain", "run"]


def main() -> None:
    """Run the program."""
    app.app()
