"""A site to download from, patience measured in milliseconds, and no way out to the network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serving import Site, serve

from serab_lib.download.transfer import Policy


@pytest.fixture
def site() -> Iterator[Site]:
    with serve() as running:
        yield running


@pytest.fixture
def policy() -> Policy:
    return Policy(wait_s=0.001, longest_wait_s=0.05, connect_timeout_s=1, read_timeout_s=0.2)


@pytest.fixture(autouse=True)
def _local_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn every address but those of this machine into one that cannot be reached."""
    import socket

    real = socket.getaddrinfo

    def resolve(host: object, *args: object, **kwargs: object) -> object:
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
