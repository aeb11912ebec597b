"""What a result was made with: versions, device, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

# The packages that can change a number.
PACKAGES = ("serab-companion", "torch", "torchaudio", "scikit-learn", "numpy", "scipy", "opensmile")


def describe_machine(device: str) -> dict[str, Any]:
    """Describe versions, device and commit that a result is made with here."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if device.startswith("cuda"):
        import torch

        machine += f", {torch.cuda.get_device_name(device)}"
    return {"versions": list_versions(), "device": device, "machine": machine, "commit": _commit()}


def list_versions() -> dict[str, str]:
    """Map Python and each package of `PACKAGES` that is installed to its version."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _commit() -> str | None:
    """Commit of the library's own checkout, with a mark where files were changed; None outside one."""
    file = Path(__file__)
    known = ["git", "ls-files", "--error-unmatch", file.name]
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        for command in (known, describe):
            done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
