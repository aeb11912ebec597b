"""Every corpus is read from its archive as delivered: taken with `--archive`, complete, nothing renamed."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import archives
import pandas as pd
import pytest
from archives import BUILDERS

from serab_lib.corpora import check
from serab_lib.corpora import corpus as lists
from serab_lib.corpora.corpus import find_corpus, read_manifest
from serab_lib.corpora.task import TASKS, get_task
from serab_lib.download.fetch import Options, fetch
from serab_lib.download.sources import CORPORA

# Of the long lists every n-th name is enough here: tests/test_corpus.py reads all of them.
LONGEST = 400


@pytest.fixture
def _short_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests without durations and content, which files of noise cannot have, and no longer than `LONGEST`."""

    def read(name: str) -> pd.DataFrame | None:
        table = read_manifest(name)
        if table is None:
            return None
        if "utterances" in table:
            return table.assign(utterances=[str(1 + int(each) // 16) for each in table["utterances"]])
        step = len(table) // LONGEST + 1
        return table.iloc[::step].assign(duration_s="")

    for module in (lists, archives):
        monkeypatch.setattr(module, "read_manifest", read)
    for module in (lists, check):
        monkeypatch.setattr(module, "read_content", lambda name: None)


@pytest.mark.usefixtures("_short_files")
@pytest.mark.parametrize("layout", BUILDERS)
def test_the_archive_as_delivered_becomes_the_corpus(layout: str, tmp_path: Path) -> None:
    name = layout.partition(",")[0]
    data, room = tmp_path / "data", tmp_path / "archives"
    room.mkdir()
    delivered = list(BUILDERS[layout](room))
    made = fetch(name, Options(data=data, archives=delivered))
    assert (made.state, made.path) == ("fetched", data / name)
    assert [each for each in made.problems if each.affects_result] == []
    found = find_corpus(name, data)
    assert found.complete and not found.synthetic and found.utterances["stem"].is_monotonic_increasing
    facts = read_manifest(f"{name}.csv")
    if facts is not None:
        known = {PurePosixPath(row.file).stem: (row.speaker, row.emotion) for row in facts.itertuples()}
        assert all(known[row.stem] == (row.speaker, row.emotion) for row in found.utterances.itertuples())
    assert not list(data.rglob("__MACOSX")) and not list(data.rglob("._*")), "litter stays in the archive"
    assert {path.suffix for path in (data / name).rglob("*")} & {".exe", ".avi", ".flv"} == set()
    assert [path.name for path in data.iterdir()] == [name], "nothing else is left behind"
    assert all(path.exists() for path in delivered), "the user's archives stay"
    assert fetch(name, Options(data=data)).state == "present"


def test_every_task_has_a_source_with_what_must_be_shown() -> None:
    assert set(CORPORA) == {task.name for task in TASKS.values()}
    for name, source in CORPORA.items():
        assert all((source.page, source.licence, source.citation, source.advice, source.download_size)), name
        assert (source.access == "restricted") == (get_task(name).access == "restricted")
        for file in source.files:
            assert file.urls and all(
                url.startswith(("https://", "http://emodb", "http://www.emodb")) for url in file.urls
            )
            kind, _, digest = (file.checksum or "").partition(":")
            assert (kind, len(digest)) in (("", 0), ("md5", 32), ("sha256", 64))


def test_cremad_comes_file_by_file() -> None:
    files = CORPORA["cremad"].files
    assert len(files) == 7_442
    assert sum(file.size for file in files) == 605_899_936
    assert {file.name for file in files} == set(read_manifest("cremad.csv")["file"])
