"""Look the pinned packages up among known vulnerabilities, where the network allows it.

    python scripts/audit_dependencies.py [constraints.txt]

Fails if a pinned version has a known vulnerability; says so and passes where no advisory service can be reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

OPTIONS = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json", "--timeout", "10"]


def main() -> int:
    """Run pip-audit and say what it found."""
    pins = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).resolve().parents[1] / "constraints.txt")
    command = [sys.executable, "-m", "pip_audit", "--requirement", pins, *OPTIONS]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        print("dependencies are not audited: the advisory service does not answer")
        return 0
    status, lines = judge(done.stdout, done.stderr)
    print("\n".join(lines))
    return status


def judge(stdout: str, stderr: str) -> tuple[int, list[str]]:
    """Make of pip-audit's output an exit status and the lines to print.

    Parameters
    ----------
    stdout : str
        JSON, or nothing where pip-audit failed.
    stderr : str

    Returns
    -------
    int
        1 if a package has a known vulnerability, else 0.
    list of str
    """
    try:
        packages = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (stderr.strip().splitlines() or ["no answer"])[-1]
        return 0, [f"dependencies are not audited: {reason}"]
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        return 0, ["dependencies are not audited: the advisory service knows none of them"]
    found = [
        f"{package['name']} {package['version']}: {each['id']}, fixed in "
        f"{', '.join(each['fix_versions']) or 'no version yet'}"
        for package in audited
        for each in package["vulns"]
    ]
    return int(bool(found)), [*found, f"{len(audited)} of {len(packages)} pinned packages audited: {len(found)} found"]


if __name__ == "__main__":
    sys.exit(main())
