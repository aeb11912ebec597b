"""One file from the network: resumed where it was cut off, tried again, and moved into place only when whole.

`ResumingDownloader` is a downloader for pooch, which compares what it brings with the published checksum.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from serab_lib.core import SerabError

logger = logging.getLogger(__name__)

# Told how many bytes there are, and how many there will be if that is known.
Tell = Callable[[int, int | None], object]

# Small: what the line breaks in the middle of is lost.
_CHUNK = 1 << 14
_PROGRESS_MADE = 1 << 20
_SESSIONS = threading.local()


class TransferError(SerabError):
    """An address did not deliver; the message is the reason alone. What came in is kept for a resumption."""


class Cancelled(SerabError):
    """Another download failed, or the user interrupted."""


class _Transient(Exception):
    """Worth another try, after `wait_s` at least."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How patient a download is.

    Attributes
    ----------
    n_tries : int
        For one address, without progress in between.
    wait_s : float
        Before the second try; doubled before each further one.
    longest_wait_s : float
        Also where a server asks for more.
    connect_timeout_s, read_timeout_s : float
    largest : int
        Bytes that a file of unknown size may have.
    """

    n_tries: int = 5
    wait_s: float = 1.0
    longest_wait_s: float = 60.0
    connect_timeout_s: float = 15.0
    read_timeout_s: float = 60.0
    largest: int = 20 << 30


class ResumingDownloader:
    """Download to a `.part` file beside which a note says what it is a part of.

    Parameters
    ----------
    part : Path
        Kept when the download fails or is interrupted, and gone on with next time.
    size : int, optional
        Bytes that the file is known to have; an address that offers another number is turned down.
    is_checked : bool
        Whether the content will be compared with a checksum: only then is a part completed of which the server
        does not say that it is unchanged.
    policy : Policy
    tell : callable, optional
    stop : threading.Event, optional
        Ends the download when set.
    """

    def __init__(
        self,
        part: Path,
        *,
        size: int | None = None,
        is_checked: bool = False,
        policy: Policy | None = None,
        tell: Tell | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.part, self.size, self.is_checked = part, size, is_checked
        self.policy = policy or Policy()
        self.tell = tell or (lambda n_done, n_total: None)
        self.stop = stop or threading.Event()
        self._note = part.with_name(f"{part.name}.json")

    def __call__(self, url: str, output_file: str, pooch: Any = None, check_only: bool = False) -> None:
        """Download an address to a file, as pooch asks for it.

        Raises
        ------
        TransferError
            If the address does not deliver.
        """
        n_failed, most = 0, self._n_have()
        while True:
            try:
                self._request(url)
                break
            except _Transient as problem:
                # A slow line that breaks now and then still comes to its end.
                n_failed = 1 if self._n_have() >= most + _PROGRESS_MADE else n_failed + 1
                most = max(most, self._n_have())
                if n_failed >= self.policy.n_tries:
                    raise TransferError(f"{problem}, {n_failed} times") from problem
                wait_s = max(self.policy.wait_s * 2 ** (n_failed - 1), problem.wait_s)
                logger.info("%s: %s; trying again", url, problem)
                if self.stop.wait(min(wait_s, self.policy.longest_wait_s)):
                    raise Cancelled("cancelled") from problem
        os.replace(self.part, output_file)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forget what came in so far."""
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _n_have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _validator(self, url: str) -> str | None:
        """What the server said of the version that the part belongs to; None where it is another address's."""
        try:
            note = json.loads(self._note.read_text())
            return str(note["validator"]) if note["url"] == url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _request(self, url: str) -> None:
        """Ask for the file, or for the rest of it, once."""
        offset, validator = self._n_have(), self._validator(url)
        is_known = validator is not None and (validator or self.is_checked)
        if offset and (not is_known or offset > (self.size or offset)):
            self.discard()
            offset = 0
        if offset and offset == self.size:
            return
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if validator:
                headers["If-Range"] = validator
        with _problems_named(offset > 0), _get(url, headers, self.policy) as response:
            start, total = self._read_head(response, url, offset, validator)
            self.tell(start, total)
            self._receive(response, start, total)

    def _read_head(
        self, response: requests.Response, url: str, offset: int, validator: str | None
    ) -> tuple[int, int | None]:
        """Judge an answer by its head: where its bytes belong, and how many there will be in all."""
        _refuse_failure(response, url, is_resumed=offset > 0)
        if response.status_code == 416:
            # There is nothing after what is there: the part is of another version, or whole with no note of it.
            self.discard()
            raise _Transient("the file has changed")
        start, total = 0, _to_int(response.headers.get("Content-Length"))
        if response.headers.get("Content-Encoding", "identity") != "identity":
            total = None
        current = _find_validator(response)
        if response.status_code == 206:
            match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
            is_other = bool(current and validator and current != validator)
            if match is None or int(match[1]) != offset or is_other:
                self.discard()
                raise _Transient("the file has changed" if is_other else "the server sent another range than asked for")
            start, total = offset, _to_int(match[2])
        if self.size is not None and total is not None and total != self.size:
            raise TransferError(f"it has {total:,} bytes, expected {self.size:,}")
        if (total or 0) > self.policy.largest:
            raise TransferError(f"it has {total:,} bytes, more than the {self.policy.largest:,} allowed")
        if start == 0:
            self.part.parent.mkdir(parents=True, exist_ok=True)
            self.part.unlink(missing_ok=True)
            self._note.write_text(json.dumps({"url": url, "validator": current or ""}))
        return start, total if total is not None else self.size

    def _receive(self, response: requests.Response, start: int, total: int | None) -> None:
        limit = total if total is not None else self.policy.largest
        n_have = start
        try:
            with self.part.open("ab" if start else "wb") as stream:
                for chunk in response.iter_content(_CHUNK):
                    if self.stop.is_set():
                        raise Cancelled("cancelled")
                    n_have += len(chunk)
                    if n_have > limit:
                        raise TransferError(f"it is longer than the {limit:,} bytes it should have")
                    stream.write(chunk)
                    self.tell(n_have, total)
        except TransferError:
            self.discard()
            raise
        if total is not None and n_have < total:
            raise _Transient(f"cut off after {n_have:,} of {total:,} bytes")


