"""`fetch` from source to place: shown, verified, unpacked, checked; nothing of a failure looks like a corpus."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import filelock
import pandas as pd
import pytest
import torch
from archives import make_wav, write_tar, write_zip
from making import make_byol_state
from serving import Site
from typer.testing import CliRunner

from serab_lib.cli import app
from serab_lib.core import SerabError, UnknownNameError
from serab_lib.corpora import check
from serab_lib.corpora import corpus as lists
from serab_lib.corpora.corpus import find_corpus, read_manifest
from serab_lib.corpora.task import RemoteFile
from serab_lib.download import fetch as fetching
from serab_lib.download.fetch import Options, fetch
from serab_lib.download.sources import CORPORA, Source, get_source, list_checkpoints, resolve_names
from serab_lib.extractors.registry import EXTRACTORS
from serab_lib.extractors.weights import Checkpoint

DURATION_S = 0.2
NAMES = [f"wav/{stem}.wav" for stem in ("03a01Fa", "03a01Nc", "08a01Na", "16b10Wb")]
RECORDINGS = {name: make_wav(name, duration_s=DURATION_S) for name in NAMES}
Publish = Callable[..., Source]


@pytest.fixture(autouse=True)
def _small_emodb(monkeypatch: pytest.MonkeyPatch) -> None:
    """An EmoDB of four recordings."""

    def read(name: str) -> pd.DataFrame | None:
        table = read_manifest(name)
        if name != "emodb.csv":
            return table
        return table[table["file"].isin(NAMES)].assign(duration_s=str(DURATION_S))

    content = {Path(name).stem: (hashlib.sha256(content).hexdigest(), "") for name, content in RECORDINGS.items()}
    monkeypatch.setattr(lists, "read_manifest", read)
    for module in (lists, check):
        monkeypatch.setattr(module, "read_content", {"emodb": content}.get)


@pytest.fixture
def publish(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Put an EmoDB on the site, answered for in some ways, and make it the official source."""

    def publish(*ways: str, members: dict[str, bytes] | None = None, checksum: bool = False) -> Source:
        content = write_zip(tmp_path / "site.zip", members or RECORDINGS).read_bytes()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}" if checksum else None
        file = RemoteFile(name="download.zip", urls=(site.add("download.zip", content, *ways),), checksum=digest)
        source = replace(CORPORA["emodb"], files=(file,))
        monkeypatch.setitem(CORPORA, "emodb", source)
        return source

    return publish


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(data=tmp_path / "data", weights=tmp_path / "weights")


def refuse(name: str, options: Options) -> str:
    with pytest.raises(SerabError) as caught:
        fetch(name, options)
    message = str(caught.value)
    assert "\n" not in message
    assert not (Path(options.data) / name).exists(), "nothing of a failed fetch is mistaken for a corpus"
    return message


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("ways", [(), ("cut:9000", "500", "good")])
def test_a_corpus_is_fetched(
    site: Site, publish: Publish, options: Options, ways: tuple[str, ...], checksum: bool
) -> None:
    publish(*ways, checksum=checksum)
    (Path(options.data) / "emodb").mkdir(parents=True)  # an empty folder in its place is no obstacle
    shown, told = [], []
    made = fetch("emodb", replace(options, announce=shown.append, progress=lambda *n: told.append(n)))
    assert ("checksum" in made.verified) == checksum and "content: 4 of 4 recordings as released" in made.verified
    assert find_corpus("emodb", options.data).complete
    assert [source.name for source in shown] == ["emodb"]
    assert told
    assert os.listdir(options.data) == ["emodb"]
    n_asked = len(site.asked)
    assert fetch("EMB", options).state == "present"
    assert len(site.asked) == n_asked


