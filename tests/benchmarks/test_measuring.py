from pathlib import Path

import label_order
import measuring
import numpy as np
import pandas as pd
import pytest
import resampler
import speaker_leak
from making import write_savee

from serab_lib.audio import decode
from serab_lib.audit.measurements import read_measurement
from serab_lib.benchmark.results import Results
from serab_lib.corpora.corpus import find_corpus, list_utterances
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import get_task
from serab_lib.evaluation import classifiers, protocol

GRID = {"kernel": ("rbf", "linear"), "C": (10.0, 0.01), "class_weight": ("balanced", None)}


def test_only_the_same_cells_are_replaced(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert read_measurement(results, "resampler").empty
    rows = (("RAV", "a", 1 / 3), ("RAV", "b", 0.2, 0.3), ("EMB", "a", 0.4), ("RAV", "a", 0.5, 0.6))
    for task, model, *accuracies in rows:
        params = [{"C": 10.0**n} for n in range(len(accuracies))]
        table = pd.DataFrame({"test_accuracy": accuracies, "best_params": params})
        measuring.keep(results, "resampler", table.assign(task=task, model=model))
    kept = read_measurement(results, "resampler")
    assert kept["test_accuracy"].tolist() == [0.5, 0.6, 0.2, 0.3, 0.4]
    assert (kept["task"] + "/" + kept["model"]).tolist() == ["RAV/a", "RAV/a", "RAV/b", "RAV/b", "EMB/a"]
    assert kept["best_params"].tolist()[1] == {"C": 10.0}


def test_a_copy_keeps_what_16_bits_cannot_hold(tmp_path: Path) -> None:
    write_savee(tmp_path, rate=48_000)
    corpus = find_corpus("SAV", tmp_path)
    resampler.write_copy(corpus, tmp_path / "copy", lambda samples, rate: 30 * samples[::3])
    copy = find_corpus("SAV", tmp_path / "copy")
    assert list(copy.utterances["stem"]) == list(corpus.utterances["stem"])
    waveform, rate = decode(copy.utterances["path"].iloc[-1])
    assert rate == 16_000 and float(waveform.max()) > 1


@pytest.mark.parametrize("name", ["kaiser-best-2021", "kaiser-best-2022", "torchaudio", "soxr-hq"])
def test_a_tone_stays_what_it_is(name: str) -> None:
    pytest.importorskip("resampy"), pytest.importorskip("soxr")
    tone, wanted = (np.sin(2 * np.pi * 440 * np.arange(rate) / rate) for rate in (48_000, 16_000))
    made = resampler.load_resamplers()[name](tone.astype(np.float32), 48_000)
    assert made.dtype == np.float32 and abs(len(made) - 16_000) <= 1
    np.testing.assert_allclose(made[1_000:15_000], wanted[1_000:15_000], atol=0.01)


def make_cell(n_classes: int) -> tuple[np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(0)
    rows = [(f"s{speaker}", f"e{emotion}") for speaker in range(8) for emotion in range(n_classes) for _ in range(6)]
    table = pd.DataFrame(rows, columns=["speaker", "emotion"])
    parts = {f"s{number}": part for number, part in enumerate(["train"] * 4 + ["validation"] * 2 + ["test"] * 2)}
    table = table.assign(group=table["speaker"], part=table["speaker"].map(parts))
    centres = 0.5 * rng.standard_normal((n_classes, 12))
    return centres[table["emotion"].str[1:].astype(int)] + rng.standard_normal((len(table), 12)), table


@pytest.mark.parametrize("n_classes", [2, 7])
def test_each_order_gives_what_a_fresh_fit_gives(n_classes: int) -> None:
    embeddings, table = make_cell(n_classes)
    wanted = [f"e{number}" for number in reversed(range(n_classes))]
    orders = label_order.measure_orders(embeddings, table, wanted, n_orders=6, grid=GRID)
    assert len(orders) == 7 and orders["classes"].iloc[0].split() == wanted
    X = protocol.normalise_speakers(embeddings, table["group"], table["part"])
    own = {part: (table["part"] == part).to_numpy() for part in ("train", "validation", "test")}
    for row in orders.itertuples():
        y = table["emotion"].map(row.classes.split().index).to_numpy()
        arrays = [each[own[part]] for part in ("train", "validation") for each in (X, y)]
        fitted = classifiers.fit_classifier("SVC", *arrays, X[own["test"]], grid=GRID)
        assert row.best_params == fitted.best_params
        assert row.test_accuracy == pytest.approx((fitted.predictions == y[own["test"]]).mean())
        assert row.validation_accuracy == pytest.approx(fitted.validation_accuracy)
    assert n_classes == 2 or (orders["test_accuracy"].nunique() > 1 and (orders["n_tied"] > 0).any())
    votes = np.array([[2, 2, 0], [0, 1, 1], [3, 0, 0]])
    assert label_order.decide(votes, np.array([0, 1, 2])).tolist() == [0, 1, 0]
    assert label_order.decide(votes, np.array([2, 1, 0])).tolist() == [1, 2, 0]


@pytest.fixture(scope="module")
def parts() -> pd.DataFrame:
    return split(list_utterances("RAV"), get_task("RAV"), "described")


def make_voices(parts: pd.DataFrame, own: float) -> np.ndarray:
    """Embeddings of emotions, which voices show in their own ways by so much."""
    rng = np.random.default_rng(0)
    emotion, speaker = (parts[column].astype("category").cat.codes for column in ("emotion", "speaker"))
    shared, single = 0.2 * rng.standard_normal((8, 64)), own * rng.standard_normal((24, 8, 64))
    return shared[emotion] + single[speaker, emotion] + rng.standard_normal((len(parts), 64))


@pytest.mark.parametrize(("own", "least", "most"), [(0.0, -0.03, 0.03), (0.8, 0.05, 1.0)])
def test_seen_speakers_help_where_they_show_emotions_in_their_own_ways(parts, own, least, most) -> None:
    units = speaker_leak.name_sentences(parts, get_task("RAV"))
    leaks = speaker_leak.measure_leak(make_voices(parts, own), parts, units, n_repeats=4)
    assert leaks["n_test"].tolist() == [30] * 5 and least < leaks["leak"].mean() < most


def test_takes_of_a_sentence_are_one_unit_and_a_planted_twin_leaks_only_where_they_are_apart(parts) -> None:
    """All share a unit with one other file of the same speaker, emotion, intensity and statement."""
    units = speaker_leak.name_sentences(parts, get_task("RAV"))
    pairs = parts.groupby(units)
    assert (pairs.size() == 2).all() and (pairs["speaker"].nunique() == 1).all()
    first, second = parts["stem"][units == units[0]]
    assert [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b] == [16]  # of the repetition
    twins = np.random.default_rng(0).standard_normal((units.nunique(), 64))[pd.factorize(units)[0]]
    together, apart = (speaker_leak.measure_leak(twins, parts, each, n_repeats=2) for each in (units, parts["stem"]))
    assert abs(together["leak"].mean()) < 0.05 < apart["leak"].mean()
