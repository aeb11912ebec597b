"""A second `serab run` over finished cells, as a whole process.

Uses SERAB_DATA/ravdess where it is there, else a synthetic corpus.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    """Run the same command three times; the first computes, the others find everything there."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.environ.get("SERAB_DATA", "")
        if not (Path(data) / "ravdess").is_dir():
            data = f"{folder}/data"
            subprocess.run([sys.executable, "-m", "serab_lib.cli", "synthesise", "--data", data, "--tasks", "RAV"])
        command = [sys.executable, "-m", "serab_lib.cli", "run", "--tasks", "RAV", "--models", "logmel-stats"]
        command += ["--data", data, "--out", f"{folder}/out", "--cache", f"{folder}/cache", "--no-search"]
        for name in ("first", "second", "third"):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            print(f"{name} run: {time.perf_counter() - start:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
