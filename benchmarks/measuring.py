"""What the programs that measure for the audit share: their options, and how they end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from serab_lib.errors import SerabError


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Options that name the corpora, the weights and the results."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("SERAB_DATA"))
    parser.add_argument("--weights", default=os.environ.get("SERAB_WEIGHTS"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    return parser


def run(main: Callable[[], None]) -> None:
    """Run a program; a mistake of the user's ends it with one line."""
    try:
        main()
    except SerabError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept; the same command goes on from there", file=sys.stderr)
        sys.exit(130)
