"""What the documents tell a reader to type runs: each command is held against a small form of itself."""

import importlib.util
import re
import shlex
import shutil
import socket
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
import typer
from benchmarks.test_programs import PROGRAMS
from making import ROOT, enter_world, make_byol_state, write_noises, write_world
from packaging.requirements import Requirement
from typer.testing import CliRunner, Result

from serab_lib.audit import findings
from serab_lib.cli.app import app

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "book").glob("*.md"))]
DOCUMENTS += sorted((ROOT / "notebooks").glob("*.py"))
TARGETS = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# Run by tests/scripts and tests/book.
SCRIPTS = ("scripts/audit_dependencies.py", "scripts/count_house.py", "book/_ext/plain_notebooks.py")
SMALLER, ENDS = tomllib.loads(Path(__file__).with_name("commands.toml").read_text()).values()


def read_document(path: Path) -> list[str]:
    """Command lines in the fenced blocks of a document, and those in its prose that have arguments."""
    text = path.read_text()
    if path.suffix == ".py":
        text = re.sub("^# ?", "", text, flags=re.M)
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    named = re.findall(r"`((?:serab|make|python3?|pip|conda|\.venv/bin/\S+) [^`]+)`", prose)
    return [*"".join(blocks).splitlines(), *(line for line in named if not re.fullmatch(r"serab [a-z]+", line))]


def read_recipes(*words: str) -> list[str]:
    """What targets of the Makefile run, expanded; without the folder of programs."""
    variables = ["BIN=.venv/bin", "SERAB_CACHE=cache", "DATA=", "WEIGHTS="]
    printed = subprocess.run(["make", "-n", *variables, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return re.findall(r"^\.venv/bin/(.*)", printed.stdout, re.M)


def collect() -> list[str]:
    """All commands, without comments, variables of the environment and the folder of programs."""
    lines = [line for path in DOCUMENTS for line in read_document(path)] + read_recipes(*TARGETS)
    commands = {" ".join(shlex.split(line, comments=True)) for line in lines} - {""}
    return sorted({re.sub(r"^([A-Z_]+=\S* )*(\.venv/bin/)?", "", command) for command in commands})


def parse(program: str, *words: str) -> None:
    typer.main.get_command(app).commands[program].make_context(program, list(words))


COMMANDS = collect()


def check(*command: str) -> None:
    """Hold what a command names, unless it is one of `serab`'s, against what there is."""
    match command:
        case "make", *words:
            assert {word for word in words if "=" not in word} <= set(TARGETS)
            for program, *arguments in map(shlex.split, read_recipes(*words)):
                if program == "serab":
                    parse(*arguments)
        case (("python" | "python3"), "-m", "pip", *words):
            check("pip", *words)
        case (("python" | "python3"), "-m", "pytest", *words):
            for path, _, name in (word.partition("::") for word in words if word.startswith("tests/")):
                assert (ROOT / path).exists() and (not name or f"def {name}(" in (ROOT / path).read_text())
            assert "-k" not in words or words[-1] in (ROOT / words[0]).read_text()
        case (("python" | "python3"), "-c", *words):
            compile(" ".join(words), command[0], "exec")
        case (("python" | "python3"), "-m", module, *_):
            assert importlib.util.find_spec(module)
        case (("python" | "python3"), file, *_):
            assert (ROOT / file).is_file()
            assert Path(file).stem in {program.split()[0] for program in PROGRAMS} or file in SCRIPTS, "no test runs it"
        case "pip", "install", *words:
            extras = re.findall(r"\[(.*)\]", " ".join(words))
            assert set(",".join(extras).split(",")) - {""} <= set(EXTRAS)
            assert "--constraint" not in words or (ROOT / words[words.index("--constraint") + 1]).is_file()
        case "conda", "activate", name:
            assert f"\nname: {name}\n" in f"\n{(ROOT / 'environment.yml').read_text()}"
        case "conda", *_, file:
            assert (ROOT / file).is_file()
        case "export", assignment:
            name = assignment.partition("=")[0]
            assert any(f'"{name}"' in path.read_text() for path in (ROOT / "serab_lib").rglob("*.py"))
        case tool, *_:
            tool = "import-linter" if tool == "lint-imports" else tool
            assert tool in {Requirement(each).name for extra in EXTRAS.values() for each in extra}


@pytest.mark.parametrize("command", [each for each in COMMANDS if not each.startswith("serab ")])
def test_what_a_command_names_is_there(command):
    check(*shlex.split(command))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpora, a checkpoint, and what the documents' commands name besides."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    write_noises(folder / "noises", n_files=4)
    (folder / "my-encoder").mkdir()
    torch.save(make_byol_state(), folder / "my-encoder" / "encoder.pth")
    shutil.make_archive(str(folder / "AudioData"), "zip", folder / "data", "savee")
    chapter = (ROOT / "notebooks" / "10_beyond_the_paper.py").read_text()
    (loudness,) = re.findall(r"%%writefile loudness.py\n(.*?)^# %%", chapter, re.M | re.S)
    (folder / "loudness.py").write_text(loudness)
    cells = "run --tasks SAV --models logmel-stats --protocol both --no-search --jobs 1".split()
    assert CliRunner().invoke(app, [*cells, f"--data={folder / 'data'}", f"--out={folder / 'results'}"]).exit_code == 0
    return folder


@pytest.fixture
def serab(world: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    """Run a command in the world, whose results and caches are kept and from which no network is reached."""
    enter_world(world, monkeypatch)
    monkeypatch.chdir(world)
    monkeypatch.syspath_prepend(world)
    monkeypatch.setenv("SERAB_CACHE", str(world / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    refusal = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=refusal))
    # The whole audit takes seconds, and is tested elsewhere.
    monkeypatch.setattr(findings, "FINDERS", dict.fromkeys(findings.FINDERS, lambda _: ()))
    return lambda command: CliRunner().invoke(app, shlex.split(command)[1:])


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("serab ")])
def test_a_command_runs(command, serab):
    program, *words = shlex.split(command)[1:]
    parse(program, *words)
    said = [words for end, words in ENDS.items() if re.fullmatch(end, command)]
    for large, small in SMALLER.items():
        command = re.sub(large, small, command)
    done = serab(command)
    assert "Traceback" not in done.output
    assert done.exit_code == len(said) and all(re.search(words, done.output) for words in said), done.output


def test_the_tables_and_the_prose_name_only_what_there_is():
    assert all(any(re.search(rule, command) for command in COMMANDS) for rule in (*SMALLER, *ENDS))
    named = {name for path in DOCUMENTS for name in re.findall("`serab ([a-z]+)`", path.read_text())}
    assert named <= set(typer.main.get_command(app).commands)


def test_every_measurement_beside_the_grid_names_its_program() -> None:
    text = (ROOT / "book" / "reproduce.md").read_text()
    section = text[text.index("## Measurements beside the grid") :].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| `python ([^`]+)` \|", section, re.M))
    files = {f"audit/{file.name}" for file in (ROOT / "results" / "audit").glob("*")}
    assert set(rows) == files - {"audit/byol_a_window.csv"} | {"pretraining/"}  # that one's folder says how
    assert all((ROOT / program).is_file() for program in rows.values())


def test_the_python_of_the_readme_runs(serab, capsys):
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    exec(block.replace("classes=", "search=False, classes="), {})
    assert "test_accuracy" in capsys.readouterr().out
