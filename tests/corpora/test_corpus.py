"""Corpora on disk: found at any depth, told apart by name, nothing left out in silence."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest

from serab_lib.core import SerabError, UnknownNameError, printable
from serab_lib.corpora import corpus as lists
from serab_lib.corpora.corpus import (
    MARKER,
    Corpus,
    find_corpus,
    find_data,
    load_task,
    read_emoevaluation,
    read_manifest,
)
from serab_lib.corpora.task import TASKS, Task

# The long ones make thousands of files; that their names are read right is tested without any.
LISTED = [
    pytest.param(code, marks=[] if code in ("AES", "SAV") else pytest.mark.nightly)
    for code, task in TASKS.items()
    if not task.counts
]


def touch(root: Path, files: Iterable[str], content: bytes = b"") -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def real_names(task: Task) -> list[str]:
    return list(read_manifest(f"{task.name}.csv")["file"])


def left_out(corpus: Corpus) -> dict[str, str]:
    return {each.file: each.kind for each in corpus.left_out}


def own_task(**changes: object) -> Task:
    return dataclasses.replace(TASKS["SAV"], **{"code": "OWN", "name": "own", "in_paper": False} | changes)


@pytest.mark.parametrize("code", LISTED)
def test_whole_corpus_under_its_real_names(code: str, tmp_path: Path) -> None:
    task = TASKS[code]
    touch(tmp_path / task.name, real_names(task))
    corpus = find_corpus(code, tmp_path)
    assert corpus.complete and not corpus.synthetic
    assert corpus.missing == corpus.unexpected == ()
    assert set(left_out(corpus).values()) <= {"excluded"}
    table = corpus.utterances
    assert list(table.columns) == ["stem", "path", "speaker", "emotion", "released_group"]
    assert len(table) == corpus.n_expected == len(set(real_names(task))) - len(corpus.left_out)
    assert list(table["stem"]) == sorted(table["stem"])
    facts = {PurePosixPath(row.file).stem: row for row in read_manifest(f"{task.name}.csv").itertuples()}
    for row in table.itertuples():
        assert (row.speaker, row.emotion) == (facts[row.stem].speaker, facts[row.stem].emotion)
        assert os.path.isabs(row.path) and os.path.exists(row.path)


def test_any_depth_suffix_and_case(tmp_path: Path) -> None:
    suffixes = (".wav", ".WAV", ".flac", ".Mp3", ".OGG")
    touch(tmp_path / "own", (f"{'x/' * row}DC/a0{row}{suffix}" for row, suffix in enumerate(suffixes)))
    assert list(load_task(own_task(), tmp_path)["stem"]) == [f"DC_a0{row}" for row in range(5)]


def test_system_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path / "own", ["DC_a01.wav", "._DC_a01.wav", "__MACOSX/DC_a02.wav", ".git/what.wav", "Read me.txt"])
    corpus = find_corpus(own_task(), tmp_path)
    assert len(corpus.utterances) == 1 and corpus.left_out == ()


@pytest.mark.parametrize(
    ("code", "file", "kind"),
    [
        ("AES", "sadness/s05 (3).wav", "excluded"),
        ("CRE", "AudioWAV/1040_ITH_SAD_X.wav", "excluded"),
        ("RAV", "song/03-02-01-01-01-01-01.wav", "other"),
    ],
)
def test_known_files_are_left_out_with_a_reason(code: str, file: str, kind: str, tmp_path: Path) -> None:
    task = TASKS[code]
    touch(tmp_path / task.name, [real_names(task)[0], file])
    (found,) = find_corpus(task, tmp_path).left_out
    assert (found.file, found.kind) == (file, kind) and found.reason


def test_missing_and_unexpected_files_are_reported(tmp_path: Path) -> None:
    touch(tmp_path / "savee", [*real_names(TASKS["SAV"])[2:], "DC_a99.wav"])
    corpus = find_corpus("SAV", tmp_path)
    assert corpus.missing == ("DC_a01", "DC_a02")
    assert corpus.unexpected == ("DC_a99",)
    assert left_out(corpus) == {"DC_a99.wav": "unexpected"}, "an extra file changes no result"
    assert not corpus.complete
    assert (len(corpus.utterances), corpus.n_expected) == (478, 480)


def test_unknown_names_stop_in_one_line(tmp_path: Path) -> None:
    touch(tmp_path / "own", ["DC_a01.wav", *(f"take{n}.wav" for n in range(5))])
    with pytest.raises(SerabError, match=r"5 audio files\), such as take0\.wav, take1\.wav, take2\.wav:") as caught:
        find_corpus(own_task(), tmp_path)
    assert "\n" not in str(caught.value)
    lenient = find_corpus(own_task(), tmp_path, strict=False)
    assert len(lenient.utterances) == 1 and set(left_out(lenient).values()) == {"strange"}


def test_one_name_in_several_formats_takes_the_lossless_one(tmp_path: Path) -> None:
    touch(tmp_path / "own", ["DC_a01.mp3", "DC_a01.wav"])
    corpus = find_corpus(own_task(), tmp_path)
    assert [os.path.basename(path) for path in corpus.utterances["path"]] == ["DC_a01.wav"]
    assert left_out(corpus) == {"DC_a01.mp3": "copy"}


def test_byte_identical_files_of_one_name_count_once(tmp_path: Path) -> None:
    touch(tmp_path / "own", ["DC_a01.wav", "copy/DC_a01.wav"], b"same")
    corpus = find_corpus(own_task(), tmp_path)
    assert list(corpus.utterances["path"]) == [str(tmp_path / "own" / "DC_a01.wav")], "the first by path"
    assert left_out(corpus) == {"copy/DC_a01.wav": "copy"}


def test_different_recordings_of_one_name_stop(tmp_path: Path) -> None:
    touch(tmp_path / "own", ["DC_a01.wav", "DC_a02.wav"], b"same")
    touch(tmp_path / "own", ["copy/DC_a01.wav"], b"other")
    with pytest.raises(SerabError, match=r"such as DC_a01\.wav, copy/DC_a01\.wav: keep one") as caught:
        find_corpus(own_task(), tmp_path)
    assert "\n" not in str(caught.value)
    lenient = find_corpus(own_task(), tmp_path, strict=False)
    assert left_out(lenient) == dict.fromkeys(("DC_a01.wav", "copy/DC_a01.wav"), "conflict")


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "data" / "own"
    touch(elsewhere, ["DC_a01.wav"])
    touch(tmp_path / "data" / "cafe", ["01-C-1-1.wav"])
    root.mkdir(parents=True)
    (root / "linked").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(elsewhere)
    (root / "up").symlink_to(root.parent)  # would lead into the other corpora
    (root / "DC_a02.wav").symlink_to(tmp_path / "gone.wav")
    corpus = find_corpus(own_task(), tmp_path / "data")
    assert len(corpus.utterances) == 1 and left_out(corpus) == {"DC_a02.wav": "broken link"}


def test_folder_names_that_are_not_utf8(tmp_path: Path) -> None:
    task = TASKS["CAF"]
    folder = os.fsencode(tmp_path / "cafe") + b"/D\x82go\x96t"
    try:
        os.makedirs(folder)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    for file in real_names(task):
        with open(folder + b"/" + os.fsencode(PurePosixPath(file).name), "wb"):
            pass
    corpus = find_corpus("cafe", tmp_path)
    assert corpus.complete
    assert printable(corpus.utterances["path"][0]).endswith("D\\udc82go\\udc96t/01-C-1-1.wav")
    with open(folder + b"/what.wav", "wb"):
        pass
    with pytest.raises(SerabError) as caught:
        find_corpus("cafe", tmp_path)
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, r"no folder .*savee: put SAVEE there"),
        (["AudioData.zip"], r"no \.wav \.flac \.ogg \.mp3 file in the folder .*savee.*: put SAVEE there, unpacked"),
        (["DC_a99.wav"], r"no utterance of SAVEE .*DC_a99\.wav \(not among the task's files\)"),
    ],
)
def test_nothing_to_read_in_one_line(files: list[str] | None, message: str, tmp_path: Path) -> None:
    if files is not None:
        (tmp_path / "savee").mkdir()
        touch(tmp_path / "savee", files)
    with pytest.raises(SerabError, match=message) as caught:
        load_task("SAV", tmp_path)
    assert "\n" not in str(caught.value)


def test_no_data_folder_and_no_such_task(tmp_path: Path) -> None:
    with pytest.raises(SerabError, match="pass --data DIR or set SERAB_DATA"):
        load_task("SAV", tmp_path / "none")
    with pytest.raises(UnknownNameError):
        load_task("SAVE", tmp_path)


def test_where_the_data_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERAB_DATA", str(tmp_path / "from_environment"))
    assert find_data() == tmp_path / "from_environment"
    assert find_data(tmp_path / "given") == tmp_path / "given"
    monkeypatch.chdir(tmp_path)
    assert find_data("relative") == tmp_path / "relative"
    monkeypatch.delenv("SERAB_DATA")
    assert find_data().parts[-2:] == ("serab", "data")


def mark(root: Path, files: Iterable[str]) -> None:
    (root / MARKER).write_text(json.dumps({"generator": 1, "seed": 0, "files": dict.fromkeys(files, "0")}))


def test_synthetic_corpus_is_complete_by_its_own_list(tmp_path: Path) -> None:
    files = ["DC/a01.wav", "JE/a01.wav", "JK/su15.wav"]
    touch(tmp_path / "savee", files)
    mark(tmp_path / "savee", files)
    corpus = find_corpus("SAV", tmp_path)
    assert corpus.synthetic and corpus.complete and corpus.n_expected == 3
    (tmp_path / "savee" / "JE/a01.wav").unlink()
    touch(tmp_path / "savee", ["KL/a01.wav"])
    corpus = find_corpus("SAV", tmp_path)
    assert corpus.missing == ("JE_a01",) and corpus.unexpected == ("KL_a01",) and not corpus.complete


def test_own_corpus_has_no_list(tmp_path: Path) -> None:
    touch(tmp_path / "own", ["AA_a01.wav", "BB_n12.flac"])
    corpus = find_corpus(own_task(), tmp_path)
    assert corpus.complete and corpus.n_expected is None and len(corpus.utterances) == 2


TURN = "[1.0 - 2.0]\t{stem}\t{label}\t[2.5000, 2.5000, 2.5000]\n"


def write_iemocap(root: Path, labels: dict[str, str]) -> None:
    """Lay out made-up utterances as the full release does, its MOCAP folders and dialogue audio included."""
    for stem, label in labels.items():
        session, dialogue = f"Session{int(stem[3:5])}", stem.rsplit("_", 1)[0]
        touch(root, [
            f"{session}/sentences/wav/{dialogue}/{stem}.wav",
            f"{session}/sentences/MOCAP_head/{dialogue}/{stem}.txt",
            f"{session}/dialog/wav/{dialogue}.wav",
            f"{session}/dialog/MOCAP_head/{dialogue}.wav",
        ])  # fmt: skip
        evaluation = root / session / "dialog/EmoEvaluation"
        (evaluation / "Categorical").mkdir(parents=True, exist_ok=True)
        (evaluation / "Categorical" / f"{dialogue}_e1_cat.txt").write_text(TURN.format(stem=stem, label="ang"))
        with (evaluation / f"{dialogue}.txt").open("a") as stream:
            stream.write(TURN.format(stem=stem, label=label))


@pytest.fixture
def iemocap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four utterances of an IEMOCAP of which two, by one speaker and one of each class, are to be had."""
    columns = ["dialogue_prefix", "speaker", "emotion", "utterances"]
    counts = [("01F", "Ses01M", "anger", "1"), ("01F", "Ses01F", "sadness", "1"), ("01F", "Ses01M", "neutral", "0")]
    monkeypatch.setattr(lists, "read_manifest", lambda name: pd.DataFrame(counts, columns=columns))
    labels = {"M000": "ang", "F000": "sad", "M001": "fru", "M002": "xxx"}
    write_iemocap(tmp_path / "iemocap", {f"Ses01F_impro01_{turn}": label for turn, label in labels.items()})
    return tmp_path