@pytest.mark.parametrize(
    ("name", "said", "n_archives"),
    [
        ("ravdess", "the host cannot be found", 1),
        ("shemo", "the host cannot be found", 2),
        ("cremad", "the host cannot be found", 1),
        ("iemocap", "is to be asked for", 1),
        ("aesdd", "cannot be fetched automatically", 1),
    ],
)
def test_what_does_not_come_says_why_and_how_to_get_it_by_hand(
    name: str, said: str, n_archives: int, options: Options
) -> None:
    source, message = get_source(name), refuse(name, options)
    assert said in message and (source.page in message or source.advice in message)
    assert f"serab fetch {name} --archive FILE" in message and message.count("--archive FILE") == n_archives


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({NAMES[0]: None}, "missing"),
        ({NAMES[0]: b"RIFF"}, "undecodable"),
        ({NAMES[0]: make_wav("x", duration_s=DURATION_S)}, "re-encoded"),
    ],
)
def test_without_checksum_the_list_of_files_decides(
    publish: Publish, options: Options, change: dict[str, bytes | None], kind: str
) -> None:
    members = {name: content for name, content in {**RECORDINGS, **change}.items() if content is not None}
    publish(members=members)
    message = refuse("emodb", options)
    assert "is not put in place" in message and kind in message
    room = Path(options.data) / ".fetch" / "emodb" / "unpacked"
    assert f"--data {room}" in message and (room / "emodb").is_dir()


def test_other_recordings_in_the_archive_are_not_kept(publish: Publish, options: Options) -> None:
    publish(members=RECORDINGS | {"egg/strange name.wav": make_wav("egg")})
    made = fetch("emodb", options)
    assert "1 recordings" in made.notes[0] and "strange name" in made.notes[0]
    assert find_corpus("emodb", options.data).complete, "a run does not stop at them"


@pytest.mark.parametrize(("checksum", "said"), [(True, "not the published file (sha256 differs)"), (False, "damaged")])
def test_a_damaged_archive_is_refused_and_fetched_afresh_next_time(
    site: Site, publish: Publish, options: Options, checksum: bool, said: str
) -> None:
    publish(checksum=checksum)
    whole = site.pages["/download.zip"].content
    site.pages["/download.zip"].content = whole[:5000]
    assert said in refuse("emodb", options)
    site.pages["/download.zip"].content = whole
    assert fetch("emodb", options).state == "fetched"


def test_a_corpus_of_single_files_goes_on_after_a_failure(
    site: Site, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for name, content in RECORDINGS.items():
        digest = hashlib.sha256(content).hexdigest()
        urls = (site.add(name, content, "404"), site.add(f"mirror/{name}", content))
        files.append(RemoteFile(name=name, urls=urls, size=len(content), checksum=f"sha256:{digest}"))
    site.pages[f"/mirror/{NAMES[2]}"].ways = ["404"]
    monkeypatch.setitem(CORPORA, "emodb", replace(CORPORA["emodb"], files=tuple(files), packed=False))
    assert "HTTP 404" in refuse("emodb", options)
    site.pages[f"/mirror/{NAMES[2]}"].ways = ["good"]
    made = fetch("emodb", options)
    assert "published checksum" in made.verified and made.problems == ()
    assert find_corpus("emodb", options.data).complete
    assert os.listdir(options.data) == ["emodb"]


def test_an_archive_of_another_corpus_is_refused(tmp_path: Path, options: Options) -> None:
    write_zip(tmp_path / "savee.zip", {"AudioData/DC/a01.wav": make_wav("a")})
    for archive in ("savee.zip", "none.zip", ""):
        refuse("emodb", replace(options, archives=(tmp_path / archive,)))


@pytest.mark.parametrize("content", ["incomplete", "synthetic", "other"])
def test_what_is_in_the_place_is_left_alone(options: Options, content: str) -> None:
    place = Path(options.data) / "emodb"
    place.mkdir(parents=True)
    (place / ("notes.txt" if content == "other" else "03a01Fa.wav")).write_bytes(RECORDINGS[NAMES[0]])
    if content == "synthetic":
        (place / "SYNTHETIC.json").write_text('{"files": {"03a01Fa.wav": "x"}}')
    before = sorted(place.iterdir())
    with pytest.raises(SerabError, match="move it away"):
        fetch("emodb", options)
    assert sorted(place.iterdir()) == before


def test_a_full_disk_is_seen_before_the_download(
    site: Site, publish: Publish, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 2 * 10**8))
    assert "free some space" in refuse("emodb", options)
    assert site.n_asked("download.zip") == 0


