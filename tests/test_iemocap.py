"""Labels of IEMOCAP, read from made-up label files in the release's layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from serab_lib.core import SerabError
from serab_lib.corpora.iemocap import read_labels

TURNS = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral;\t(a comment, \u00e9)
C-F1:\tNeutral;\t()
A-E3:\tval 3; act 2; dom  2;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M000\texc\t[2.5000, 2.5000, 2.5000]
C-E2:\tHappiness; Excited;\t()

[14.8872 - 18.0175]\tSes01F_impro01_M001\txxx\t[2.5000, 2.5000, 2.5000]
"""


def write(root: Path, folder: str, name: str, text: str) -> Path:
    path = root / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("latin-1"))
    return path


def test_reads_turns_with_every_label(tmp_path: Path) -> None:
    file = write(tmp_path, "Session1/dialog/EmoEvaluation", "Ses01F_impro01.txt", TURNS)
    assert read_labels([file]) == {
        "Ses01F_impro01_F000": "neu",
        "Ses01F_impro01_M000": "exc",
        "Ses01F_impro01_M001": "xxx",
    }


def test_ignores_single_raters_other_folders_and_mac_files(tmp_path: Path) -> None:
    evaluation = "Session1/dialog/EmoEvaluation"
    other = TURNS.replace("neu", "ang")
    files = [
        write(tmp_path, evaluation, "Ses01F_impro01.txt", TURNS),
        write(tmp_path, f"{evaluation}/Categorical", "Ses01F_impro01_e1_cat.txt", other),
        write(tmp_path, f"{evaluation}/Attribute", "Ses01F_impro01_e1_atr.txt", other),
        write(tmp_path, f"{evaluation}/Self-evaluation", "Ses01F_impro01_f1_atr.txt", other),
        write(tmp_path, "Session1/dialog/transcriptions", "Ses01F_impro01.txt", other),
        write(tmp_path, evaluation, "._Ses01F_impro01.txt", other),
    ]
    assert read_labels(files)["Ses01F_impro01_F000"] == "neu"


def test_same_label_twice_is_fine_and_contradiction_is_not(tmp_path: Path) -> None:
    first = write(tmp_path, "a/EmoEvaluation", "Ses01F_impro01.txt", TURNS)
    second = write(tmp_path, "b/EmoEvaluation", "Ses01F_impro01.txt", TURNS)
    assert len(read_labels([first, second])) == 3
    second.write_text(TURNS.replace("exc", "hap"))
    with pytest.raises(SerabError, match=r"Ses01F_impro01_M000.*keep one copy"):
        read_labels([first, second])


def test_without_labels(tmp_path: Path) -> None:
    empty = write(tmp_path, "a/EmoEvaluation", "Ses01F_impro01.txt", "")
    for files in ([], [empty]):
        with pytest.raises(SerabError, match=r"EmoEvaluation.*unpack the full release"):
            read_labels(files)


def test_unreadable_file(tmp_path: Path) -> None:
    folder = tmp_path / "EmoEvaluation" / "Ses01F_impro01.txt"
    folder.mkdir(parents=True)
    with pytest.raises(SerabError, match="cannot read"):
        read_labels([folder])
