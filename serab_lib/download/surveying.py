"""What is there, what can be fetched, and what cannot: for every corpus and checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from serab_lib.core import SerabError
from serab_lib.corpora.corpus import find_corpus, find_data
from serab_lib.download.fetching import list_checkpoints
from serab_lib.download.sources import CORPORA, OPEN, RESTRICTED, Source
from serab_lib.extractors.registry import EXTRACTORS
from serab_lib.extractors.weights import CheckpointError, find_checkpoint, require_checkpoint

THERE, FETCHABLE, CONSENT, ASK, BY_HAND, UNCLEAR = (
    "there",
    "can be fetched",
    "licence to accept",
    "to be asked for",
    "by hand",
    "not usable",
)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What stands with one corpus or checkpoint.

    Attributes
    ----------
    source : Source
    state : str
        One of `THERE`, `FETCHABLE`, `CONSENT`, `ASK`, `BY_HAND`, and `UNCLEAR` for what lies in its place.
    note : str
        What is to be said about it, in a line.
    """

    source: Source
    state: str
    note: str = ""


def survey(
    data: str | Path | None = None, weights: str | Path | None = None, *, verify: bool = False
) -> tuple[Offer, ...]:
    """Look at what is there and say of the rest how it can be had.

    Parameters
    ----------
    data, weights : str or Path, optional
        Folders; None for the defaults.
    verify : bool
        Whether checkpoints are compared with their hashes, which reads them.

    Returns
    -------
    tuple of Offer
        The corpora in the paper's order of names, then the checkpoints. Nothing is downloaded.
    """
    corpora = [_look_at_corpus(source, data) for source in CORPORA.values()]
    return (*corpora, *(_look_at_checkpoint(source, weights, verify=verify) for source in list_checkpoints()))


def _look_at_corpus(source: Source, data: str | Path | None) -> Offer:
    states = {OPEN: FETCHABLE, RESTRICTED: ASK}
    absent = states.get(source.access, BY_HAND)
    target = find_data(data) / source.name
    if not target.exists():
        return Offer(source=source, state=absent, note="" if absent == FETCHABLE else source.advice)
    try:
        corpus = find_corpus(source.name, data)
    except SerabError as error:
        return Offer(source=source, state=UNCLEAR, note=str(error))
    n_there = len(corpus.utterances)
    if corpus.synthetic:
        return Offer(source=source, state=UNCLEAR, note=f"synthetic, {n_there:,} utterances")
    if not corpus.complete:
        return Offer(source=source, state=UNCLEAR, note=f"incomplete: {n_there:,} of {corpus.n_expected:,} utterances")
    return Offer(source=source, state=THERE, note=f"{n_there:,} utterances")


def _look_at_checkpoint(source: Source, weights: str | Path | None, *, verify: bool) -> Offer:
    path = find_checkpoint(EXTRACTORS[source.name], weights)
    if path is None:
        if source.needs_consent:
            return Offer(source=source, state=CONSENT, note=source.licence_url)
        return Offer(source=source, state=FETCHABLE if source.files[0].urls else BY_HAND)
    try:
        if verify:
            require_checkpoint(EXTRACTORS[source.name], weights)
    except CheckpointError as error:
        return Offer(source=source, state=UNCLEAR, note=str(error))
    return Offer(source=source, state=THERE, note=path.name)
