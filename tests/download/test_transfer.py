"""One file over a line that fails in every way: it comes whole, or it does not come."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from serving import Site

from serab_lib.core import SerabError
from serab_lib.download.retrieval import look_up, measure, retrieve, retrieve_all
from serab_lib.download.sources import RemoteFile
from serab_lib.download.transfer import Cancelled, Policy, TransferError

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
BLOB = "git-blob:" + hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()


def remote(*urls: str, checksum: str | None = SHA256, size: int | None = None) -> RemoteFile:
    return RemoteFile(name="a.zip", urls=urls, checksum=checksum, size=size)


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"a.zip"}


@pytest.mark.parametrize("checksum", [SHA256, MD5, BLOB, None])
def test_a_good_file_comes_whole(site: Site, tmp_path: Path, policy: Policy, checksum: str | None) -> None:
    told = []
    url = site.add("a.zip", CONTENT)
    path = retrieve(remote(url, checksum=checksum), tmp_path, policy=policy, tell=lambda *n: told.append(n))
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert leftovers(tmp_path) == set()
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


@pytest.mark.parametrize(
    "ways",
    [
        ("slow",),
        ("cut:98304", "good"),
        ("cut:98304", "cut:50000", "cut:50000", "good"),
        ("500", "good"),
        ("503:0", "429", "408", "good"),
        ("hang", "good"),
        ("cut:98304", "500", "odd range", "good"),
    ],
)
def test_what_passes_is_waited_for(site: Site, tmp_path: Path, policy: Policy, ways: tuple[str, ...]) -> None:
    url = site.add("a.zip", CONTENT, *ways)
    assert retrieve(remote(url), tmp_path, policy=policy).read_bytes() == CONTENT
    assert site.n_asked("a.zip") == len(ways)
    assert leftovers(tmp_path) == set()


def test_a_cut_download_goes_on_where_it_stopped(site: Site, tmp_path: Path, policy: Policy) -> None:
    url = site.add("a.zip", CONTENT, "cut:98304", "good")
    assert retrieve(remote(url), tmp_path, policy=policy).read_bytes() == CONTENT
    assert site.ranges() == [None, "bytes=98304-"]


def test_another_process_goes_on_where_the_first_stopped(site: Site, tmp_path: Path, policy: Policy) -> None:
    url = site.add("a.zip", CONTENT, "cut:98304")
    with pytest.raises(TransferError, match="1 times"):
        retrieve(remote(url, checksum=None), tmp_path, policy=replace(policy, n_tries=1))
    assert leftovers(tmp_path) == {"a.zip.part", "a.zip.part.json"}
    assert not (tmp_path / "a.zip").exists()
    site.pages["/a.zip"].ways = ["good"]
    assert retrieve(remote(url, checksum=None), tmp_path, policy=policy).read_bytes() == CONTENT
    assert site.ranges() == [None, "bytes=98304-"]
    assert leftovers(tmp_path) == set()


def test_an_interrupted_download_keeps_its_part(site: Site, tmp_path: Path, policy: Policy) -> None:
    url = site.add("a.zip", CONTENT, "slow")

    def interrupt(n_done: int, n_total: int | None) -> None:
        if n_done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retrieve(remote(url), tmp_path, policy=policy, tell=interrupt)
    assert (tmp_path / "a.zip.part").stat().st_size > 0
    assert leftovers(tmp_path) == {"a.zip.part", "a.zip.part.json"}
    assert retrieve(remote(url), tmp_path, policy=policy).read_bytes() == CONTENT
    assert site.ranges()[1] is not None


def test_a_server_without_ranges_begins_again(site: Site, tmp_path: Path, policy: Policy) -> None:
    url = site.add("a.zip", CONTENT, "cut:98304", "good", has_ranges=False)
    assert retrieve(remote(url), tmp_path, policy=policy).read_bytes() == CONTENT


@pytest.mark.parametrize("checksum", [SHA256, None])
@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_in_between_begins_again(
    site: Site, tmp_path: Path, policy: Policy, checksum: str | None, heeds_if_range: bool
) -> None:
    url = site.add("a.zip", os.urandom(len(CONTENT)), "cut:98304", etag='"old"')
    with pytest.raises(TransferError):
        retrieve(remote(url, checksum=checksum), tmp_path, policy=replace(policy, n_tries=1))
    site.add("a.zip", CONTENT, etag='"new"', heeds_if_range=heeds_if_range)
    assert retrieve(remote(url, checksum=checksum), tmp_path, policy=policy).read_bytes() == CONTENT
    assert site.n_asked("a.zip") == (2 if heeds_if_range else 3)


def test_a_change_that_the_server_hides_shows_in_the_checksum(site: Site, tmp_path: Path, policy: Policy) -> None:
    url = site.add("a.zip", os.urandom(len(CONTENT)), "cut:98304")
    with pytest.raises(TransferError):
        retrieve(remote(url), tmp_path, policy=replace(policy, n_tries=1))
    site.add("a.zip", CONTENT)
    assert retrieve(remote(url), tmp_path, policy=policy).read_bytes() == CONTENT
    assert site.ranges() == [None, "bytes=98304-", None]


def test_without_etag_and_checksum_nothing_is_pieced_together(site: Site, tmp_path: Path, policy: Policy) -> None:
    url = site.add("a.zip", CONTENT, "cut:98304", "good", etag="")
    assert retrieve(remote(url, checksum=None), tmp_path, policy=policy).read_bytes() == CONTENT
    assert site.ranges() == [None, None]


def test_an_end_without_notice_is_seen_by_the_size(site: Site, tmp_path: Path, policy: Policy) -> None:
    url = site.add("a.zip", CONTENT, "cut:98304", "good", has_length=False)
    file = remote(url, checksum=None, size=len(CONTENT))
    assert retrieve(file, tmp_path, policy=policy).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_begins_again(site: Site, tmp_path: Path, policy: Policy) -> None:
    url = site.add("a.zip", os.urandom(400_000), "cut:350000")
    with pytest.raises(TransferError):
        retrieve(remote(url), tmp_path, policy=replace(policy, n_tries=1))
    site.add("a.zip", CONTENT)
    assert retrieve(remote(url), tmp_path, policy=policy).read_bytes() == CONTENT


def test_redirects_are_followed(site: Site, tmp_path: Path, policy: Policy) -> None:
    site.add("there.zip", CONTENT)
    url = site.add("a.zip", b"", f"redirect:{site.address}/there.zip")
    assert retrieve(remote(url), tmp_path, policy=policy).read_bytes() == CONTENT


def test_a_redirection_in_a_circle_ends(site: Site, tmp_path: Path, policy: Policy) -> None:
    url = site.add("a.zip", b"", f"redirect:{site.address}/a.zip")
    with pytest.raises(TransferError, match="redirect"):
        retrieve(remote(url), tmp_path, policy=policy)


@pytest.mark.parametrize("ways", [("404",), ("403",), ("html",), ("500",), ("cut:10",), ("gzip",)])
def test_the_mirror_helps_out(site: Site, tmp_path: Path, policy: Policy, ways: tuple[str, ...]) -> None:
    bad, mirror = site.add("a.zip", CONTENT[:-1] if ways == ("gzip",) else CONTENT, *ways), site.add("m.zip", CONTENT)
    assert retrieve(remote(bad, mirror), tmp_path, policy=policy).read_bytes() == CONTENT
    tries = {"500": policy.n_tries, "cut:10": policy.n_tries}.get(ways[0], 1)
    assert site.n_asked("a.zip") == tries
    assert leftovers(tmp_path) == set()


def test_a_wrong_file_is_not_taken(site: Site, tmp_path: Path, policy: Policy) -> None:
    for checksum, kind in ((SHA256, "sha256"), (MD5, "md5"), (BLOB, "git blob")):
        url = site.add("a.zip", os.urandom(300_000))
        with pytest.raises(TransferError, match=rf"not the published file \({kind} differs\)"):
            retrieve(remote(url, checksum=checksum), tmp_path, policy=policy)
        assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_sends_to_the_mirror(site: Site, tmp_path: Path, policy: Policy) -> None:
    urls = site.add("a.zip", b"other"), site.add("m.zip", CONTENT)
    assert retrieve(remote(*urls), tmp_path, policy=policy).read_bytes() == CONTENT


@pytest.mark.parametrize("has_length", [True, False])
def test_a_wrong_size_is_turned_down(site: Site, tmp_path: Path, policy: Policy, has_length: bool) -> None:
    url = site.add("a.zip", CONTENT + b"x", has_length=has_length)
    with pytest.raises(TransferError, match=r"expected 300,000|longer than"):
        retrieve(remote(url, size=len(CONTENT), checksum=None), tmp_path, policy=policy)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_file_is_turned_down(site: Site, tmp_path: Path, policy: Policy) -> None:
    for has_length in (True, False):
        url = site.add("a.zip", CONTENT, has_length=has_length)
        with pytest.raises(TransferError, match=r"allowed|longer than"):
            retrieve(remote(url, checksum=None), tmp_path, policy=replace(policy, largest=100_000))


def test_a_file_that_is_there_is_not_fetched_again(site: Site, tmp_path: Path, policy: Policy) -> None:
    url = site.add("a.zip", CONTENT)
    for _ in range(2):
        retrieve(remote(url), tmp_path, policy=policy)
    assert len(site.asked) == 1
    (tmp_path / "a.zip").write_bytes(b"damaged since")
    assert retrieve(remote(url), tmp_path, policy=policy).read_bytes() == CONTENT


def test_offline_says_so_at_once(tmp_path: Path, policy: Policy) -> None:
    with pytest.raises(TransferError, match=r"zenodo\.invalid: the host cannot be found or reached") as caught:
        retrieve(remote("https://zenodo.invalid/a.zip"), tmp_path, policy=replace(policy, wait_s=60))
    assert "\n" not in str(caught.value)


def test_every_address_is_named_with_its_reason(site: Site, tmp_path: Path, policy: Policy) -> None:
    with pytest.raises(TransferError, match=r"127.*: HTTP 404; 127.*: HTTP 500, 5 times"):
        retrieve(remote(f"{site.address}/none.zip", site.add("a.zip", b"", "500")), tmp_path, policy=policy)


def test_a_full_disk_is_one_line_and_keeps_the_part(
    site: Site, tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def full(path: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        if mode == "wb" and path.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        return real(path, mode, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(SerabError, match="No space left on device"):
        retrieve(remote(site.add("a.zip", CONTENT)), tmp_path, policy=policy)
    assert not (tmp_path / "a.zip").exists()


def test_a_stopped_download_ends(site: Site, tmp_path: Path, policy: Policy) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        retrieve(remote(site.add("a.zip", CONTENT)), tmp_path, policy=policy, stop=stop)


def test_many_files_come_at_once_and_go_on_after_a_failure(site: Site, tmp_path: Path, policy: Policy) -> None:
    files = []
    for number in range(40):
        content = os.urandom(2_000)
        name = f"AudioWAV/{number}.wav"
        urls = (site.add(name, content, "404" if number == 30 else "good"), f"{site.address}/mirror/{name}")
        digest = hashlib.sha256(content).hexdigest()
        files.append(RemoteFile(name=name, urls=urls, size=2_000, checksum=f"sha256:{digest}"))
    with pytest.raises(TransferError, match="HTTP 404"):
        retrieve_all(files, tmp_path, n_workers=4, policy=policy)
    n_there = len(list(tmp_path.rglob("*.wav")))
    assert 0 < n_there < 40
    site.pages["/AudioWAV/30.wav"].ways = ["good"]
    site.asked.clear()
    counts = []
    retrieve_all(files, tmp_path, n_workers=4, policy=policy, count=lambda *n: counts.append(n))
    assert len(site.asked) == 40 - n_there, "what was there is not fetched again"
    assert counts[-1] == (40, 40) and len(counts) == 40
    assert all(measure(tmp_path / file.name, file.checksum) == file.checksum for file in files)


def test_zenodo_states_checksum_and_size(site: Site, policy: Policy) -> None:
    digest = MD5.removeprefix("md5:")
    entries = f'[{{"key": "b.zip"}}, {{"key": "a.zip", "size": 300000, "checksum": "md5:{digest}"}}]'
    file = replace(
        remote("http://x/a.zip", checksum=None), listed_at=site.add("api", f'{{"files": {entries}}}'.encode())
    )
    assert look_up(file, policy) == replace(file, checksum=MD5, size=300_000)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[1]", b"<html>", b'{"files": [{"key": "a.zip", "checksum": "x"}]}'])
def test_a_record_that_says_nothing_changes_nothing(site: Site, policy: Policy, answer: bytes) -> None:
    file = replace(remote("http://x/a.zip", checksum=None), listed_at=site.add("api", answer))
    assert look_up(file, policy) == file
    site.pages.clear()
    assert look_up(file, policy) == file
    assert look_up(replace(file, listed_at="https://zenodo.invalid/api"), policy).checksum is None
