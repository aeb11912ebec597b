"""Intervals agree with statsmodels and scipy, and say where they deserve no trust."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from serab_lib.core import SerabError
from serab_lib.evaluation.intervals import bootstrap, intervals_of_cell, intervals_of_table, wilson_interval
from serab_lib.evaluation.metrics import unweighted_average_recall
from serab_lib.evaluation.paper import read_accuracies

SIZES = pd.Series({"CRE": 1556, "EMB": 84, "SHE": 372})


def make_answers(n: int = 240, n_speakers: int = 12, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(n_speakers), n // n_speakers)
    truth = rng.choice(["a", "b", "c"], size=n, p=[0.5, 0.3, 0.2])
    skill = rng.uniform(0.4, 0.95, size=n_speakers)[speakers]
    predicted = np.where(rng.random(n) < skill, truth, "a")
    return truth, predicted, np.array([f"s{speaker}" for speaker in speakers])


@pytest.mark.parametrize(("k", "n"), [(0, 84), (84, 84), (232, 300), (1, 2), (1000, 1556)])
def test_wilson_agrees_with_statsmodels(k: int, n: int) -> None:
    interval = wilson_interval(k, n)
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(5, 4), (-1, 4), (0, 0)])
def test_impossible_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(SerabError, match="pass counts"):
        wilson_interval(k, n)


def test_every_printed_value_lies_in_its_interval() -> None:
    table = intervals_of_table(read_accuracies(), SIZES)
    assert len(table) == 13 * 3
    assert (table["low"] < table["accuracy"]).all()
    assert (table["accuracy"] < table["high"]).all()
    assert (table.query("task == 'EMB'")["k_low"] == table.query("task == 'EMB'")["k_high"]).all()
    # Above a thousand utterances, some values stand for two counts.
    assert (table.query("task == 'CRE'")["k_high"] - table.query("task == 'CRE'")["k_low"]).max() == 1


def test_a_size_that_does_not_fit_is_refused() -> None:
    with pytest.raises(SerabError, match="cannot occur with 738"):
        intervals_of_table(read_accuracies(), pd.Series({"SHE": 738}))


def test_bootstrap_over_utterances_agrees_with_scipy() -> None:
    truth, predicted, _ = make_answers()
    ours = bootstrap(truth, predicted, n_draws=8_000, rng=1)
    right = (truth == predicted).astype(float)
    options = {"n_resamples": 8_000, "method": "percentile", "rng": np.random.default_rng(2)}
    theirs = stats.bootstrap((right,), np.mean, **options).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert ours.estimate == right.mean()
    assert ours.remark == ""


def test_bootstrap_of_uar_agrees_with_scipy() -> None:
    truth, predicted, _ = make_answers()
    ours = bootstrap(truth, predicted, metric="uar", n_draws=4_000, rng=1)
    rows = np.arange(len(truth))
    theirs = stats.bootstrap(
        (rows,),
        lambda picked: unweighted_average_recall(truth[picked], predicted[picked]),
        vectorized=False,
        n_resamples=400,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert ours.estimate == pytest.approx(unweighted_average_recall(truth, predicted))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_bootstrap_over_speakers_agrees_with_drawing_them_one_by_one() -> None:
    truth, predicted, speakers = make_answers()
    ours = bootstrap(truth, predicted, clusters=speakers, n_draws=8_000, rng=1)
    by_speaker = pd.Series(truth == predicted).groupby(speakers).mean().to_numpy()
    rng = np.random.default_rng(5)
    drawn = [by_speaker[rng.integers(0, len(by_speaker), len(by_speaker))].mean() for _ in range(4_000)]
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.01)
    assert ours.high - ours.low > bootstrap(truth, predicted, rng=1).high - bootstrap(truth, predicted, rng=1).low


def test_few_speakers_are_remarked_on_and_one_says_nothing() -> None:
    truth, predicted, speakers = make_answers(n_speakers=4)
    assert "only 4 speakers" in bootstrap(truth, predicted, clusters=speakers, n_draws=100).remark
    alone = bootstrap(truth, predicted, clusters=["s0"] * len(truth), n_draws=100)
    assert np.isnan(alone.low)
    assert np.isnan(alone.high)
    assert "cannot be known" in alone.remark


def test_the_seed_decides() -> None:
    truth, predicted, speakers = make_answers()
    one, same, other = (bootstrap(truth, predicted, clusters=speakers, n_draws=500, rng=rng) for rng in (1, 1, 2))
    assert one == same != other


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(SerabError, match="choose accuracy or uar"):
        bootstrap(["a"], ["a"], metric="f1")
    with pytest.raises(SerabError, match="2 labels for 1 predictions"):
        bootstrap(["a", "b"], ["a"])


def test_a_cell_gets_every_interval() -> None:
    truth, predicted, speakers = make_answers()
    table = intervals_of_cell(
        pd.DataFrame({"emotion": truth, "speaker": speakers, "SVC": predicted}), "SVC", n_draws=300
    )
    assert table["metric"].tolist() == ["accuracy"] * 3 + ["uar"] * 2
    assert ((table["low"] < table["estimate"]) & (table["estimate"] < table["high"])).all()
    assert table["n_units"].tolist() == [240, 240, 12, 240, 12]
