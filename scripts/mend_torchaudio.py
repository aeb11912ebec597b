"""Make torchaudio importable beside a CPU build of torch.

The package index has no CPU build of torchaudio for Linux, and its usual build looks for CUDA's
libraries. Its compiled extension is optional and nothing here needs it, so where torch is a CPU build
and the import fails, and only there, the extension's files are removed. Run by `make setup`.
"""

import importlib.util
import pathlib
import subprocess
import sys


def main() -> int:
    import torch

    check = [sys.executable, "-c", "import torchaudio"]
    if subprocess.run(check, capture_output=True).returncode == 0:
        return 0
    if torch.version.cuda is not None:
        print("torchaudio does not import although torch has CUDA: install the torchaudio that fits this torch")
        return 1
    spec = importlib.util.find_spec("torchaudio")
    if spec is None or spec.origin is None:
        print("torchaudio is not installed")
        return 1
    for library in pathlib.Path(spec.origin).with_name("lib").glob("*.so"):
        library.unlink()
    result = subprocess.run(check, capture_output=True, text=True)
    print(result.stderr or "torchaudio: compiled extension removed, it needs CUDA and nothing here needs it")
    return result.returncode


if __name__ == "__main__":
    sys.exit(main())
