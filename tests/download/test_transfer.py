import hashlib
import os
import random
import tomllib
from dataclasses import replace
from pathlib import Path

import pooch
import pytest
from faulting import call_in_child, die_fetching
from making import one_line

from serab_lib.corpora.task import RemoteFile
from serab_lib.download import transfer
from serab_lib.download.transfer import N_RETRIES, TransferError, is_published, look_up, retrieve, retrieve_all

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
(PASSING,) = tomllib.loads(Path(__file__).with_name("transfer.toml").read_text()).values()
BLOB = "git-blob:" + hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()


def remote(*urls: str, checksum: str | None = SHA256, size: int | None = None) -> RemoteFile:
    return RemoteFile(name="a.zip", urls=urls, checksum=checksum, size=size)


def assert_comes(folder: Path, *urls: str) -> None:
    assert retrieve(remote(*urls), folder).read_bytes() == CONTENT
    assert os.listdir(folder) == ["a.zip"]


@pytest.mark.parametrize(("ways", "n_there"), PASSING)
def test_what_passes_is_waited_for_and_gone_on_with(site, tmp_path, monkeypatch, ways, n_there):
    if "hang" in ways:
        monkeypatch.setattr(transfer, "TIMEOUT_S", (20.0, 2.0))
    assert_comes(tmp_path, site.add("a.zip", CONTENT, *ways))
    assert site.ranges() == [None, *(f"bytes={n}-" if n else None for n in n_there)]


def test_a_killed_download_is_gone_on_with_and_its_progress_told(site, tmp_path):
    content, told = os.urandom(4_000_000), []
    url = site.add("a.zip", content)
    assert call_in_child(die_fetching, url, tmp_path) == -9
    assert "a.zip" not in os.listdir(tmp_path)
    path = retrieve(remote(url, checksum=None), tmp_path, lambda *n: told.append(n))
    assert path.read_bytes() == content and told[-1] == (4, 4)
    assert site.ranges()[1] is not None


@pytest.mark.parametrize("n_there", [98_304, 350_000])
def test_a_file_that_changed_in_between_begins_again(site, tmp_path, n_there):
    (tmp_path / "a.zip.part").write_bytes(os.urandom(n_there))
    assert_comes(tmp_path, site.add("a.zip", CONTENT))
    assert site.ranges() == [f"bytes={n_there}-", None]


@pytest.mark.parametrize("has_ranges", [True, False])
def test_redirects_and_servers_without_ranges(site, tmp_path, has_ranges):
    there = site.add("there.zip", CONTENT, "cut:98304", "good", has_ranges=has_ranges)
    assert_comes(tmp_path, site.add("a.zip", b"", f"redirect:{there}"))


@pytest.mark.parametrize("way", ["404", "html", "500", "cut:10"])
def test_the_mirror_helps_out(site, tmp_path, way):
    assert_comes(tmp_path, site.add("a.zip", CONTENT, way), site.add("m.zip", CONTENT))
    assert site.n_asked("a.zip") == (1 if way in ("404", "html") else 1 + N_RETRIES)


@pytest.mark.parametrize(("checksum", "size"), [(SHA256, None), (MD5, None), (BLOB, None), (None, 300_000)])
def test_a_wrong_file_is_not_taken_and_sends_to_the_mirror(site, tmp_path, checksum, size):
    kind, _, _ = (checksum or "").partition(":")
    said = rf"not the published file \({kind} differs\)" if kind else "it has 300,001 bytes, expected 300,000"
    urls = site.add("a.zip", os.urandom(300_001)), site.add("m.zip", CONTENT)
    with pytest.raises(TransferError, match=said):
        retrieve(remote(urls[0], checksum=checksum, size=size), tmp_path)
    assert os.listdir(tmp_path) == []
    assert retrieve(remote(*urls, checksum=checksum, size=size), tmp_path).read_bytes() == CONTENT


def test_a_file_that_is_there_is_not_fetched_again(site, tmp_path):
    url = site.add("a.zip", CONTENT)
    for _ in range(2):
        assert_comes(tmp_path, url)
    assert len(site.asked) == 1
    (tmp_path / "a.zip").write_bytes(b"damaged since")
    assert_comes(tmp_path, url)


def test_every_address_is_named_with_its_reason(site, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT_S", (20.0, 2.0))
    monkeypatch.setattr(transfer, "N_RETRIES", 1)
    urls = site.add("a.zip", b"", "500"), site.add("b.zip", b"", "hang"), "https://zenodo.invalid/a.zip"
    expected = r"127.*: HTTP 500, 2 times; 127.*: no answer in time; zenodo\.invalid: the host cannot be found"
    with one_line(expected, TransferError):
        retrieve(remote(*urls), tmp_path)


def test_many_files_come_at_once_and_go_on_after_a_failure(site, tmp_path):
    files, counts = [], []
    for number in range(40):
        name, content = f"AudioWAV/{number}.wav", os.urandom(2_000)
        urls = (site.add(name, content, "404" if number == 30 else "good"), f"{site.address}/mirror/{name}")
        digest = hashlib.sha256(content).hexdigest()
        files.append(RemoteFile(name=name, urls=urls, size=2_000, checksum=f"sha256:{digest}"))
    with pytest.raises(TransferError, match="HTTP 404"):
        retrieve_all(files, tmp_path, n_workers=4, tell=lambda *n: None)
    n_there = len(list(tmp_path.rglob("*.wav")))
    assert 0 < n_there < 40
    site.pages["/AudioWAV/30.wav"].ways = ["good"]
    site.asked.clear()
    retrieve_all(files, tmp_path, n_workers=4, tell=lambda *n: counts.append(n))
    assert len(site.asked) == 40 - n_there, "what was there is not fetched again"
    assert counts == [(n, 40) for n in range(1, 41)]
    assert all(is_published(tmp_path / file.name, file) for file in files)


def test_a_repository_states_the_checksum(monkeypatch):
    file = replace(remote("http://x/a.zip", checksum=None), doi="10.5281/zenodo.1")
    assert look_up(file) == file, "the network is out of reach"

    def load(source: pooch.Pooch) -> None:
        assert source.base_url == "doi:10.5281/zenodo.1/"
        source.registry = {"a.zip": MD5, "b.zip": "md5:0"}

    monkeypatch.setattr(pooch.Pooch, "load_registry_from_doi", load)
    found = [look_up(replace(file, **changes)).checksum for changes in ({}, {"name": "c.zip"}, {"checksum": SHA256})]
    assert found == [MD5, None, SHA256]
