"""Connecting to a dask.distributed cluster, or starting one: what `--dask ADDRESS` names."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from serab_lib.benchmark.cluster import WAIT_S, Cluster
from serab_lib.benchmark.slurm import read_profile, start_slurm
from serab_lib.core import SerabError

# Seconds for a scheduler to answer.
_ANSWER_S = 5.0


@contextlib.contextmanager
def open_cluster(address: str, *, folders: Mapping[str, Path]) -> Iterator[Cluster]:
    """Connect to a cluster, or start one, and leave it or end it afterwards.

    Parameters
    ----------
    address : str
        ``tcp://host:port`` (or ``tls://``) of a running scheduler, which must be one that you trust: what it
        sends is run. ``local:N`` starts N worker processes here. ``slurm`` and ``slurm:PROFILE.toml`` start
        workers as jobs of Slurm (see `serab_lib.benchmark.slurm`).
    folders : mapping from str to Path
        Option to folder; those that are there must be seen by every worker.

    Yields
    ------
    Cluster

    Raises
    ------
    SerabError
        If there is no such cluster, or a worker is not fit for the work.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise SerabError("dask.distributed is not installed: pip install 'serab-companion[dask]'") from error
    # Lost connections are what `Cluster` reports itself, in one line.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        place, wait_s = _start(address, stack)
        try:
            client = stack.enter_context(Client(place, timeout=_ANSWER_S, set_as_default=False))
        except (OSError, ValueError) as error:
            raise SerabError(
                f"no Dask scheduler answers at {address}: start one with `dask scheduler`, and workers with "
                "`dask worker ADDRESS`"
            ) from error
        yield Cluster(client, folders=folders, wait_s=wait_s)


def _start(address: str, stack: contextlib.ExitStack) -> tuple[Any, float]:
    """What to connect to, started if need be, and how long to wait for workers."""
    kind, _, rest = address.partition(":")
    if kind == "slurm":
        profile = read_profile(rest or None)
        return stack.enter_context(start_slurm(profile)), profile.wait_s
    if kind == "local" and rest.isdecimal() and int(rest) > 0:
        from distributed import LocalCluster

        # Without a limit of memory, as with --jobs; each worker has one thread, as the workers there.
        options = {"dashboard_address": None, "memory_limit": 0, "silence_logs": logging.CRITICAL}
        return stack.enter_context(LocalCluster(n_workers=int(rest), threads_per_worker=1, **options)), WAIT_S
    if not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d+", address):
        raise SerabError(f"--dask {address}: expected tcp://HOST:PORT, local:N, slurm or slurm:PROFILE.toml")
    return address, WAIT_S
