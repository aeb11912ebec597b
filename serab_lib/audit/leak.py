"""What a shared voice is worth: the size of a speaker leak, on made-up voices and on any embeddings at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from serab_lib.audit.selection import measure_selection
from serab_lib.benchmark.results import CELL_KEY
from serab_lib.core import SerabError
from serab_lib.corpora.splits import PROTOCOLS, split
from serab_lib.corpora.task import Task
from serab_lib.evaluation.classifiers import fit_classifier
from serab_lib.evaluation.metrics import accuracy, unweighted_average_recall
from serab_lib.evaluation.protocol import normalise_speakers


@dataclass(frozen=True, kw_only=True)
class Voices:
    """How embeddings of made-up speakers are drawn: a sum of normal parts.

    Attributes
    ----------
    n_dimensions : int
    emotion : float
        Standard deviation, in each dimension, of what an emotion does to every voice alike.
    speaker : float
        Of a speaker's own voice, which speaker normalisation takes out if its groups are speakers.
    interaction : float
        Of how each speaker expresses each emotion: known only to who has heard that speaker. This is what leaks.
    noise : float
        Of the single utterance.
    """

    n_dimensions: int = 64
    emotion: float = 0.2
    speaker: float = 1.0
    interaction: float = 0.4
    noise: float = 1.0

    def embed(self, utterances: pd.DataFrame, *, rng: np.random.Generator | int = 0) -> np.ndarray:
        """Draw an embedding for every utterance.

        Parameters
        ----------
        utterances : pandas.DataFrame
            With `speaker` and `emotion`.
        rng : numpy.random.Generator or int
            A generator, or a seed.

        Returns
        -------
        np.ndarray [shape=(n, n_dimensions)]
        """
        rng = np.random.default_rng(rng)
        speakers, speaker = np.unique(utterances["speaker"].to_numpy(dtype=str), return_inverse=True)
        emotions, emotion = np.unique(utterances["emotion"].to_numpy(dtype=str), return_inverse=True)
        d = self.n_dimensions
        return (
            self.emotion * rng.standard_normal((len(emotions), d))[emotion]
            + self.speaker * rng.standard_normal((len(speakers), d))[speaker]
            + self.interaction * rng.standard_normal((len(speakers), len(emotions), d))[speaker, emotion]
            + self.noise * rng.standard_normal((len(utterances), d))
        )


def compare_protocols(
    embeddings: np.ndarray,
    utterances: pd.DataFrame,
    task: Task,
    *,
    classifiers: Sequence[str] = ("LDA",),
    search: bool = True,
) -> pd.DataFrame:
    """Evaluate embeddings under the split and the normalisation of each protocol, in all four combinations.

    Parameters
    ----------
    embeddings : np.ndarray [shape=(n, d)]
        One row per utterance.
    utterances : pandas.DataFrame
        `stem`, `speaker`, `emotion`, `released_group`, in the same order: of a corpus on disk
        (`serab_lib.corpora.corpus.load_task`) or of a list (`serab_lib.corpora.manifests.list_utterances`).
    task : Task
        Its record.
    classifiers : sequence of str
        From `serab_lib.evaluation.classifiers.CLASSIFIERS`.
    search : bool
        Whether hyperparameters are searched.

    Returns
    -------
    pandas.DataFrame
        One row per split, normalisation and classifier: `split` and `normalisation` (the protocol whose groups they
        go by), `classifier`, `n_test`, `shared` (share of test utterances whose speaker is in train),
        `validation_accuracy`, `accuracy`, `uar`; fractions of 1.
    """
    if len(embeddings) != len(utterances):
        raise SerabError(f"{len(embeddings)} embeddings for {len(utterances)} utterances: pass one row per utterance")
    rows = []
    for by, normalised_by in product(PROTOCOLS, PROTOCOLS):
        parts = split(utterances.assign(row=np.arange(len(utterances))), task, by)
        groups = parts["released_group" if normalised_by == "released" else "speaker"]
        features = normalise_speakers(embeddings[parts["row"]], groups, parts["part"])
        X = {part: features[(parts["part"] == part).to_numpy()] for part in ("train", "validation", "test")}
        y = {part: parts.loc[parts["part"] == part, "emotion"].to_numpy(dtype=str) for part in X}
        trained = set(parts.loc[parts["part"] == "train", "speaker"])
        shared = parts.loc[parts["part"] == "test", "speaker"].isin(trained).mean()
        for name in classifiers:
            fitted = fit_classifier(
                name, X["train"], y["train"], X["validation"], y["validation"], X["test"], search=search
            )
            rows.append(
                {
                    "split": by,
                    "normalisation": normalised_by,
                    "classifier": name,
                    "n_test": len(y["test"]),
                    "shared": float(shared),
                    "validation_accuracy": fitted.validation_accuracy,
                    "accuracy": accuracy(y["test"], fitted.predictions),
                    "uar": unweighted_average_recall(y["test"], fitted.predictions),
                }
            )
    return pd.DataFrame(rows)


def simulate_leak(
    utterances: pd.DataFrame,
    task: Task,
    *,
    voices: Voices = Voices(),
    n_draws: int = 5,
    seed: int = 0,
    classifiers: Sequence[str] = ("LDA",),
) -> pd.DataFrame:
    """Put made-up voices with a task's own names through both protocols.

    Parameters
    ----------
    utterances : pandas.DataFrame
        As for `compare_protocols`: who says what with which emotion, and the release's group.
    task : Task
    voices : Voices
        What the embeddings are made of.
    n_draws : int
        Sets of voices.
    seed : int
        Of the first set.
    classifiers : sequence of str

    Returns
    -------
    pandas.DataFrame
        As from `compare_protocols`, with the column `draw`.
    """
    tables = []
    for draw in range(n_draws):
        embeddings = voices.embed(utterances, rng=seed + draw)
        table = compare_protocols(embeddings, utterances, task, classifiers=classifiers)
        tables.append(table.assign(draw=draw))
    return pd.concat(tables, ignore_index=True)


def measure_leak(
    embeddings: np.ndarray,
    utterances: pd.DataFrame,
    task: Task,
    *,
    classifier: str = "LDA",
    n_repeats: int = 10,
    rng: np.random.Generator | int = 0,
) -> pd.DataFrame:
    """Measure what it is worth to have heard the test speakers, on the same test utterances.

    Parameters
    ----------
    embeddings : np.ndarray [shape=(n, d)]
    utterances : pandas.DataFrame
        As for `compare_protocols`.
    task : Task
    classifier : str
        Fitted with its defaults.
    n_repeats : int
        Random halvings of the test part.
    rng : numpy.random.Generator or int

    Returns
    -------
    pandas.DataFrame
        One row per repeat: `n_test`, `without` and `with_leak` (accuracies), `leak` (their difference); fractions.

    Notes
    -----
    The described test part is halved, speaker by speaker and class by class. One half is tested. The classifier
    is fitted twice on equally many utterances: once on train and validation; once with as many of these, drawn at
    random, replaced by the other half. Every speaker is normalised by all of their own utterances both times, so the
    difference is the speakers' being known to the classifier, and nothing else.
    """
    rng = np.random.default_rng(rng)
    parts = split(utterances.assign(row=np.arange(len(utterances))), task, "described")
    features = normalise_speakers(embeddings[parts["row"]], parts["speaker"], np.full(len(parts), "all"))
    y = parts["emotion"].to_numpy(dtype=str)
    test = (parts["part"] == "test").to_numpy()
    others = np.flatnonzero(~test)
    rows = []
    for _ in range(n_repeats):
        shuffled = parts[test].sample(frac=1, random_state=rng)
        second = shuffled.groupby(["speaker", "emotion"]).cumcount() % 2 == 1
        tested, heard = shuffled.index[~second].to_numpy(), shuffled.index[second].to_numpy()
        kept = rng.permutation(others)[: max(0, len(others) - len(heard))]
        scores = {}
        for name, rows_fit in (("without", others), ("with_leak", np.concatenate([kept, heard]))):
            n = len(rows_fit) - len(others) // 5
            X, labels = features[rows_fit], y[rows_fit]
            # Without a search the two parts are only joined.
            fitted = fit_classifier(classifier, X[:n], labels[:n], X[n:], labels[n:], features[tested], search=False)
            scores[name] = accuracy(y[tested], fitted.predictions)
        rows.append({"n_test": len(tested), **scores, "leak": scores["with_leak"] - scores["without"]})
    return pd.DataFrame(rows)


def decompose_protocols(cells: pd.DataFrame) -> pd.DataFrame:
    """Take the difference of the protocols apart: what the split does, and what the selection does.

    Parameters
    ----------
    cells : pandas.DataFrame
        As `serab_lib.benchmark.results.Results.read_cells` gives them, with both protocols.

    Returns
    -------
    pandas.DataFrame
        One row per task and model with both: `described` (its split, chosen on validation), `released_split` (the
        released split, chosen on validation), `released` (chosen on test), `effect_of_split` and
        `effect_of_selection` (their steps, points), all in percent; `synthetic`.
    """
    table = measure_selection(cells).set_index(CELL_KEY)
    rows = []
    for task, model in dict.fromkeys((task, model) for task, model, _ in table.index):
        if not all((task, model, protocol) in table.index for protocol in PROTOCOLS):
            continue
        released, described = (table.loc[(task, model, protocol)] for protocol in PROTOCOLS)
        row = {
            "described": 100 * described["chosen_accuracy"],
            "released_split": 100 * released["chosen_accuracy"],
            "released": 100 * released["best_accuracy"],
        }
        row["effect_of_split"] = row["released_split"] - row["described"]
        row["effect_of_selection"] = row["released"] - row["released_split"]
        rows.append({"task": task, "model": model, **row, "synthetic": bool(released["synthetic"])})
    columns = ["task", "model", "described", "released_split", "released", "effect_of_split", "effect_of_selection"]
    return pd.DataFrame(rows, columns=[*columns, "synthetic"])