def test_iemocap_is_complete_by_its_counts(iemocap: Path) -> None:
    corpus = find_corpus("IEM", iemocap)
    assert corpus.complete and corpus.n_expected == 2
    assert [tuple(row) for row in corpus.utterances[["speaker", "emotion", "released_group"]].to_numpy()] == [
        ("Ses01F", "sadness", "01F"),
        ("Ses01M", "anger", "01F"),
    ]
    reasons = {each.reason for each in corpus.left_out if each.file.startswith("Session1/dialog")}
    assert reasons == {"a whole dialogue: the task uses its utterances"}


def test_iemocap_names_what_is_labelled_and_absent(iemocap: Path) -> None:
    wavs = "Session1/sentences/wav/Ses01F_impro01/"
    (iemocap / "iemocap" / f"{wavs}Ses01F_impro01_M000.wav").unlink()
    touch(iemocap / "iemocap", [f"{wavs}Ses01F_impro01_F009.wav"])
    corpus = find_corpus("IEM", iemocap)
    assert corpus.missing == ("Ses01F_impro01_M000",) and not corpus.complete
    assert left_out(corpus)[f"{wavs}Ses01F_impro01_M001.wav"] == "other"
    assert left_out(corpus)[f"{wavs}Ses01F_impro01_F009.wav"] == "unlabelled"


