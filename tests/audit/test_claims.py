import dataclasses
import re
import tomllib
from functools import cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from making import ROOT, one_line
from scipy import stats

from serab_lib.audit import findings
from serab_lib.audit.claims import Claim, Evidence, judge, judge_claims
from serab_lib.audit.findings import Measured
from serab_lib.core import read_toml
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.rankings import redraw

FILE = findings.DATA / "claims.toml"
WORDS = read_toml(FILE, dict[str, Claim])
ROWS, paper = read_accuracies(), cache(Evidence)
TASKS, BYOL = list(ROWS.columns[1:10]), [model for model in ROWS.index if model.startswith("BYOL")]
SIZES = [[f"BYOL-{kind}, {n}" for n in (512, 1024, 2048)] for kind in "SA"]
REFERENCE, TURNS, SLIPS = tomllib.loads(Path(__file__).with_name("claims.toml").read_text()).values()


def put(tasks: Any, values: Any, models: Any = BYOL) -> Evidence:
    """Another table 3, with these values for some models in some tasks."""
    table = ROWS.copy()
    table.loc[models, tasks] = values
    return dataclasses.replace(paper(), accuracies=table)


def copy(points: float, models: Any, to: Any = None) -> Evidence:
    """Another table 3, with models' rows, and so many points more, for themselves or for others."""
    return put(TASKS, (ROWS.loc[models, TASKS] + points).to_numpy(), models if to is None else to)


def ablate(name: str, *lead: float) -> Evidence:
    return dataclasses.replace(paper(), measured=Measured(ablations={name: pd.DataFrame({"lead": lead})}))


def set_columns(claim: Claim, columns: dict[str, Any]) -> Evidence:
    """The table that a claim rests on, with these columns."""
    evidence, table = dataclasses.replace(paper()), getattr(paper(), claim.table)
    vars(evidence)[claim.table] = (table(**claim.of) if callable(table) else table).assign(**columns)
    return evidence


def measure(off: float) -> Evidence:
    """Cells in which validation chooses what is printed, and the best on test is some points away."""
    columns = ["task", "model", "protocol", "classifier", "validation_accuracy", "test_accuracy"]
    printed = [(task, "opensmile", "released", ROWS.loc["openSMILE", task] / 100) for task in TASKS]
    cells = [(*cell, "LDA", 0.9, share) for *cell, share in printed]
    cells += [(*cell, "SVC", 0.5, share + off / 100) for *cell, share in printed]
    return dataclasses.replace(paper(), measured=Measured(pd.DataFrame(cells, columns=columns)))


APART = pd.Series({model: 50.0 + 5 * place for place, model in enumerate(BYOL)}).reindex(ROWS.index, fill_value=9)
TURNED = [
    *TURNS["rows"],
    ["robust-estimates", "holds", "put", TASKS, np.tile(APART, (9, 1)).T, ROWS.index],
    ["means-rank-alike", "does not hold", "put", "CRE", 100 - 3 * ROWS.loc[BYOL, "CRE"] / 2],
]


@pytest.fixture(scope="module")
def claims() -> dict[str, Claim]:
    return {claim.name: claim for claim in judge_claims(results=ROOT / "results")}


def test_the_verdicts_are_those_of_an_independent_reading(claims: dict[str, Claim]) -> None:
    wanted = {name: verdict for verdict, names in REFERENCE.items() for name in names.split()}
    assert {name: claim.verdict for name, claim in claims.items()} == wanted


@pytest.mark.parametrize("row", TURNED, ids=lambda row: " ".join(row[:2]))
def test_a_verdict_turns_with_what_it_rests_on(row) -> None:
    name, verdict, change, *given = row
    make = {"put": put, "copy": copy, "ablate": ablate, "measure": measure, "set": partial(set_columns, WORDS[name])}
    assert judge(name, WORDS[name], make[change](*given)).verdict == verdict
    assert {each[0] for each in TURNED} == set(WORDS)


def test_key_numbers_by_plain_pandas(claims: dict[str, Claim]) -> None:
    table = pd.read_csv(findings.DATA / "paper" / "table3_accuracy.csv", index_col="model")[TASKS]
    n = pd.Series([207, 216, 1556, 84, 196, 1122, 300, 120, 372], index=TASKS)
    means = pd.DataFrame({0: table.mean(axis=1), 1: table @ n / n.sum(), 2: table.prod(axis=1) ** (1 / 9)})
    speech, lead = claims["speech-alone"].values, claims["above-opensmile"].values
    steps = means.loc[SIZES[0]].to_numpy() - means.loc[SIZES[1]].to_numpy()
    assert speech[["UM", "WM", "GM"]].to_numpy() == pytest.approx(steps)
    assert speech[["up", "down", "equal"]].sum().tolist() == [18, 7, 2]
    taus = [stats.kendalltau(means[a], means[b]).statistic for a, b in combinations(means, 2)]
    assert list(claims["means-rank-alike"].values["tau"]) == pytest.approx(taus)
    steps = (table.loc[BYOL] - table.loc["openSMILE"]).round(1).to_numpy()
    p = [stats.wilcoxon(row[row != 0], method=stats.PermutationMethod()).pvalue for row in steps]
    assert list(lead["p"]) == pytest.approx(p) and lead["beyond_tasks"].sum() == sum(each < 0.05 for each in p) == 4
    shares = table.to_numpy().T / 100
    drawn = redraw(np.broadcast_to(shares, (4_000, *shares.shape)), n.to_numpy()[:, None], np.random.default_rng(0))
    um = pd.DataFrame(100 * drawn.mean(axis=1), columns=table.index)
    assert list(lead["noise"]) == pytest.approx(1.96 * um[BYOL].sub(um["openSMILE"], axis=0).std(), rel=0.05)
    # What claim `above-vggish-yamnet` says of its two lower cells.
    lower = (table.loc[BYOL] < table.loc[["VGGish", "YAMNet"]].min()).stack()
    assert list(lower.index[lower]) == [("BYOL-S, 512", "EMV")] and table["EMV"].idxmin() == "BYOL-S, 512"


def test_every_text_is_filled_and_every_label_is_in_the_book(claims: dict[str, Claim]) -> None:
    sources = "\n".join(path.read_text() for path in [*ROOT.glob("notebooks/*.py"), *ROOT.glob("book/*.md")])
    known = set(re.findall(r'(?:name="|\n# \(|^\(|:name: )([\w-]+)', sources, re.M))
    known |= {f"finding-{name.lower()}" for name in read_toml(findings.DATA / "findings.toml", dict)}
    for claim in claims.values():
        texts = [claim.says, claim.evidence, claim.beyond or ".", claim.settled_by]
        assert all(text.endswith(".") for text in texts) and claim.see and set(claim.see) <= known
        assert not any(mark in text for text in [claim.title, *texts] for mark in ("{", "}", "nan", "  ", "\n", "inf"))


@pytest.mark.parametrize(("old", "new", "said"), SLIPS["rows"])
def test_a_slip_in_the_words_is_told_in_one_line(old, new, said, tmp_path, monkeypatch) -> None:
    (tmp_path / "claims.toml").write_text(FILE.read_text().replace(old, new, 1))
    monkeypatch.setattr(findings, "DATA", tmp_path)
    with one_line(re.escape(said)):
        judge_claims(paper())
