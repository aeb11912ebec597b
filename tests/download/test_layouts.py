import re
from pathlib import PurePosixPath

import archives
import pandas as pd
import pytest
from archives import BUILDERS

from serab_lib.corpora import check, corpus
from serab_lib.corpora.corpus import read_manifest
from serab_lib.corpora.task import TASKS, get_task
from serab_lib.download.fetch import Options, fetch
from serab_lib.download.sources import CORPORA


@pytest.fixture
def _short_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests of at most 400 files, without durations and content, which files of noise cannot have."""

    def read(name: str) -> pd.DataFrame | None:
        table = read_manifest(name)
        if table is not None and "utterances" in table:
            return table.assign(utterances=[str(1 + int(each) // 16) for each in table["utterances"]])
        return None if table is None else table.iloc[:: len(table) // 400 + 1].assign(duration_s="")

    for module in (corpus, archives):
        monkeypatch.setattr(module, "read_manifest", read)
    for module in (corpus, check):
        monkeypatch.setattr(module, "read_content", lambda name: None)


@pytest.mark.usefixtures("_short_files")
@pytest.mark.parametrize("layout", BUILDERS)
def test_the_archive_as_delivered_becomes_the_corpus(layout, tmp_path):
    name = layout.partition(",")[0]
    data, room = tmp_path / "data", tmp_path / "archives"
    room.mkdir()
    delivered = list(BUILDERS[layout](room))
    made = fetch(name, Options(data=data, archives=delivered))
    assert (made.state, made.path) == ("fetched", data / name)
    assert [each for each in made.problems if each.affects_result] == []
    found = corpus.find_corpus(name, data)
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


def test_every_task_has_a_source_with_what_must_be_shown():
    assert set(CORPORA) == {task.name for task in TASKS.values()}
    for name, source in CORPORA.items():
        assert all((source.page, source.licence, source.citation, source.advice, source.download_size)), name
        assert (source.access == "restricted") == (get_task(name).access == "restricted")
        for file in source.files:
            assert file.urls and all(re.match("https://|http://(www.)?emodb", url) for url in file.urls)
            kind, _, digest = (file.checksum or "").partition(":")
            assert (kind, len(digest)) in (("", 0), ("md5", 32), ("sha256", 64))
    files = CORPORA["cremad"].files
    assert (len(files), sum(file.size for file in files)) == (7_442, 605_899_936), "it comes file by file"
    assert {file.name for file in files} == set(read_manifest("cremad.csv")["file"])
