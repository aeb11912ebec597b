"""Where the work of a grid is done. `Here` is this machine; `serab_lib.benchmark.cluster` has many.

An order asks for the embeddings of one task by one extractor; what they are then fitted with is a fit: one
split of the task, which several cells may share. A workplace takes orders and gives back fitted classifiers.
"""

from __future__ import annotations

import datetime
import itertools
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from serab_lib.benchmark.provenance import describe_machine
from serab_lib.core import SerabError
from serab_lib.corpora.corpus import Corpus
from serab_lib.corpora.manifests import read_content
from serab_lib.corpora.sample_rates import count_sample_rates
from serab_lib.extractors.registry import Entry, load_extractor

if TYPE_CHECKING:
    from serab_lib.benchmark.embeddings import Progress
    from serab_lib.evaluation.classifiers import ClassifierResult
    from serab_lib.evaluation.protocol import Problem

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """The embeddings of one task by one extractor, to be made.

    Attributes
    ----------
    corpus : Corpus
    hashes : tuple of str
        Content of each utterance's file.
    entry : Entry
    weights : str, Path or None
        Folder of checkpoints.
    device : str
    cache : Path
    search : bool
        Whether the fits search hyperparameters.
    """

    corpus: Corpus
    hashes: tuple[str, ...]
    entry: Entry
    weights: str | Path | None
    device: str
    cache: Path
    search: bool = True

    def __str__(self) -> str:
        return f"{self.corpus.task.code}, {self.entry.name}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Extraction:
    """What an order gives.

    Attributes
    ----------
    matrix : np.ndarray [shape=(n_utterances, embedding_size)]
        NaN in the rows of files that could not be used.
    unusable : dict of int to str
        Row of such a file to the reason.
    not_kept : str or None
        Why the cache could not be written, if it could not.
    origin : dict
        For the provenance.
    """

    matrix: np.ndarray
    unusable: dict[int, str]
    not_kept: str | None
    origin: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Fit:
    """The five classifiers on one split of a task, to be fitted.

    Attributes
    ----------
    order : Order
        Whose embeddings they are fitted to.
    rows : np.ndarray [shape=(n,)]
        The utterances of the split, as rows of the embeddings.
    parts : pandas.DataFrame
        The split of these utterances, in the same order.
    cells : tuple
        What the fit is for; a workplace does not look into it.
    """

    order: Order
    rows: np.ndarray
    parts: pd.DataFrame
    cells: tuple[Any, ...]

    def __str__(self) -> str:
        return str(self.order)

    def pose(self, matrix: np.ndarray) -> Problem:
        """Say what is fitted, given the embeddings of all utterances."""
        from serab_lib.evaluation.protocol import Problem

        return Problem(matrix[self.rows], self.parts, self.order.corpus.task.classes)


Divide = Callable[[Order, Extraction], Iterable[Fit]]


class Workplace(ABC):
    """Where orders are carried out."""

    @abstractmethod
    def work(
        self, orders: Iterable[Order], divide: Divide, progress: Progress
    ) -> Iterator[tuple[Order | Fit, list[ClassifierResult] | SerabError]]:
        """Carry out orders and the fits that follow from them.

        Parameters
        ----------
        orders : iterable of Order
            Those of one task stand together.
        divide : callable
            Told an order and what it gave (a workplace may leave out the matrix); returns the fits to be done.
        progress : callable
            Told what is being done, how much of it is done, and how much there is.

        Yields
        ------
        what : Order or Fit
        outcome : list of ClassifierResult, or SerabError
            As soon as it is there. An order yields nothing but its failure.
        """


class Here(Workplace):
    """The machine that runs the program: tasks one after the other, threads and processes for what is inside a task.

    Parameters
    ----------
    n_jobs : int
        Workers for extraction and classifiers.
    """

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def work(
        self, orders: Iterable[Order], divide: Divide, progress: Progress
    ) -> Iterator[tuple[Order | Fit, list[ClassifierResult] | SerabError]]:
        """Extract all of a task, then fit all of it in parallel; see `Workplace.work`."""
        for _, together in itertools.groupby(orders, key=lambda order: order.corpus.task.code):
            fits: list[Fit] = []
            problems: list[Problem] = []
            for order in together:
                try:
                    made = extract_order(order, n_jobs=self.n_jobs, progress=progress)
                except SerabError as error:
                    yield order, error
                    continue
                for fit in divide(order, made):
                    fits.append(fit)
                    problems.append(fit.pose(made.matrix))
            yield from self._fit(fits, problems, progress)

    def _fit(
        self, fits: Sequence[Fit], problems: Sequence[Problem], progress: Progress
    ) -> Iterator[tuple[Fit, list[ClassifierResult] | SerabError]]:
        """Fit all together; if that fails, each that is left alone, so that one cannot fail the others."""
        if not fits:
            return
        from serab_lib.evaluation.protocol import evaluate_many

        order, left, n_done = fits[0].order, dict(enumerate(fits)), 0

        def count(position: int, classifier: str) -> None:
            nonlocal n_done
            n_done += 1
            progress(f"{order.corpus.task.code}: classifiers", min(n_done, 5 * len(fits)), 5 * len(fits))

        options = {"search": order.search, "n_jobs": self.n_jobs, "on_fit": count}
        try:
            for position, results in evaluate_many(problems, **options):
                yield left.pop(position), results
        except SerabError as error:
            logger.debug("the rest is fitted one by one: %s", error)
        for position, fit in left.items():
            try:
                ((_, results),) = evaluate_many([problems[position]], **options)
            except SerabError as error:
                yield fit, error
            else:
                yield fit, results


def extract_order(order: Order, *, n_jobs: int, progress: Progress) -> Extraction:
    """Carry out an order in this process.

    Raises
    ------
    SerabError
        If the extractor cannot be loaded, or its numbers cannot be used.
    """
    from serab_lib.benchmark.embeddings import extract
    from serab_lib.benchmark.extraction import set_statistics

    def tell(what: str, n_done: int, n_total: int) -> None:
        progress(f"{order.corpus.task.code}: {what}", n_done, n_total)

    utterances = order.corpus.utterances
    extractor = load_extractor(order.entry, weights=order.weights, device=order.device)
    origin = set_statistics(extractor, order.corpus, n_jobs=n_jobs, progress=tell)
    started = datetime.datetime.now(datetime.UTC)
    paths, hashes = list(utterances["path"]), list(order.hashes)
    made = extract(paths, hashes, extractor, cache=order.cache, n_jobs=n_jobs, progress=tell)
    seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
    origin |= {
        "extractor": extractor.fingerprint,
        "extraction_seconds": round(seconds, 3),
        "embeddings_from_cache": made.n_cached,
        "unusable_files": sorted(utterances["stem"].iloc[list(made.unusable)]),
        **describe_machine(order.device),
    }
    if read_content(order.corpus.task.name) is None:  # elsewhere it is known what each recording is
        origin["sample_rates_hz"] = count_sample_rates(paths)
    return Extraction(matrix=made.matrix, unusable=made.unusable, not_kept=made.not_kept, origin=origin)