def read_json(url: str, policy: Policy) -> Any:
    """Read a small JSON document; None where that does not work.

    It is asked for once: it is of use, but nothing depends on it.
    """
    try:
        with _get(url, {}, policy) as response:
            response.raise_for_status()
            content = response.raw.read(1 << 22, decode_content=True)
        return json.loads(content)
    except (requests.RequestException, OSError, ValueError):
        return None


def _get(url: str, headers: dict[str, str], policy: Policy) -> requests.Response:
    # One session a thread: they are not made to be shared.
    if not hasattr(_SESSIONS, "session"):
        _SESSIONS.session = requests.Session()
        _SESSIONS.session.max_redirects = 10
        _SESSIONS.session.headers["User-Agent"] = "serab-companion (research software)"
    timeout = (policy.connect_timeout_s, policy.read_timeout_s)
    return _SESSIONS.session.get(url, headers=headers, stream=True, timeout=timeout)


def _refuse_failure(response: requests.Response, url: str, *, is_resumed: bool) -> None:
    """Refuse an answer that is not the file, for good or for now."""
    status = response.status_code
    if url.startswith("https:") and not response.url.startswith("https:"):
        raise TransferError("it is redirected to an unencrypted address")
    if status >= 500 or status in (408, 429):
        raise _Transient(f"HTTP {status}", float(_to_int(response.headers.get("Retry-After")) or 0))
    if status not in (200, 206) and not (status == 416 and is_resumed):
        raise TransferError(f"HTTP {status}")
    if status == 206 and not is_resumed:
        raise TransferError("the server sent a part of it only")
    # What file hosts show in place of a file: a form, a warning, a quota.
    if status == 200 and response.headers.get("Content-Type", "").startswith("text/html"):
        raise TransferError("a web page in place of the file")


def _find_validator(response: requests.Response) -> str | None:
    """Find what tells this version of the file from another; a weak ETag does not."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _to_int(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


@contextlib.contextmanager
def _problems_named(has_begun: bool) -> Iterator[None]:
    """Turn what goes wrong on the line into a reason, for good or for now."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise TransferError("its certificate is not valid") from error
    except (requests.exceptions.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        kind = "no answer in time" if isinstance(error, requests.exceptions.Timeout) else "the connection broke"
        raise _Transient(kind) from error
    except requests.exceptions.ConnectionError as error:
        text = repr(error)
        if not has_begun and ("NameResolutionError" in text or isinstance(error, requests.exceptions.ProxyError)):
            raise TransferError("the host cannot be found or reached") from error
        raise _Transient("no answer in time" if "timed out" in text else "no connection") from error
    except requests.exceptions.RequestException as error:
        raise TransferError(" ".join(str(error).split())[:200]) from error
    except SerabError:
        raise
    except OSError as error:
        raise SerabError(
            f"the download cannot be written ({error.strerror or error}): free some space; what came in is kept"
        ) from error