def test_a_disk_that_fills_up_is_one_line_and_keeps_what_came_in(
    publish: Publish, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    monkeypatch.setattr("serab_lib.download.transfer.os.replace", Mock(side_effect=OSError(28, "No space left")))
    assert "No space left" in refuse("emodb", options)
    assert (Path(options.data) / ".fetch" / "emodb" / "download.zip.part").stat().st_size > 0


def test_two_fetches_of_one_corpus_do_not_meet(publish: Publish, options: Options) -> None:
    publish()
    staging = Path(options.data) / ".fetch"
    staging.mkdir(parents=True)
    with filelock.FileLock(staging / "emodb.lock"):
        assert "another process" in refuse("emodb", options)
    assert fetch("emodb", options).state == "fetched"


@pytest.fixture
def model(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A checkpoint that the site publishes as byol-s-512, by its git blob."""
    torch.save(make_byol_state(), tmp_path / "made.pth")
    content = (tmp_path / "made.pth").read_bytes()
    git_blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    released = Checkpoint(file="released.pth", url=site.add("released.pth", content), git_blob=git_blob)
    entry = replace(EXTRACTORS["byol-s-512"], licence_url="https://example.org/licence", checkpoints=(released,))
    monkeypatch.setitem(EXTRACTORS, "byol-s-512", entry)
    return content


def test_a_checkpoint_lands_under_its_released_name_and_a_wrong_one_does_not(
    site: Site, model: bytes, options: Options
) -> None:
    site.pages["/released.pth"].content = model[:-1] + b"x"
    with pytest.raises(SerabError, match=f"git-blob differs.*put released.pth into {options.weights}"):
        fetch("byol-s-512", options)
    assert not (Path(options.weights) / "released.pth").exists()
    site.pages["/released.pth"].content = model
    made = fetch("byol-s-512", options)
    assert made.path == Path(options.weights) / "released.pth" and made.path.read_bytes() == model
    assert os.listdir(options.weights) == ["released.pth"]
    assert fetch("byol-s-512", options).state == "present"
    made.path.write_bytes(b"cut off")
    assert fetch("byol-s-512", options).state == "fetched"
    (kept,) = Path(options.weights).glob("released.pth.replaced-*")
    assert (made.path.read_bytes(), kept.read_bytes()) == (model, b"cut off"), "the damaged one is kept aside"


def test_a_checkpoint_without_a_hash_must_be_readable(
    site: Site, model: bytes, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EXTRACTORS["byol-s-512"]
    unverified = replace(entry.checkpoints[0], git_blob=None)
    monkeypatch.setitem(EXTRACTORS, "byol-s-512", replace(entry, checkpoints=(unverified,)))
    site.pages["/released.pth"].content = model[:1000]
    with pytest.raises(SerabError, match="not a checkpoint of tensors, or is cut off"):
        fetch("byol-s-512", options)
    site.pages["/released.pth"].content = model
    assert "no checksum is published" in fetch("byol-s-512", options).verified


def test_a_licence_must_be_accepted(
    site: Site, model: bytes, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRACTORS, "byol-s-512", replace(EXTRACTORS["byol-s-512"], needs_consent=True))
    with pytest.raises(SerabError, match=r"read https://example\.org/licence.*--accept-licence"):
        fetch("byol-s-512", options)
    assert site.asked == []
    assert fetch("byol-s-512", replace(options, accept_licence=True)).state == "fetched"


@pytest.mark.parametrize("top", ["", "trill_3/"])
def test_a_saved_model_is_unpacked_as_a_folder(
    site: Site, tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch, top: str
) -> None:
    members = {f"{top}saved_model.pb": b"graph", f"{top}variables/variables.data-00000-of-00001": b"numbers"}
    url = site.add("trill.tar.gz", write_tar(tmp_path / "t.tar.gz", members).read_bytes())
    released = replace(EXTRACTORS["trill"].checkpoints[0], mirrors=(url,))
    monkeypatch.setitem(EXTRACTORS, "trill", replace(EXTRACTORS["trill"], checkpoints=(released,)))
    made = fetch("trill", options)
    assert made.path == Path(options.weights) / "trill"
    assert (made.path / "variables" / "variables.data-00000-of-00001").read_bytes() == b"numbers"
    assert os.listdir(options.weights) == ["trill"]


def test_names_and_groups() -> None:
    assert get_source("RAV") is get_source("ravdess") is CORPORA["ravdess"]
    assert get_source("wavlm-large-layer-3").name == "wavlm-large"
    wanted, withheld = resolve_names(["all"])
    assert {each.name for each in wanted} == {"cafe", "cremad", "emodb", "emovo", "ravdess", "shemo", "subesco"}
    assert {each.name for each in withheld} == {"aesdd", "iemocap", "savee"}
    wanted, withheld = resolve_names(["checkpoints", "byol-a-512"])
    assert "byol-a-512" in {each.name for each in wanted}
    assert {each.name for each in withheld} == {"byol-a-1024", "byol-a-2048"}
    with pytest.raises(UnknownNameError, match="did you mean ravdess"):
        get_source("ravdes")
    with pytest.raises(SerabError, match="needs no weights"):
        get_source("opensmile")


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_shows_what_it_fetches_and_goes_on_after_a_failure(
    publish: Publish, model: bytes, tmp_path: Path
) -> None:
    source = publish("404")
    code, out, shown = run("fetch", "emodb", "savee", "byol-s-512", "--to", tmp_path / "to")
    assert code == 1
    assert all(text in shown for text in (source.page, source.citation, source.licence, "MB"))
    lines = [line for line in shown.splitlines() if line.startswith("error:")]
    assert len(lines) == 2 and "EmoDB" in lines[0] and "Register.html" in lines[1]
    assert f"byol-s-512: fetched, {tmp_path / 'to' / 'released.pth'}" in out
    code, out, _ = run("fetch", "byol-s-512", "--weights", tmp_path / "to")
    assert code == 0 and "is there already" in out


def test_the_command_names_what_a_group_leaves_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("cafe", "cremad", "emovo", "ravdess", "shemo", "subesco", "emodb"):
        monkeypatch.delitem(CORPORA, name)
    code, out, _ = run("fetch", "all", "--to", tmp_path, "--json")
    assert code == 0
    rows = {row["name"]: row["state"] for row in json.loads(out)}
    assert rows == dict.fromkeys(("aesdd", "iemocap", "savee"), "left out")


def test_the_list_needs_no_network(tmp_path: Path) -> None:
    code, out, _ = run("fetch", "--data", tmp_path, "--weights", tmp_path, "--json")
    rows = json.loads(out)
    known = set(CORPORA) | {source.name for source in list_checkpoints()}
    assert code == 0 and {row["name"] for row in rows} == known
    assert all(row["licence"] and row["page"].startswith("http") and row["state"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--archive", "x.zip"], "needs the name of its corpus"),
        (["emodb", "savee", "--archive", "x.zip"], "fetch one at a time"),
        (["emodb", "--archive", "x.zip"], "there is no archive x.zip"),
        (["byol-s-512", "--archive", "x.zip"], "is no archive"),
        (["nothing"], "there is no corpus or checkpoint 'nothing'"),
        (["byol-a-512"], "LICENSE.pdf"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, tmp_path: Path) -> None:
    code, _, shown = run("fetch", *arguments, "--to", tmp_path / "to")
    assert code == 1
    assert message in shown and len(shown.strip().splitlines()) == 1
