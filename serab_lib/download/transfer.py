"""Files from the first of their addresses that delivers what was published, and archives unpacked.

Where a line breaks, pooch tries again. Archives are taken as if an enemy had packed them: nothing leaves the folder,
links, or grows without bound.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests

from serab_lib.core import SerabError, printable
from serab_lib.corpora.corpus import AUDIO_SUFFIXES
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
    """Get one file into a folder, unless it is there: the published one, if a checksum is known."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    target, kind = folder / file.name, (file.checksum or "").partition(":")[0]
    target.parent.mkdir(parents=True, exist_ok=True)  # which several threads at once may want
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


# What a corpus is made of; programs, videos and motion capture stay in the archive.
CORPUS_SUFFIXES = (*AUDIO_SUFFIXES, ".txt", ".csv", ".tsv", ".json", ".md", ".pdf", ".html", ".doc", ".rtf", "")
LITTER = ("__MACOSX", "._*", ".DS_Store", "Thumbs.db", "desktop.ini")

# Bytes that may come out of an archive, for each of its own and at least: speech packs two to one.
RATIO, LEAST = 100, 64 << 20

_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, RuntimeError)

# Name, unpacked size in bytes, and what unpacks it below a folder.
Member = tuple[str, int, Callable[[Path], object]]


class ArchiveError(SerabError):
    """An archive that is damaged, or that must not be unpacked."""


def unpack(
    archive: Path,
    folder: Path,
    *,
    suffixes: tuple[str, ...] | None = CORPUS_SUFFIXES,
    ignored_folders: tuple[str, ...] = (),
    tell: Callable[[int], object] = lambda n_bytes: None,
) -> None:
    """Unpack a .zip or .tar archive, compressed or not, and tell the bytes written so far.

    Of the files those with one of the suffixes (lower case; None for all), and outside of folders by `fnmatch`
    patterns. An archive is refused if it is damaged or encrypted; if a name leads out of the folder, or a member of a
    tar is a link, a device or sparse; if it unpacks to more than 100 bytes for each of its own.
    """
    n_written, limit = 0, max(LEAST, RATIO * archive.stat().st_size)
    try:
        for name, size, extract in _list_members(archive):
            path = PurePosixPath(name.replace("\\", "/"))
            if ".." in path.parts or path.is_absolute() or ":" in name[:2]:
                raise _refuse(archive, f"{printable(name)[:80]} leads out of the folder")
            if any(fnmatchcase(part, each) for part in path.parts for each in (*LITTER, *ignored_folders)):
                continue
            if suffixes is not None and path.suffix.lower() not in suffixes:
                continue
            n_written += size
            if n_written > limit:
                raise _refuse(archive, f"it unpacks to more than {limit:,} bytes")
            extract(folder)
            tell(n_written)
    except _DAMAGE as error:
        raise _refuse(archive, f"damaged, or packed in an unusual way: {' '.join(printable(error).split())}") from error


def _list_members(archive: Path) -> Iterator[Member]:
    """Yield an archive's files."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                if info.flag_bits & 1:
                    raise _refuse(archive, "it is encrypted")
                if not info.is_dir():
                    yield info.filename, info.file_size, functools.partial(file.extract, info)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as file:
            for member in file:
                if member.issparse() or not (member.isreg() or member.isdir()):
                    raise _refuse(archive, f"{printable(member.name)[:80]} is a link, a device or sparse")
                if member.isreg():
                    extract = functools.partial(file.extract, member, set_attrs=False, filter="data")
                    yield member.name, member.size, extract
    else:
        raise _refuse(archive, "no .zip or .tar archive, or cut off")


def _refuse(archive: Path, reason: str) -> ArchiveError:
    return ArchiveError(
        f"{printable(archive)} is not unpacked ({reason}): fetch it again, or unpack it with another program and pack "
        "it as an ordinary .zip"
    )
