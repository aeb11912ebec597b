"""Files from the first of their addresses that delivers what was published."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from serab_lib.core import SerabError
from serab_lib.download.sources import RemoteFile
from serab_lib.download.transfer import Policy, ResumingDownloader, Tell, TransferError, read_json

# Told how many files are there, and how many there will be.
Count = Callable[[int, int], object]


class ChecksumError(SerabError):
    """A file is not the published one."""


def look_up(file: RemoteFile, policy: Policy) -> RemoteFile:
    """Add the checksum and the size that a Zenodo record states, where none are known and it can be reached."""
    if file.checksum or not file.listed_at:
        return file
    record = read_json(file.listed_at, policy)
    try:
        (entry,) = [each for each in record["files"] if file.name in (each.get("key"), each.get("filename"))]
        kind, _, digest = entry["checksum"].rpartition(":")
        if (kind or "md5") != "md5" or len(digest) != 32:
            return file
        return replace(file, checksum=f"md5:{digest}", size=int(entry.get("size") or entry["filesize"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return file


def retrieve(
    file: RemoteFile,
    folder: Path,
    *,
    policy: Policy | None = None,
    tell: Tell | None = None,
    stop: threading.Event | None = None,
) -> Path:
    """Get one file, unless it is there.

    Parameters
    ----------
    file : RemoteFile
    folder : Path
        It is put there under its name. What is unfinished lies beside it, named `.part`.
    policy : Policy, optional
    tell : callable, optional
        Told the bytes that there are and the bytes that there will be.
    stop : threading.Event, optional

    Returns
    -------
    Path
        The file, equal to the published one if a checksum is known.

    Raises
    ------
    TransferError
        Naming each host and why it did not deliver.
    """
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    target = folder / file.name
    if target.exists() and _is_whole(target, file):
        return target
    reasons = []
    for url in file.urls:
        downloader = ResumingDownloader(
            target.with_name(f"{target.name}.part"),
            size=file.size,
            is_checked=file.checksum is not None,
            policy=policy,
            tell=tell,
            stop=stop,
        )
        is_resumed = downloader.part.exists()
        for is_second in (False, True):
            try:
                _retrieve_once(url, target, file, downloader)
                return target
            except ChecksumError as error:
                # The part may have been the fault: once more from the start.
                if is_resumed and not is_second:
                    continue
                reasons.append(f"{urlsplit(url).netloc}: {error}")
            except TransferError as error:
                reasons.append(f"{urlsplit(url).netloc}: {error}")
            break
    raise TransferError("; ".join(reasons))


def retrieve_all(
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    n_workers: int,
    policy: Policy | None = None,
    count: Count | None = None,
) -> None:
    """Get many small files at once; the first that fails ends it, and what is there is kept.

    Raises
    ------
    TransferError
        Of the file that failed.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(max_workers=n_workers) as pool:
        try:
            waiting = [pool.submit(retrieve, file, folder, policy=policy, stop=stop) for file in files]
            for n_done, future in enumerate(as_completed(waiting), start=1):
                future.result()
                if count is not None:
                    count(n_done, len(files))
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def measure(path: Path, checksum: str) -> str:
    """Digest of a file, written like a published checksum.

    Parameters
    ----------
    path : Path
    checksum : str
        Its kind counts: `sha256:`, `md5:` or `git-blob:`.
    """
    kind = checksum.partition(":")[0]
    if kind == "git-blob":
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        return f"{kind}:{digest.hexdigest()}"
    with path.open("rb") as stream:
        return f"{kind}:{hashlib.file_digest(stream, kind).hexdigest()}"


def is_published(path: Path, file: RemoteFile) -> bool:
    """Whether a file's content is the one of a published checksum; False where none is known."""
    return file.checksum is not None and measure(path, file.checksum) == file.checksum


def _is_whole(path: Path, file: RemoteFile) -> bool:
    # A file comes to its place only when it is whole; what was changed later shows where a checksum is known.
    return file.checksum is None or is_published(path, file)


def _retrieve_once(url: str, target: Path, file: RemoteFile, downloader: ResumingDownloader) -> None:
    import pooch

    # pooch knows no git blobs: they are compared afterwards.
    is_blob = file.checksum is not None and file.checksum.startswith("git-blob:")
    target.unlink(missing_ok=True)
    try:
        pooch.retrieve(
            url,
            known_hash=None if is_blob else file.checksum,
            fname=target.name,
            path=target.parent,
            downloader=downloader,
        )
    except ValueError as error:
        raise ChecksumError(f"not the published file ({(file.checksum or '').partition(':')[0]} differs)") from error
    except OSError as error:
        raise SerabError(f"{target} cannot be written ({error.strerror or error}): free some space") from error
    if is_blob and not is_published(target, file):
        os.unlink(target)
        raise ChecksumError("not the published file (git blob differs)")
