import json
import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import call, one_line, touch, write_ravdess

from serab_lib.audio import load_audio
from serab_lib.corpora.check import check_corpus
from serab_lib.corpora.corpus import find_corpus, find_root, read_manifest

ODD = tomllib.loads(Path(__file__).with_name("odd.toml").read_text())


def test_folders_are_found_by_name_in_any_case_by_what_they_hold_or_where_one_points(tmp_path):
    touch(tmp_path, ODD["folders"].values())
    for name, file in ODD["folders"].items():
        assert list(find_corpus(name, tmp_path).utterances["path"]) == [str(tmp_path / file)]
    assert find_root("emovo", tmp_path) == tmp_path / "emovo"
    with one_line(r"no folder .*emovo: put .*--data emovo=PATH"):
        find_corpus("emovo", tmp_path)
    other = tmp_path / "elsewhere" / "deep"
    touch(other, ["1002_DFA_ANG_XX.wav"])
    for data in (f"cremad={other}", f"{tmp_path},CRE={other}"):
        assert list(find_corpus("cremad", data).utterances["stem"]) == ["1002_DFA_ANG_XX"]
    assert find_root("savee", f"{tmp_path},cremad={other}").name == "savee-database"
    with one_line(r"Crema, \S+elsewhere may each be CREMA-D: say which, as in --data cremad=\S+Crema"):
        find_corpus("cremad", tmp_path)
    assert json.loads(call("check", "cremad", "--data", f"cremad={other}", "--json", code=1))[0]["n_utterances"] == 1


def test_names_after_a_sync_are_read_where_they_can_only_mean_one_thing(tmp_path):
    touch(tmp_path / "emodb", ODD["names"])
    assert sorted(ODD["names"].values()) == list(find_corpus("emodb", tmp_path).utterances["stem"])
    touch(tmp_path / "emodb", ["03a02Fc.wav"])
    assert [each.kind for each in find_corpus("emodb", tmp_path).left_out] == ["copy"]
    touch(tmp_path / "emodb", ["03a02Fc.wav"], b"another")
    with one_line("different recordings of one name .*keep one version"):
        find_corpus("emodb", tmp_path)
    touch(tmp_path / "aesdd", [next(each for each in read_manifest("aesdd.csv")["file"] if each.endswith("(1).wav"))])
    assert len(find_corpus("aesdd", tmp_path).utterances) == 1, "whose own names end so"


@pytest.mark.parametrize("said", ODD["disguised"])
def test_what_is_only_called_a_recording_is_named_in_a_run_and_in_the_check(tmp_path, said):
    write_ravdess(tmp_path)
    path = next(tmp_path.rglob("*.wav"))
    path.write_bytes(ODD["disguised"][said].encode("latin-1"))
    with one_line(said):
        load_audio(path)
    (problem,) = [each for each in check_corpus("ravdess", tmp_path).problems if each.file.endswith(path.name)]
    assert re.search("0 bytes" if problem.kind == "empty" else said, problem.consequence)


def test_mp3_under_the_name_of_a_wav_is_said_to_be_lossy(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
    (tmp_path / "savee").mkdir()
    soundfile.write(tmp_path / "savee" / "DC_a01.mp3", samples, 44_100, format="MP3")
    (tmp_path / "savee" / "DC_a01.mp3").rename(tmp_path / "savee" / "DC_a01.wav")
    assert load_audio(tmp_path / "savee" / "DC_a01.wav").isfinite().all()
    (said,) = [each.consequence for each in check_corpus("savee", tmp_path).problems if each.kind == "lossy"]
    assert said.startswith("stored as Mpeg Layer Iii under the name of a lossless file")


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="a file that cannot be read is Linux's own here")
def test_a_drive_that_drops_out_is_no_bad_recording(tmp_path, monkeypatch):
    write_ravdess(tmp_path)
    path = next(tmp_path.rglob("*.wav"))
    path.unlink()
    path.symlink_to("/proc/self/mem")
    monkeypatch.setenv("SERAB_CACHE", str(tmp_path / "cache"))
    said = rf"{path.name} cannot be read \(Input/output error\): the disk or network drive failed: .* goes on"
    for command in ("check ravdess", f"run --tasks RAV --models logmel-stats --out {tmp_path / 'out'}"):
        assert re.search(said, call(*command.split(), "--data", tmp_path, code=1))
    with one_line(said):
        load_audio(path)


def test_the_list_of_tasks_says_why_a_corpus_cannot_be_used(tmp_path):
    touch(tmp_path / "emodb", (f"take {number}.wav" for number in range(535)))
    printed = call("tasks", "--data", tmp_path)
    assert re.search(r"EMB: names that EmoDB does not know .*\(535 audio files\)", printed)
    assert printed.count("take ") == 3, "not a line for each file"
