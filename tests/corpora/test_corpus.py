import dataclasses
import json
import os
import tomllib
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest
from making import one_line, touch

from serab_lib.core import SerabError, printable
from serab_lib.corpora import check, task
from serab_lib.corpora import corpus as lists
from serab_lib.corpora.corpus import MARKER, find_corpus, find_data, load_task

OWN = dataclasses.replace(task.TASKS["SAV"], code="OWN", name="own", in_paper=False)
UNCLEAR, NOTHING = tomllib.loads(Path(__file__).with_name("corpus.toml").read_text()).values()


def left_out(corpus: lists.Corpus) -> dict[str, str]:
    return {each.file: each.kind for each in corpus.left_out}


def test_any_depth_suffix_and_case_without_the_systems_files(tmp_path):
    suffixes = (".wav", ".WAV", ".flac", ".Mp3", ".OGG")
    touch(tmp_path / "own", (f"{'x/' * row}DC/a0{row}{suffix}" for row, suffix in enumerate(suffixes)))
    touch(tmp_path / "own", ["._DC_a01.wav", "__MACOSX/DC_a06.wav", ".git/what.wav", "Read me.txt"])
    corpus = find_corpus(OWN, tmp_path)
    assert corpus.complete and corpus.n_expected is None, "a corpus of one's own has no list"
    assert list(corpus.utterances["stem"]) == [f"DC_a0{row}" for row in range(5)] and corpus.left_out == ()
    assert list(corpus.utterances) == ["stem", "path", "speaker", "emotion", "released_group"]
    assert all(os.path.isabs(path) and os.path.exists(path) for path in corpus.utterances["path"])


def test_missing_unexpected_and_known_files_are_reported(tmp_path):
    for name, file, kind in (("aesdd", "s05 (3).wav", "excluded"), ("ravdess", "03-02-01-01-01-01-01.wav", "other")):
        touch(tmp_path / name, [lists.read_manifest(f"{name}.csv")["file"][0], file])
        (found,) = find_corpus(name, tmp_path).left_out
        assert (found.file, found.kind) == (file, kind) and found.reason
    touch(tmp_path / "savee", [*lists.read_manifest("savee.csv")["file"][2:], "DC_a99.wav"])
    corpus = find_corpus("SAV", tmp_path)
    assert (corpus.missing, corpus.unexpected) == (("DC_a01", "DC_a02"), ("DC_a99",))
    assert left_out(corpus) == {"DC_a99.wav": "unexpected"}, "an extra file changes no result"
    assert (len(corpus.utterances), corpus.n_expected, corpus.complete) == (478, 480, False)


@pytest.mark.parametrize(("others", "message", "kind"), UNCLEAR)
def test_what_could_be_anything_stops_in_one_line(tmp_path, others, message, kind):
    touch(tmp_path / "own", ["DC_a01.wav", "DC_a02.wav"])
    touch(tmp_path / "own", others, b"other")
    with one_line(message):
        find_corpus(OWN, tmp_path)
    found = dict.fromkeys(others, kind) | ({"DC_a01.wav": kind} if kind == "conflict" else {})
    assert left_out(find_corpus(OWN, tmp_path, strict=False)) == found


def test_one_recording_in_several_files_counts_once_and_links_are_followed_but_no_loops(tmp_path):
    others = ["copy/DC_a01.wav", "DC_a01.mp3"]
    touch(tmp_path / "own", ["DC_a01.wav", *others])
    corpus = find_corpus(OWN, tmp_path)
    assert list(corpus.utterances["path"]) == [str(tmp_path / "own" / "DC_a01.wav")]
    assert left_out(corpus) == dict.fromkeys(others, "copy")
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "data" / "own"
    touch(tmp_path, ["elsewhere/DC_a01.wav", "data/cafe/01-C-1-1.wav"])
    root.mkdir()
    (root / "linked").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(elsewhere)
    (root / "up").symlink_to(root.parent)  # would lead into the other corpora
    (root / "DC_a02.wav").symlink_to(tmp_path / "gone.wav")
    corpus = find_corpus(OWN, tmp_path / "data")
    assert len(corpus.utterances) == 1 and left_out(corpus) == {"DC_a02.wav": "broken link"}


def test_folder_names_that_are_not_utf8(tmp_path):
    folder = os.fsencode(tmp_path / "cafe") + b"/D\x82go\x96t"
    try:
        os.makedirs(folder)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    for file in lists.read_manifest("cafe.csv")["file"]:
        open(folder + b"/" + os.fsencode(PurePosixPath(file).name), "wb").close()
    corpus = find_corpus("cafe", tmp_path)
    assert corpus.complete
    assert printable(corpus.utterances["path"][0]).endswith("D\\udc82go\\udc96t/01-C-1-1.wav")
    open(folder + b"/what.wav", "wb").close()
    with pytest.raises(SerabError) as caught:
        find_corpus("cafe", tmp_path)
    str(caught.value).encode()


@pytest.mark.parametrize(("place", "files", "message"), NOTHING)
def test_nothing_to_read_in_one_line(tmp_path, place, files, message):
    touch(tmp_path / "savee", files)
    with one_line(message):
        load_task("SAV", tmp_path / place)


