import json
import re
import runpy
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pandas as pd
import pytest
from making import call, enter_world, write_world

from serab_lib.benchmark.grid import Settings

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PROGRAMS, MISTAKES = tomllib.loads(Path(__file__).with_name("programs.toml").read_text()).values()
# Several leave a table.
NAMES = ("heard_worse", "label_order", "resampler", "speaker_leak", "svc_convergence")
TABLES = {name: f"results/audit/{name}.csv" for name in NAMES}
TABLES["calibrate"] = "results/audit/selection.csv"
TABLES |= dict.fromkeys(("pretrain_ravdess", "pretrain_speed", "selection"), "t.csv")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


@pytest.fixture
def run(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    enter_world(world, monkeypatch)
    monkeypatch.chdir(tmp_path)

    def call(words: str) -> None:
        program, *options = words.split()
        monkeypatch.setattr(sys, "argv", [program, *options])
        runpy.run_path(str(BENCHMARKS / f"{program}.py"), run_name="__main__")

    return call


def test_every_program_has_a_small_form() -> None:
    programs = {path.stem for path in BENCHMARKS.glob("*.py") if '__name__ == "__main__"' in path.read_text()}
    assert programs == {words.split()[0] for words in PROGRAMS}


@pytest.mark.parametrize("words", PROGRAMS, ids=lambda words: words.split()[0])
def test_a_small_form_runs(words: str, run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    program = words.split()[0]
    if program == "resampler":
        monkeypatch.setattr("serab_lib.benchmark.grid.Settings", partial(Settings, search=False, n_jobs=1))
    if program in ("calibrate", "heard_worse", "label_order", "svc_convergence"):
        cell = "--tasks RAV --models byol-s-512 --protocol released --no-search --jobs 1"
        call("run", *cell.split())
    run(words)
    assert re.search(PROGRAMS[words], capfd.readouterr().out)
    if program in TABLES:
        measured = pd.read_csv(TABLES[program])
        assert not measured.empty
        assert program != "resampler" or measured.groupby(["resampler", "protocol"]).ngroups == 8


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(words: str, run) -> None:
    with pytest.raises(SystemExit) as caught:
        run(words)
    assert str(caught.value.code).startswith("error: ") and "\n" not in caught.value.code
    assert MISTAKES[words] in caught.value.code


def test_the_released_procedure_has_opensmile_and_a_model_that_cannot_be_timed_fails_the_program(run, capfd) -> None:
    run("extraction --side released --models opensmile --n-files 2")
    made = json.loads(capfd.readouterr().out)
    assert len(made["first"]) == 6373 and made["seconds"] > 0
    with pytest.raises(SystemExit, match="1"):
        run("families --n-files 2 --models trill,logmel-stats")
    assert re.search(r"trill +left out: .*serab fetch trill`\nlogmel-stats +cpu", capfd.readouterr().out)


def test_a_part_that_fails_fails_the_whole_and_options_reach_those_that_have_them(run, monkeypatch) -> None:
    called = {}

    def call(words: list) -> SimpleNamespace:
        called[Path(words[1]).stem] = words[2:]
        return SimpleNamespace(returncode=int("families" in str(words[1])))

    monkeypatch.setattr("subprocess.run", call)
    with pytest.raises(SystemExit, match="1"):
        run("run --data data --n-files 3")
    both = ["--data=data", "--n-files=3"]
    assert called == {"extraction": both, "families": both, "classifiers": [], "rerun": ["--data=data"]}


def test_control_c_is_one_line(run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("serab_lib.corpora.corpus._list_files", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(SystemExit, match="130"):
        run("speaker_leak")
    assert re.fullmatch(r"interrupted: .*\n", capfd.readouterr().err)
