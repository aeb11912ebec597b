import dataclasses
import re
import tomllib
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from making import ROOT, one_line
from scipy import stats

from serab_lib.audit import findings
from serab_lib.audit.claims import VERDICTS, Claim, Evidence, judge, judge_claims
from serab_lib.audit.findings import Measured
from serab_lib.core import read_toml
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.rankings import redraw

FILE = findings.DATA / "claims.toml"
WORDS = read_toml(FILE, dict[str, Claim])
HOLDS, IN_PART, UNKNOWN, FAILS = VERDICTS
PAPER, ROWS = Evidence(), read_accuracies()
TASKS, BYOL = list(ROWS.columns[1:10]), [model for model in ROWS.index if model.startswith("BYOL")]
OTHERS = [model for model in ROWS.index if model not in BYOL]
S, CVT, SIZES = "BYOL-S, 2048", "BYOL-S/CvT, 2048", [[f"BYOL-{kind}, {n}" for n in (512, 1024, 2048)] for kind in "SA"]
REFERENCE, SLIPS = tomllib.loads(Path(__file__).with_name("claims.toml").read_text()).values()


def put(tasks: Any, values: Any, models: Any = BYOL) -> Evidence:
    """Another table 3, with these values for some models in some tasks."""
    table = ROWS.copy()
    table.loc[models, tasks] = values
    return dataclasses.replace(PAPER, accuracies=table)


def copy(points: float, models: Any, to: Any = None) -> Evidence:
    """Another table 3, with models' rows, and so many points more, for themselves or for others."""
    return put(TASKS, (ROWS.loc[models, TASKS] + points).to_numpy(), models if to is None else to)


def ablate(name: str, *lead: float) -> Evidence:
    return dataclasses.replace(PAPER, measured=Measured(ablations={name: pd.DataFrame({"lead": lead})}))


def measure(off: float) -> Evidence:
    """Cells in which validation chooses what is printed, and the best on test is some points away."""
    columns = ["task", "model", "protocol", "classifier", "validation_accuracy", "test_accuracy"]
    printed = [(task, "opensmile", "released", ROWS.loc["openSMILE", task] / 100) for task in TASKS]
    cells = [(*cell, "LDA", 0.9, share) for *cell, share in printed]
    cells += [(*cell, "SVC", 0.5, share + off / 100) for *cell, share in printed]
    return dataclasses.replace(PAPER, measured=Measured(pd.DataFrame(cells, columns=columns)))


APART = pd.Series({model: 50.0 + 5 * place for place, model in enumerate(BYOL)}).reindex(ROWS.index, fill_value=9)
TURNED = [
    ("above-opensmile", lambda: copy(-30, "openSMILE"), HOLDS),
    ("above-opensmile", lambda: copy(9, "openSMILE"), FAILS),
    ("above-trill", lambda: copy(5, "TRILL, layer 19"), IN_PART),
    ("above-vggish-yamnet", lambda: copy(15, ["VGGish", "YAMNet"]), IN_PART),
    ("lead-of-five", lambda: copy(0, ["openSMILE"] * 4, OTHERS), HOLDS),
    ("speech-alone", lambda: copy(2, "BYOL-S, 1024"), HOLDS),
    ("almost-three", lambda: copy(3, SIZES[1], SIZES[0]), HOLDS),
    ("best-by-all-means", lambda: copy(0.2, CVT), IN_PART),
    ("best-on-two", lambda: put("CRE", 76.8, S), FAILS),
    ("best-on-four", lambda: put("CRE", 76.8, CVT), FAILS),
    ("larger-is-better", lambda: copy(1, "BYOL-S, 512"), IN_PART),
    ("transformer-no-gain", lambda: copy(3, CVT), IN_PART),
    ("few-data", lambda: put(["AES", "EMV", "SAV"], 100.0, "openSMILE"), HOLDS),
    ("whole-utterance", lambda: ablate("whole-utterance", 2, 3, 2.5), HOLDS),
    ("speech-is-the-cause", lambda: ablate("speech-only", -2, -3, -2.5), FAILS),
    ("inductive-bias", lambda: ablate("inductive-bias", 5, -4, 1), UNKNOWN),
    ("inductive-bias", lambda: ablate("inductive-bias", 5), UNKNOWN),
    ("amounts-of-data", lambda: ablate("training-size", 1, 1.1), HOLDS),
    ("same-recipe", {"n_parameters": 1}, FAILS),
    ("subsets-mislead", lambda: copy(20, S), IN_PART),
    ("robust-estimates", lambda: put(TASKS, np.tile(APART, (9, 1)).T, ROWS.index), HOLDS),
    ("means-rank-alike", lambda: put("CRE", 100 - 3 * ROWS.loc[BYOL, "CRE"] / 2), FAILS),
    ("tasks-that-differ", {"spread": 9.0}, HOLDS),
    ("speaker-independent", {"shared_with_train": 0.0}, HOLDS),
    ("chosen-by-grid-search", lambda: measure(4), HOLDS),
    ("chosen-by-grid-search", lambda: measure(0), UNKNOWN),
    ("all-samples", {"left_out": 0}, HOLDS),
    ("means-follow", lambda: copy(0, S, "BYOL-A, 512"), IN_PART),
    ("means-follow", {"agrees": True}, HOLDS),
    ("shares", {"train": [60, 60, 70, *[60] * 6], "validation": [20, 20, 10, *[20] * 6], "test": 20}, HOLDS),
    ("one-vector", {"built_size": 512}, IN_PART),
    ("transformer-comparable", {"agrees": False}, IN_PART),
    ("shared-emotions", {"anger": [0, 1, 1, 1, 1, 1, 1, 1, 1]}, IN_PART),
    ("frames-like-vggish", {"released_frames": True}, HOLDS),
    ("spontaneous-speech", {"elicitation": "spontaneous"}, HOLDS),
    ("durations", {"implied_low_s": 4.0}, HOLDS),
    ("tasks-and-languages", {"language": "English"}, IN_PART),
]


@pytest.fixture(scope="module")
def claims() -> dict[str, Claim]:
    return {claim.name: claim for claim in judge_claims(results=ROOT / "results")}


def test_the_verdicts_are_those_of_an_independent_reading(claims: dict[str, Claim]) -> None:
    wanted = {name: verdict for verdict, names in REFERENCE.items() for name in names.split()}
    assert {name: claim.verdict for name, claim in claims.items()} == wanted


@pytest.mark.parametrize(("name", "planted", "verdict"), TURNED, ids=[f"{each[0]} {each[2]}" for each in TURNED])
def test_a_verdict_turns_with_what_it_rests_on(name, planted, verdict) -> None:
    claim, evidence = WORDS[name], dataclasses.replace(PAPER) if isinstance(planted, dict) else planted()
    if isinstance(planted, dict):
        table = getattr(PAPER, claim.table)
        vars(evidence)[claim.table] = (table(**claim.of) if callable(table) else table).assign(**planted)
    assert judge(name, claim, evidence).verdict == verdict
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
        judge_claims(PAPER)
