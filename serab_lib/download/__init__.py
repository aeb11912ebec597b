"""Corpora and checkpoints from their own sources: resumed, verified, safely unpacked."""

from __future__ import annotations

from serab_lib.download.common import Fetched, Options, describe_source, write_advice
from serab_lib.download.fetching import fetch, get_source, list_checkpoints, resolve_names
from serab_lib.download.places import write_size
from serab_lib.download.sources import RemoteFile, Source
from serab_lib.download.surveying import Offer, survey
from serab_lib.download.transfer import Policy

__all__ = [
    "Fetched",
    "Offer",
    "Options",
    "Policy",
    "RemoteFile",
    "Source",
    "describe_source",
    "fetch",
    "get_source",
    "list_checkpoints",
    "resolve_names",
    "survey",
    "write_advice",
    "write_size",
]
