"""Files from the first of their addresses that delivers what was published; where a line breaks, pooch tries again."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import urlsplit

import requests

from serab_lib.core import SerabError
from serab_lib.corpora.task import RemoteFile
from serab_lib.extractors.weights import hash_git_blob

MB = 1_000_000

# Told how many MB, or files, are there, and how many there will be.
Tell = Callable[[int, int], object]

N_RETRIES = 4
TIMEOUT_S = (15.0, 60.0)  # to connect, and between two reads


class TransferError(SerabError):
    """No address delivered; the message is the reason alone. What came in is gone on with by the next attempt."""


class ResumingDownloader:
    """A downloader for pooch that goes on where the last one stopped: in a `.part` beside the file's place."""

    def __init__(self, part: Path, size: int | None, tell: Tell) -> None:
        self.part, self.size, self.tell = part, size, tell

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        """Download an address to a file; what is worth another try is raised as `requests` does."""
        n_have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Range": f"bytes={n_have}-"} if n_have else {}
        try:
            response = _session().get(url, headers=headers, stream=True, timeout=TIMEOUT_S)
        except requests.ConnectionError as error:
            if "NameResolution" in repr(error):  # not worth another try
                raise TransferError("the host cannot be found") from error
            raise
        with response:
            n_have = self._judge(response, n_have)
            n_total = n_have + int(response.headers.get("Content-Length", 0))
            if self.size and n_total not in (n_have, self.size):
                raise TransferError(f"it has {n_total:,} bytes, expected {self.size:,}")
            with self.part.open("ab" if n_have else "wb") as stream:
                # Small chunks: what the line breaks in the middle of is lost.
                for chunk in response.iter_content(1 << 14):
                    n_have += stream.write(chunk)
                    self.tell(n_have // MB, max(n_have, n_total) // MB)
        os.replace(self.part, output_file)

    def _judge(self, response: requests.Response, n_have: int) -> int:
        """Judge an answer by its head: how much of what is there it goes on from."""
        status = response.status_code
        begins_here = response.headers.get("Content-Range", "").startswith(f"bytes {n_have}-")
        if status == 416 or (status == 206 and not begins_here):
            self.part.unlink()
            raise requests.HTTPError("the file has changed, or another part was sent")
        if 400 <= status < 500 and status not in (408, 429):
            raise TransferError(f"HTTP {status}")
        response.raise_for_status()
        # What file hosts show in place of a file: a form, a warning, a quota.
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise TransferError("a web page in place of the file")
        return n_have if status == 206 else 0


def look_up(file: RemoteFile) -> RemoteFile:
    """Add the checksum that the file's DOI repository states, where none is known and it can be reached."""
    import pooch

    if file.checksum or not file.doi:
        return file
    try:
        listed = pooch.Pooch(path="", base_url=f"doi:{file.doi}/")
        listed.load_registry_from_doi()
    except (requests.RequestException, ValueError, KeyError):
        return file
    return dataclasses.replace(file, checksum=listed.registry.get(file.name))


def is_published(path: Path, file: RemoteFile) -> bool:
    """Whether a file's content is the one of a published checksum; False where none is known."""
    import pooch

    kind, _, digest = (file.checksum or "").partition(":")
    if not digest:
        return False
    return digest == (hash_git_blob(path) if kind == "git-blob" else pooch.file_hash(str(path), alg=kind))


def retrieve(file: RemoteFile, folder: Path, tell: Tell = lambda n_done, n_total: None) -> Path:
    """Get one file into a folder, unless it is there: the published one, if a checksum is known.

    Raises
    ------
    TransferError
        Naming each host and why it did not deliver.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    target, kind = folder / file.name, (file.checksum or "").partition(":")[0]
    known_hash = None if kind == "git-blob" else file.checksum
    downloader = ResumingDownloader(target.with_name(f"{target.name}.part"), file.size, tell)
    reasons = []
    for url in file.urls:
        registry, urls = {file.name: known_hash}, {file.name: url}
        source = pooch.Pooch(folder, base_url="", registry=registry, urls=urls, retry_if_failed=N_RETRIES)
        try:
            source.fetch(file.name, downloader=downloader)
            if kind != "git-blob" or is_published(target, file):
                return target
            target.unlink()
            reason = "not the published file (git-blob differs)"
        except ValueError:
            reason = f"not the published file ({kind} differs)"
        except (TransferError, requests.RequestException) as error:
            reason = _describe(error)
        reasons.append(f"{urlsplit(url).netloc}: {reason}")
    raise TransferError("; ".join(reasons))


def retrieve_all(files: Sequence[RemoteFile], folder: Path, *, n_workers: int, tell: Tell) -> None:
    """Get many small files at once; the first that fails ends it, and what is there is kept."""
    with ThreadPoolExecutor(n_workers) as pool:
        try:
            waiting = [pool.submit(retrieve, file, folder) for file in files]
            for n_done, future in enumerate(as_completed(waiting), start=1):
                future.result()
                tell(n_done, len(files))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@functools.cache
def _session() -> requests.Session:
    """Make the one session that all threads share: files from one host come over few connections."""
    session = requests.Session()
    session.headers.update({"User-Agent": "serab-companion (research software)", "Accept-Encoding": "identity"})
    for scheme in ("https://", "http://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=32))
    return session


def _describe(error: Exception) -> str:
    if isinstance(error, TransferError):
        return str(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}, {N_RETRIES + 1} times"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection, or it broke"
