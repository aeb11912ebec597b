"""The files that set the project up say the same."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
# Named in pyproject.toml for machines other than the tested ones.
UNPINNED = {"serab-companion"}


def read_pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def read_project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_environment_has_the_same_versions_as_the_constraints() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    requirements = [Requirement(line) for line in pip if "==" in line]
    assert {each.name: str(each.specifier).removeprefix("==") for each in requirements} == read_pins()


def test_environment_and_setup_install_the_same_extras() -> None:
    environment, makefile = ((ROOT / name).read_text() for name in ("environment.yml", "Makefile"))
    (wanted,) = re.findall(r"--editable '\.\[(demo.*?)\]'", makefile)
    assert f"--editable .[{wanted}]" in environment


@pytest.mark.parametrize("extra", ["", "demo", "notebook", "book", "stats", "pretrain", "dask", "test", "lint"])
def test_every_requirement_of_the_setup_is_pinned_inside_its_range(extra: str) -> None:
    project, pins = read_project(), read_pins()
    names = {name.casefold().replace("_", "-"): version for name, version in pins.items()}
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    for line in lines:
        requirement = Requirement(line)
        if requirement.name in UNPINNED:
            continue
        assert requirement.name.casefold() in names, f"{requirement.name} has no pin in constraints.txt"
        assert names[requirement.name.casefold()] in requirement.specifier


@pytest.mark.parametrize("name", ["book", "nightly"])
def test_workflows_name_targets_extras_and_files_that_exist(name: str) -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    makefile = (ROOT / "Makefile").read_text()
    ran = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", ran)) <= targets
    for extras in re.findall(r"--editable '\.\[(.*?)\]'", ran + makefile):
        assert set(extras.split(",")) <= set(read_project()["optional-dependencies"])
    assert all((ROOT / file).exists() for file in re.findall(r"\b(?:tests|scripts)/[\w/]+\.py\b", ran + makefile))


def test_markers_that_are_chosen_exist() -> None:
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    chosen = set(re.findall(r"pytest -m (\w+)", (ROOT / "Makefile").read_text()))
    assert chosen and chosen <= {marker.split(":")[0] for marker in markers}


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^make test$", script.read_text(), flags=re.MULTILINE)


def test_no_audio_and_no_weights_in_the_package() -> None:
    suffixes = {path.suffix for path in (ROOT / "serab_lib").rglob("*") if path.is_file()}
    assert not suffixes & {".wav", ".flac", ".mp3", ".ogg", ".pth", ".pt", ".tflite", ".npz", ".h5"}