def test_iemocap_that_differs_from_its_counts(iemocap: Path) -> None:
    evaluation = iemocap / "iemocap/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    evaluation.write_text(evaluation.read_text().replace("ang", "neu"))
    corpus = find_corpus("IEM", iemocap)
    assert corpus.missing == ("0 of 1 labelled utterances: 01F Ses01M anger",)
    assert corpus.unexpected == ("1 of 0 labelled utterances: 01F Ses01M neutral",)
    assert not corpus.complete and len(corpus.utterances) == 2, "what is there is used, for only counts are known"


def test_iemocap_without_label_files(tmp_path: Path) -> None:
    touch(tmp_path / "iemocap", ["Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav"])
    with pytest.raises(SerabError, match="EmoEvaluation"):
        load_task("IEM", tmp_path)


def test_synthetic_iemocap_is_complete_by_its_own_list(tmp_path: Path) -> None:
    root = tmp_path / "iemocap"
    write_iemocap(root, {"Ses01F_impro01_M000": "ang", "Ses01F_impro01_M001": "fru", "Ses02F_impro01_F000": "neu"})
    mark(root, [str(path.relative_to(root)) for path in root.rglob("*.*") if "MOCAP" not in str(path)])
    corpus = find_corpus("IEM", tmp_path)
    assert corpus.synthetic and corpus.complete and corpus.n_expected == 2


