import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from making import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))


def test_environment_has_the_versions_of_the_constraints_and_the_extras_of_the_setup():
    text = (ROOT / "environment.yml").read_text()
    (pip,) = [entry["pip"] for entry in yaml.safe_load(text)["dependencies"] if isinstance(entry, dict)]
    requirements = [Requirement(line) for line in pip if "==" in line]
    assert {each.name: str(each.specifier).removeprefix("==") for each in requirements} == PINS
    (wanted,) = re.findall(r"--editable '\.\[(demo.*?)\]'", (ROOT / "Makefile").read_text())
    assert f"--editable .[{wanted}]" in text


@pytest.mark.parametrize("extra", ["", "demo", "notebook", "book", "stats", "pretrain", "dask", "test", "lint"])
def test_every_requirement_of_the_setup_is_pinned_inside_its_range(extra):
    names = {name.casefold().replace("_", "-"): version for name, version in PINS.items()}
    for requirement in map(Requirement, PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]):
        if requirement.name != "serab-companion":
            assert requirement.name.casefold() in names, f"{requirement.name} has no pin in constraints.txt"
            assert names[requirement.name.casefold()] in requirement.specifier


@pytest.mark.parametrize("name", ["book", "nightly"])
def test_workflows_name_targets_extras_and_files_that_exist(name):
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    makefile = (ROOT / "Makefile").read_text()
    ran = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    assert set(re.findall(r"\bmake ([a-z-]+)", ran)) <= set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    for extras in re.findall(r"--editable '\.\[(.*?)\]'", ran + makefile):
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert all((ROOT / file).exists() for file in re.findall(r"\b(?:tests|scripts)/[\w/]+\.py\b", ran + makefile))
    assert os.access(ROOT / ".ci" / "run", os.X_OK) and "\nmake test\n" in (ROOT / ".ci" / "run").read_text()


COLAB = ROOT / "tests" / "support" / "colab.txt"
SETUP_CELLS = [path.read_text() for path in (ROOT / "notebooks").glob("*.py")]
EXTRAS = {name for text in SETUP_CELLS for name in re.search(r"serab-companion\[([\w,]+)\]", text)[1].split(",")}
NEEDED = [*PROJECT["dependencies"], *(each for extra in EXTRAS for each in PROJECT["optional-dependencies"][extra])]


def test_colab_has_what_it_has_of_our_requirements_in_their_ranges():
    there = dict(re.findall(r"^([\w.-]+)==(\S+)$", COLAB.read_text(), re.M))
    ranges = {each.name: each.specifier for each in map(Requirement, NEEDED)}
    assert ranges.keys() >= {"ipython", "torch", "torchaudio", "statsmodels"}
    assert all(version in ranges.get(name, SpecifierSet()) for name, version in there.items())


@pytest.mark.nightly
def test_an_installation_on_colab_moves_nothing_that_is_there():
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--constraint", COLAB, "--only-binary", ":all:"]
    command += ["--python-version", "3.13", "--python-platform", "x86_64-manylinux_2_35", "--no-python-downloads"]
    done = subprocess.run(command, input="\n".join(NEEDED), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_checkout_may_lie_in_a_folder_with_a_space_and_an_accent(tmp_path):
    folder = tmp_path / "My Drive" / "é x"
    for name in ("Makefile", "pyproject.toml", "constraints.txt", ".venv/.installed"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes() if name == "Makefile" else b"")
    for program in ("bin/serab", "bin/python"):
        (folder / ".venv" / program).parent.mkdir(exist_ok=True)
        (folder / ".venv" / program).write_text('#!/bin/sh\nprintf "%s\\n" "$SERAB_DATA" "$@"\n')
        (folder / ".venv" / program).chmod(0o755)

    def make(*words: str) -> list[str]:
        command = ["make", "--silent", "-C", folder, f"DATA={folder}/data", *words]
        run = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
        return run.stdout.splitlines()

    said = make("demo")
    assert said.count(f"{folder}/.cache/demo/data") == said.count(f"{folder}/.cache/demo/results") == 2
    assert said.count(f"{folder}/data") == 4, "each command has SERAB_DATA"
    assert make("reproduce", "PLAN=1") == [f"{folder}/data", "reproduce", "--device", "cpu", "--plan"]
    assert make("test")[1:3] == ["-m", "pytest"]


def test_no_audio_and_no_weights_in_the_package():
    suffixes = {path.suffix for path in (ROOT / "serab_lib").rglob("*") if path.is_file()}
    assert not suffixes & {".wav", ".flac", ".mp3", ".ogg", ".pth", ".pt", ".tflite", ".npz", ".h5"}
