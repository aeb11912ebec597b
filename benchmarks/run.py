"""All timings, one after the other: what `make bench` runs.

    python benchmarks/run.py [PROGRAM ...] [--data DIR] [--weights DIR] [--n-files N] [--models NAME] [--device cuda]

An option goes to each program that has it; without, each reads SERAB_DATA and SERAB_WEIGHTS.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from measuring import run

from serab_lib.core import SerabError

HERE = Path(__file__).parent
PROGRAMS = {
    "extraction": ("data", "weights", "n_files", "models"),
    "families": ("data", "weights", "n_files", "models", "device"),
    "classifiers": (),
    "rerun": ("data",),
}


def main() -> int:
    """Run each program in a process of its own; the exit code is that of the last that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"of {', '.join(PROGRAMS)}; all by default")
    for name in dict.fromkeys(sum(PROGRAMS.values(), ())):
        parser.add_argument(f"--{name.replace('_', '-')}")
    given = vars(parser.parse_args())
    programs = given.pop("programs") or list(PROGRAMS)
    for program in set(programs) - set(PROGRAMS):
        raise SerabError(f"there is no program {program!r}: choose from {', '.join(PROGRAMS)}")
    code = 0
    for program in programs:
        print(f"\n== {program}.py", flush=True)
        options = [f"--{name.replace('_', '-')}={given[name]}" for name in PROGRAMS[program] if given[name] is not None]
        code = subprocess.run([sys.executable, HERE / f"{program}.py", *options]).returncode or code
    return code


if __name__ == "__main__":
    run(main, interrupted="the same command begins anew")