TURNS = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral;\t(a comment, \u00e9)
A-E3:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M000\texc\t[2.5000, 2.5000, 2.5000]
C-E2:\tHappiness; Excited;\t()

[14.8872 - 18.0175]\tSes01F_impro01_M001\txxx\t[2.5000, 2.5000, 2.5000]
"""


def write_turns(root: Path, folder: str, text: str = TURNS) -> Path:
    path = root / folder / "Ses01F_impro01.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("latin-1"))
    return path


def test_labels_are_those_of_the_turns_not_of_single_raters(tmp_path: Path) -> None:
    other = TURNS.replace("neu", "ang")
    files = [
        write_turns(tmp_path, "dialog/EmoEvaluation"),
        write_turns(tmp_path, "dialog/EmoEvaluation/Categorical", other),
        write_turns(tmp_path, "dialog/transcriptions", other),
    ]
    assert read_emoevaluation(files) == {
        "Ses01F_impro01_F000": "neu",
        "Ses01F_impro01_M000": "exc",
        "Ses01F_impro01_M001": "xxx",
    }


def test_one_label_twice_is_fine_and_a_contradiction_is_not(tmp_path: Path) -> None:
    files = [write_turns(tmp_path, f"{folder}/EmoEvaluation") for folder in "ab"]
    assert len(read_emoevaluation(files)) == 3
    files[1].write_text(TURNS.replace("exc", "hap"))
    with pytest.raises(SerabError, match=r"Ses01F_impro01_M000.*keep one copy"):
        read_emoevaluation(files)
