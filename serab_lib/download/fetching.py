"""`fetch`: a corpus or a checkpoint, by its name."""

from __future__ import annotations

from serab_lib.download.checkpoint import fetch_checkpoint
from serab_lib.download.common import Fetched, Options
from serab_lib.download.corpus import fetch_corpus
from serab_lib.download.sources import CHECKPOINT, Source, get_source


def fetch(source: str | Source, options: Options | None = None) -> Fetched:
    """Fetch a corpus or a checkpoint, unless it is there.

    Parameters
    ----------
    source : str or Source
    options : Options, optional

    Returns
    -------
    Fetched

    Raises
    ------
    SerabError
        If it cannot be had, or is not what was published. Nothing is put in its place then; what came in is kept
        and gone on with by the next attempt.
    """
    source = get_source(source) if isinstance(source, str) else source
    options = options or Options()
    if source.kind == CHECKPOINT:
        return fetch_checkpoint(source, options)
    return fetch_corpus(source, options)
