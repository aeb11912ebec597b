import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from making import ROOT


@pytest.fixture(scope="session")
def copy_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    def copy() -> Path:
        root = tmp_path_factory.mktemp("project")
        for name in ("book", "notebooks", "results"):
            shutil.copytree(ROOT / name, root / name)
        for name in ("_config.yml", "_toc.yml", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "environment.yml"):
            shutil.copy(ROOT / name, root)
        return root

    return copy