def test_where_the_data_is(monkeypatch, tmp_path):
    monkeypatch.setenv("SERAB_DATA", str(tmp_path / "from_environment"))
    monkeypatch.chdir(tmp_path)
    assert (find_data(), find_data("relative")) == (tmp_path / "from_environment", tmp_path / "relative")
    monkeypatch.delenv("SERAB_DATA")
    assert find_data().parts[-2:] == ("serab", "data")


def test_synthetic_corpus_is_complete_by_its_own_list(tmp_path):
    files = ["DC/a01.wav", "JE/a01.wav", "JK/su15.wav"]
    touch(tmp_path / "savee", files)
    (tmp_path / "savee" / MARKER).write_text(json.dumps({"generator": 1, "seed": 0, "files": dict.fromkeys(files)}))
    corpus = find_corpus("SAV", tmp_path)
    assert corpus.synthetic and corpus.complete and corpus.n_expected == 3
    (tmp_path / "savee" / "JE/a01.wav").rename(tmp_path / "savee" / "KL_a01.wav")
    corpus = find_corpus("SAV", tmp_path)
    assert corpus.missing == ("JE_a01",) and corpus.unexpected == ("KL_a01",) and not corpus.complete
    assert [each.file for each in check.check_corpus("SAV", tmp_path).problems if each.kind == "missing"] == ["JE_a01"]


WAVS = "Session1/sentences/wav/Ses01F_impro01"
EVALUATION = "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
# The raters' own lines are not UTF-8.
TURN = "[1.0 - 2.0]\tSes01F_impro01_{}\t{}\t[2.5000, 2.5000, 2.5000]\nC-E3:\tNeutral;\t(a comment, \u00e9)\n"


@pytest.fixture
def iemocap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four utterances of an IEMOCAP of which two, by one speaker and one of each class, are to be had."""
    columns = ["dialogue_prefix", "speaker", "emotion", "utterances"]
    counts = [("01F", "Ses01M", "anger", "1"), ("01F", "Ses01F", "sadness", "1"), ("01F", "Ses01M", "neutral", "0")]
    monkeypatch.setattr(lists, "read_manifest", lambda name: pd.DataFrame(counts, columns=columns))
    labels = {"M000": "ang", "F000": "sad", "M001": "fru", "M002": "xxx"}
    root = tmp_path / "iemocap"
    touch(root, [f"{WAVS}/Ses01F_impro01_{turn}.wav" for turn in labels])
    # What the full release holds besides, labels by single raters among it.
    touch(root, ["Session1/dialog/wav/Ses01F_impro01.wav", "Session1/dialog/MOCAP_head/Ses01F_impro01.wav"])
    touch(root, ["Session1/dialog/EmoEvaluation/Categorical/Ses01F_impro01.txt"], TURN.format("M000", "neu").encode())
    touch(root, [EVALUATION], "".join(TURN.format(*each) for each in labels.items()).encode("latin-1"))
    return root


def test_iemocap_is_complete_by_its_counts_and_names_what_differs_from_them(iemocap):
    corpus = find_corpus("IEM", iemocap.parent)
    assert corpus.complete and corpus.n_expected == 2
    found = corpus.utterances[["speaker", "emotion", "released_group"]].to_numpy().tolist()
    assert found == [["Ses01F", "sadness", "01F"], ["Ses01M", "anger", "01F"]]
    reasons = {each.reason for each in corpus.left_out if each.file.startswith("Session1/dialog")}
    assert reasons == {"a whole dialogue: the task uses its utterances"}
    (iemocap / WAVS / "Ses01F_impro01_M000.wav").rename(iemocap / WAVS / "Ses01F_impro01_F009.wav")
    corpus, kinds = find_corpus("IEM", iemocap.parent), {"M001": "other", "F009": "unlabelled"}
    assert corpus.missing == ("Ses01F_impro01_M000",) and not corpus.complete
    assert left_out(corpus).items() >= {(f"{WAVS}/Ses01F_impro01_{turn}.wav", kind) for turn, kind in kinds.items()}
    (iemocap / WAVS / "Ses01F_impro01_F009.wav").rename(iemocap / WAVS / "Ses01F_impro01_M000.wav")
    (iemocap / EVALUATION).write_bytes((iemocap / EVALUATION).read_bytes().replace(b"ang", b"neu"))
    corpus = find_corpus("IEM", iemocap.parent)
    assert corpus.missing == ("0 of 1 labelled utterances: 01F Ses01M anger",)
    assert corpus.unexpected == ("1 of 0 labelled utterances: 01F Ses01M neutral",)
    assert not corpus.complete and len(corpus.utterances) == 2, "what is there is used, for only counts are known"


def test_labels_that_contradict_each_other_or_are_not_there(iemocap):
    files = [iemocap / EVALUATION, iemocap.parent / "copy" / EVALUATION]
    touch(iemocap.parent / "copy", [EVALUATION], files[0].read_bytes())
    assert lists.read_emoevaluation(files)["Ses01F_impro01_F000"] == "sad"
    files[1].write_bytes(files[0].read_bytes().replace(b"sad", b"hap"))
    with pytest.raises(SerabError, match=r"Ses01F_impro01_F000.*keep one copy"):
        lists.read_emoevaluation(files)
    files[0].unlink()
    with pytest.raises(SerabError, match="EmoEvaluation"):
        load_task("IEM", iemocap.parent)
