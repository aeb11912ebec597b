import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from making import COMMITTED, call, one_line

from serab_lib.benchmark.contributed import read_contribution
from serab_lib.benchmark.results import Cell, Results
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import split_folds
from serab_lib.corpora.task import TASKS
from serab_lib.evaluation.protocol import measure

MISTAKES = tomllib.loads(Path(__file__).with_name("contributed.toml").read_text())
ABOUT = {"title": 'größtes "M"', "by": "A", "source": "s", "trained_on": "t", "trained_on_source": "u", "heard": "SAV"}


def make_cell(code: str, protocol: str, model: str = "mine") -> Cell:
    """A cell of the published split, each classifier wrong more often than the one before; IEM4's names look real."""
    folds, rotated = split_folds(list_utterances(code), TASKS[code], protocol), protocol == "rotated"
    parts = pd.concat(fold.assign(fold=n) for n, fold in enumerate(folds, start=1))
    test = parts.loc[parts["part"] == "test", ["stem", "speaker", "group", "emotion", *["fold"][:rotated]]]
    names, n_test = ["LDA", "LR", "QDA", "RF", "SVC", *["chosen"][:rotated]], len(test)
    answers = {name: np.where(np.arange(n_test) % 9 < n, "anger", test["emotion"]) for n, name in enumerate(names)}
    scores = pd.DataFrame([{"classifier": name} | measure(test["emotion"], answers[name]) for name in names])
    scores["validation_accuracy"] = [0.9, *[0.1] * (len(names) - 1)]
    scores["selected"] = scores["classifier"] == names[-rotated]  # the first; the last, if rotated
    flags = {"search": True, "complete": True, "n_originals": None, "synthetic": False, "seconds": 1.0}
    scores = scores.assign(best_params=[{}] * len(names), **flags, **parts["part"].value_counts().add_prefix("n_"))
    predictions = test.replace("iemocap-", "Ses01F_impro", regex=True).assign(**answers)
    return Cell((code, model, protocol), scores, predictions, {"inputs": code})


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `serab submit` writes of two models whose cells stand in one folder."""
    folder = tmp_path_factory.mktemp("contributed")
    for cell in (make_cell("SAV", "described"), make_cell("SAV", "rotated"), make_cell("IEM", "described", "other")):
        Results(folder / "results").write(cell)
    about = [f"--{name.replace('_', '-')}={text}" for name, text in ABOUT.items()]
    common = ("submit", f"--results={folder / 'results'}", f"--out={folder / 'rows'}", *about)
    assert "row of mine" in call(*common, "--model=mine") and "row of other" in call(*common, "--model=other")
    assert "has cells already: remove it" in call(*common, "--model=mine", code=1)
    return folder / "rows"


def test_a_row_holds_one_model_as_text_with_who_and_what_and_no_name_that_may_not_be_published(rows: Path) -> None:
    for model, n_rows in (("mine", 11), ("other", 5)):
        about, cells = read_contribution(rows / model)
        assert vars(about) == ABOUT | {"heard": ("SAV",)} and set(cells["model"]) == {model} and len(cells) == n_rows
    predictions = {file.name: file.read_text() for file in rows.glob("*/predictions/*.csv")}
    assert len(predictions) == 3 and "impro" not in "".join(predictions.values())


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_row_with_a_mistake_is_refused_in_one_line_that_says_which(mistake: str, rows: Path, tmp_path: Path) -> None:
    pattern, replacement, said = MISTAKES[mistake]
    for file in [each for each in shutil.copytree(rows / "mine", tmp_path / "mine").rglob("*") if each.is_file()]:
        file.write_text(re.sub(pattern, replacement, file.read_text(), flags=re.M))
        file.rename(file.with_name(re.sub(pattern, replacement, file.name)))
    with one_line(said):
        read_contribution(tmp_path / "mine")


@pytest.mark.parametrize("folder", sorted((COMMITTED.folder / "contributed").glob("*/")), ids=lambda each: each.name)
def test_a_contributed_row_follows_from_its_predictions_on_the_published_splits(folder: Path) -> None:
    about, cells = read_contribution(folder)
    assert about.source.startswith("https://") and set(about.heard) <= set(TASKS) and len(cells)
    assert {file.suffix for file in folder.glob("[!.]*.*")} <= {".csv", ".json", ".toml", ".py"}, "no weights, no audio"
