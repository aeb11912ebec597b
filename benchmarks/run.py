"""All benchmarks, one after the other: what `make bench` runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run each benchmark in a process of its own; the exit code is that of the last that failed."""
    code = 0
    for script in ("extraction.py", "families.py", "classifiers.py", "rerun.py"):
        print(f"\n== {script}", flush=True)
        code = subprocess.run([sys.executable, HERE / script]).returncode or code
    return code


if __name__ == "__main__":
    sys.exit(main())
