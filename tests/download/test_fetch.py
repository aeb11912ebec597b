import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha1, sha256
from pathlib import Path
from unittest.mock import Mock

import filelock
import pytest
import torch
from archives import make_wav, write_tar, write_zip
from making import call, make_byol_state, one_line
from serving import Site

from serab_lib.core import SerabError, UnknownNameError
from serab_lib.corpora import check, corpus
from serab_lib.corpora.corpus import find_corpus, read_manifest
from serab_lib.corpora.task import RemoteFile
from serab_lib.download import fetch as fetching
from serab_lib.download.fetch import Options, fetch
from serab_lib.download.sources import CORPORA, Source, get_source, list_checkpoints, resolve_names
from serab_lib.extractors.registry import EXTRACTORS

NAMES = [f"wav/{stem}.wav" for stem in ("03a01Fa", "03a01Nc", "08a01Na", "16b10Wb")]
RECORDINGS = {name: make_wav(name, duration_s=0.2) for name in NAMES}


@pytest.fixture(autouse=True)
def _small_emodb(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_manifest("emodb.csv")
    small = whole[whole["file"].isin(NAMES)].assign(duration_s="0.2")
    content = {Path(name).stem: (sha256(content).hexdigest(), "") for name, content in RECORDINGS.items()}
    monkeypatch.setattr(corpus, "read_manifest", lambda name: small if name == "emodb.csv" else read_manifest(name))
    for module in (corpus, check):
        monkeypatch.setattr(module, "read_content", {"emodb": content}.get)


@pytest.fixture
def publish(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Source]:
    """Put an EmoDB on the site, answered for in some ways, and make it the official source."""

    def publish(*ways: str, members: dict[str, bytes] = RECORDINGS, checksum: bool = False) -> Source:
        content = write_zip(tmp_path / "site.zip", members).read_bytes()
        digest = f"sha256:{sha256(content).hexdigest()}" if checksum else None
        file = RemoteFile(name="download.zip", urls=(site.add("download.zip", content, *ways),), checksum=digest)
        monkeypatch.setitem(CORPORA, "emodb", replace(CORPORA["emodb"], files=(file,)))
        return CORPORA["emodb"]

    return publish


def change(patch: pytest.MonkeyPatch, name: str, checkpoint: dict[str, object], **changes: object) -> None:
    """Change the entry of an extractor in the registry, and its checkpoint's."""
    released = replace(EXTRACTORS[name].checkpoints[0], **checkpoint)
    patch.setitem(EXTRACTORS, name, replace(EXTRACTORS[name], checkpoints=(released,), **changes))


@pytest.fixture
def model(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A checkpoint that the site publishes as byol-s-512, by its git blob."""
    torch.save(make_byol_state(), tmp_path / "made.pth")
    content = (tmp_path / "made.pth").read_bytes()
    git_blob = sha1(b"blob %d\0" % len(content) + content).hexdigest()
    released = {"file": "released.pth", "url": site.add("released.pth", content), "git_blob": git_blob}
    released |= {"n_bytes": None, "sha256": None}
    change(monkeypatch, "byol-s-512", released, licence_url="https://example.org/licence")
    return content


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(data=tmp_path / "data", weights=tmp_path / "weights")


def refuse(name: str, options: Options) -> str:
    with one_line(".") as caught:
        fetch(name, options)
    assert not (options.data / name).exists(), "nothing of a failed fetch is mistaken for a corpus"
    return str(caught.value)


@pytest.mark.parametrize(("checksum", "ways"), [(True, ()), (False, ("cut:9000", "500", "good"))])
def test_a_corpus_is_fetched_without_what_else_is_in_its_archive(site, publish, options, checksum, ways):
    publish(*ways, members=RECORDINGS | {"egg/strange name.wav": make_wav("egg")}, checksum=checksum)
    (options.data / "emodb").mkdir(parents=True)  # an empty folder in its place is no obstacle
    shown, told = [], []
    made = fetch("emodb", replace(options, announce=shown.append, progress=lambda *n: told.append(n)))
    assert ("checksum" in made.verified) == checksum and "content: 4 of 4 recordings as released" in made.verified
    assert "1 recordings" in made.notes[0] and "strange name" in made.notes[0]
    assert find_corpus("emodb", options.data).complete
    assert told and [source.name for source in shown] == ["emodb"] == os.listdir(options.data)
    n_asked = len(site.asked)
    assert fetch("EMB", options).state == "present"
    assert len(site.asked) == n_asked


WHY = {"shemo": "the host cannot be found", "iemocap": "is to be asked for", "aesdd": "cannot be fetched automatically"}


@pytest.mark.parametrize("name", WHY)
def test_what_does_not_come_says_why_and_how_to_get_it_by_hand(name, options):
    source, message = get_source(name), refuse(name, options)
    assert WHY[name] in message and (source.page in message or source.advice in message)
    n_told = 2 if name == "shemo" else 1
    assert f"serab fetch {name} --archive FILE" in message and message.count("--archive FILE") == n_told


@pytest.mark.parametrize(
    ("content", "kind"), [(None, "missing"), (b"RIFF", "undecodable"), (make_wav("x", duration_s=0.2), "re-encoded")]
)
def test_without_checksum_the_list_of_files_decides(publish, options, content, kind):
    publish(members={name: wav for name, wav in {**RECORDINGS, NAMES[0]: content}.items() if wav is not None})
    message = refuse("emodb", options)
    assert "is not put in place" in message and kind in message
    room = options.data / ".fetch" / "emodb" / "unpacked"
    assert f"--data {room}" in message and (room / "emodb").is_dir()


@pytest.mark.parametrize(("checksum", "said"), [(True, "not the published file (sha256 differs)"), (False, "damaged")])
def test_a_damaged_archive_is_refused_and_fetched_afresh_next_time(site, publish, options, checksum, said):
    publish(checksum=checksum)
    whole = site.pages["/download.zip"].content
    site.pages["/download.zip"].content = whole[:5000]
    assert said in refuse("emodb", options)
    site.pages["/download.zip"].content = whole
    assert fetch("emodb", options).state == "fetched"


def test_a_corpus_of_single_files_goes_on_after_a_failure(site, options, monkeypatch):
    files = []
    for name, content in RECORDINGS.items():
        urls = (site.add(name, content, "404"), site.add(f"mirror/{name}", content))
        checksum = f"sha256:{sha256(content).hexdigest()}"
        files.append(RemoteFile(name=name, urls=urls, size=len(content), checksum=checksum))
    monkeypatch.setitem(CORPORA, "emodb", replace(CORPORA["emodb"], files=tuple(files), packed=False))
    site.pages[f"/mirror/{NAMES[2]}"].ways = ["404"]
    assert "HTTP 404" in refuse("emodb", options)
    site.pages[f"/mirror/{NAMES[2]}"].ways = ["good"]
    made = fetch("emodb", options)
    assert "published checksum" in made.verified and made.problems == ()
    assert find_corpus("emodb", options.data).complete
    assert os.listdir(options.data) == ["emodb"]


def test_an_archive_of_another_corpus_is_refused(tmp_path, options):
    write_zip(tmp_path / "savee.zip", {"AudioData/DC/a01.wav": make_wav("a")})
    for archive in ("savee.zip", "none.zip", ""):
        refuse("emodb", replace(options, archives=(tmp_path / archive,)))


@pytest.mark.parametrize("content", ["incomplete", "synthetic", "other"])
def test_what_is_in_the_place_is_left_alone(options, content):
    place = options.data / "emodb"
    place.mkdir(parents=True)
    (place / ("notes.txt" if content == "other" else "03a01Fa.wav")).write_bytes(RECORDINGS[NAMES[0]])
    if content == "synthetic":
        (place / "SYNTHETIC.json").write_text('{"files": {"03a01Fa.wav": "x"}}')
    before = sorted(place.iterdir())
    with pytest.raises(SerabError, match="move it away"):
        fetch("emodb", options)
    assert sorted(place.iterdir()) == before


def test_a_full_disk_is_seen_before_the_download_or_keeps_what_came_in(site, publish, options, monkeypatch):
    publish()
    with monkeypatch.context() as patch:
        usage = shutil._ntuple_diskusage(10**9, 10**9, 2 * 10**8)
        patch.setattr(fetching.shutil, "disk_usage", lambda folder: usage)
        assert "free some space" in refuse("emodb", options)
    assert site.asked == []
    monkeypatch.setattr("serab_lib.download.transfer.os.replace", Mock(side_effect=OSError(28, "No space left")))
    assert "No space left" in refuse("emodb", options)
    assert (options.data / ".fetch" / "emodb" / "download.zip.part").stat().st_size > 0


def test_two_fetches_of_one_corpus_do_not_meet(publish, options):
    publish()
    staging = options.data / ".fetch"
    staging.mkdir(parents=True)
    with filelock.FileLock(staging / "emodb.lock"):
        assert "another process" in refuse("emodb", options)
    assert fetch("emodb", options).state == "fetched"


def test_a_checkpoint_lands_under_its_released_name_and_a_wrong_one_does_not(site, model, options):
    site.pages["/released.pth"].content = model[:-1] + b"x"
    with pytest.raises(SerabError, match=f"git-blob differs.*put released.pth into {options.weights}"):
        fetch("byol-s-512", options)
    assert not (options.weights / "released.pth").exists()
    site.pages["/released.pth"].content = model
    made = fetch("byol-s-512", options)
    assert made.path == options.weights / "released.pth" and made.path.read_bytes() == model
    assert os.listdir(options.weights) == ["released.pth"]
    assert fetch("byol-s-512", options).state == "present"
    made.path.write_bytes(b"cut off")
    assert fetch("byol-s-512", options).state == "fetched"
    (kept,) = options.weights.glob("released.pth.replaced-*")
    assert (made.path.read_bytes(), kept.read_bytes()) == (model, b"cut off"), "the damaged one is kept aside"


def test_a_checkpoint_without_a_hash_must_be_readable(site, model, options, monkeypatch):
    change(monkeypatch, "byol-s-512", {"git_blob": None})
    site.pages["/released.pth"].content = model[:1000]
    with pytest.raises(SerabError, match="not a checkpoint of tensors, or is cut off"):
        fetch("byol-s-512", options)
    site.pages["/released.pth"].content = model
    assert "no checksum is published" in fetch("byol-s-512", options).verified


def test_a_licence_must_be_accepted(site, model, options, monkeypatch):
    change(monkeypatch, "byol-s-512", {}, needs_consent=True)
    with pytest.raises(SerabError, match=r"read https://example\.org/licence.*--accept-licence"):
        fetch("byol-s-512", options)
    assert site.asked == []
    assert fetch("byol-s-512", replace(options, accept_licence=True)).state == "fetched"


@pytest.mark.parametrize("top", ["", "trill_3/"])
def test_a_saved_model_is_unpacked_as_a_folder(site, tmp_path, options, monkeypatch, top):
    members = {f"{top}saved_model.pb": b"graph", f"{top}variables/variables.data-00000-of-00001": b"numbers"}
    url = site.add("trill.tar.gz", write_tar(tmp_path / "t.tar.gz", members).read_bytes())
    change(monkeypatch, "trill", {"mirrors": (url,)})
    made = fetch("trill", options)
    assert made.path == options.weights / "trill"
    assert (made.path / "variables" / "variables.data-00000-of-00001").read_bytes() == b"numbers"
    assert os.listdir(options.weights) == ["trill"]


def test_names_and_groups():
    assert get_source("RAV") is get_source("ravdess") is CORPORA["ravdess"]
    assert get_source("wavlm-large-layer-3").name == "wavlm-large"
    wanted, withheld = ({each.name for each in group} for group in resolve_names(["all"]))
    assert wanted == {"cafe", "cremad", "emodb", "emovo", "ravdess", "shemo", "subesco"}
    assert withheld == {"aesdd", "iemocap", "savee"}
    wanted, withheld = ({each.name for each in group} for group in resolve_names(["checkpoints", "byol-a-512"]))
    assert "byol-a-512" in wanted and withheld == {"byol-a-1024", "byol-a-2048"}
    with pytest.raises(UnknownNameError, match="did you mean ravdess"):
        get_source("ravdes")
    with pytest.raises(SerabError, match="needs no weights"):
        get_source("opensmile")


def test_the_command_shows_what_it_fetches_and_goes_on_after_a_failure(publish, model, tmp_path):
    source = publish("404")
    shown = call("fetch", "emodb", "savee", "byol-s-512", "--to", tmp_path / "to", code=1)
    assert all(text in shown for text in (source.page, source.citation, source.licence, "MB"))
    first, second = (line for line in shown.splitlines() if line.startswith("error:"))
    assert "EmoDB" in first and "Register.html" in second
    assert f"byol-s-512: fetched, {tmp_path / 'to' / 'released.pth'}" in shown
    assert "is there already" in call("fetch", "byol-s-512", "--weights", tmp_path / "to")


def test_the_list_needs_no_network_and_what_a_group_leaves_out_is_named(monkeypatch, tmp_path):
    rows = json.loads(call("fetch", "--data", tmp_path, "--weights", tmp_path, "--json"))
    assert {row["name"] for row in rows} == {*CORPORA, *(source.name for source in list_checkpoints())}
    assert all(row["licence"] and row["page"].startswith("http") and row["state"] for row in rows)
    for name in set(CORPORA) - {"aesdd", "iemocap", "savee"}:
        monkeypatch.delitem(CORPORA, name)
    rows = {row["name"]: row["state"] for row in json.loads(call("fetch", "all", "--to", tmp_path, "--json"))}
    assert rows == dict.fromkeys(("aesdd", "iemocap", "savee"), "left out")
