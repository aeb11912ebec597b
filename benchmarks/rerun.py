"""A second `serab run` over finished cells, as a whole process.

    python benchmarks/rerun.py [--data DIR]

Uses the RAVDESS of --data; without, that of SERAB_DATA, or a synthetic one where there is none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import run

from serab_lib.core import SerabError


def main() -> None:
    """Run the same command twice; the first time computes, the second finds everything there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    given = parser.parse_args().data
    data = given or os.environ.get("SERAB_DATA", "")
    with tempfile.TemporaryDirectory() as folder:
        if not given and not (Path(data) / "ravdess").is_dir():
            data = f"{folder}/data"
            call("synthesise", "--data", data, "--tasks", "RAV")
        for name in ("first", "second"):
            start = time.perf_counter()
            call(
                *("run", "--tasks", "RAV", "--models", "logmel-stats", "--no-search"),
                *("--data", data, "--out", f"{folder}/out", "--cache", f"{folder}/cache"),
            )
            print(f"{name} run: {time.perf_counter() - start:.2f} s", flush=True)


def call(*arguments: str) -> None:
    """Run `serab`; where it fails, end with its last line."""
    done = subprocess.run([sys.executable, "-m", "serab_lib.cli", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SerabError((done.stderr.strip().splitlines() or ["failed"])[-1].removeprefix("error: "))


if __name__ == "__main__":
    run(main, interrupted="the same command begins anew")
