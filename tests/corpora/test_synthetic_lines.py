"""What the demo corpora consist of: names as in the real ones, all classes in all parts, words that tell nothing."""

import dataclasses
import itertools
from collections import Counter

import pandas as pd
import pytest
from asserting import one_line

from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import PROTOCOLS, split
from serab_lib.corpora.synthetic import list_lines
from serab_lib.corpora.task import PAPER_TASKS, TASKS

# Utterances, and one file of each corpus with its sentence.
GOLDEN = {
    "AES": (120, "fear/f02 (3).wav", 2),
    "CAF": (130, "Colère/Fort/03-C-2-3.wav", 3),
    "CRE": (126, "AudioWAV/1007_IEO_ANG_HI.wav", 1),
    "EMB": (140, "wav/16a05Fa.wav", 3),
    "EMV": (126, "f2/rab-f2-l3.flac", 7),
    "IEM": (140, "Session2/sentences/wav/Ses02M_script01_1/Ses02M_script01_1_F003.wav", 24),
    "RAV": (128, "Actor_05/03-01-01-01-02-02-05.wav", 2),
    "SAV": (128, "JE_n08.wav", 8),
    "SHE": (132, "male/M02A04.wav", 3),
}


@pytest.mark.parametrize("code", PAPER_TASKS)
def test_names_are_the_real_corpus_own_and_words_say_nothing_about_the_class(code):
    task = TASKS[code]
    lines = list_lines(task, task.demo)
    n_lines, file, sentence = GOLDEN[task.code]
    assert (file, sentence) in {(line.file, line.sentence) for line in lines}
    assert len({line.stem for line in lines}) == len(lines) == n_lines
    for line in lines:
        assert line.stem not in task.excluded
        label = line.label or task.parse(line.stem).emotion
        assert task.emotions.get(label, line.emotion) == line.emotion
    assert {line.emotion for line in lines} == set(task.classes)
    assert {line.speaker for line in lines} == set(task.demo.speakers) <= set(list_utterances(task)["speaker"])
    assert all(task.gender(speaker) in (sex, "unknown") for speaker, sex in task.demo.speakers.items())
    texts = [{line.sentence for line in lines if line.emotion == emotion} for emotion in task.classes]
    assert max(len(one & other) for one, other in itertools.combinations(texts, 2)) >= 2
    used = [line for line in lines if not line.label or line.label in task.emotions]
    assert len(used) == (120 if code == "IEM" else n_lines)
    groups = [{"stem": line.stem, "released_group": task.parse(line.stem).released_group} for line in used]
    utterances = pd.DataFrame([dataclasses.asdict(line) | group for line, group in zip(used, groups, strict=True)])
    for protocol in PROTOCOLS:
        emotions = split(utterances, task, protocol).groupby("part")["emotion"].nunique()
        assert len(emotions) == 3 and emotions.nunique() == 1, "every class is in every part"


def test_oddities_are_kept():
    lines = {code: list_lines(TASKS[code], TASKS[code].demo) for code in ("CAF", "CRE", "IEM", "SHE")}
    assert {line.intensity for line in lines["CAF"] if line.emotion == "neutral"} == {0.8}
    assert {line.intensity for line in lines["CRE"] if "IEO" in line.stem and "NEU" not in line.stem} == {1.2}
    assert {line.speaker for line in lines["SHE"] if line.rate_hz == 44_100} == {"M02", "M04", "M06"}
    counts = {"neu": 40, "ang": 20, "hap": 20, "sad": 20, "exc": 20, "fru": 10, "xxx": 10}
    assert Counter(line.label for line in lines["IEM"]) == counts
    numbers = pd.DataFrame([(line.stem[4:], line.speaker) for line in lines["SHE"]])
    assert numbers.groupby(0)[1].nunique().min() >= 5, "released groups hold several speakers"


def test_a_template_that_makes_no_name_is_one_line():
    ends = {"{who}.wav": "'who' cannot be filled in", "{speaker}{code}.wav": "'DCa.wav', which the task's pattern does"}
    for file, message in ends.items():
        with one_line(f"SAVEE: demo.file .*{message}"):
            list_lines(TASKS["SAV"], dataclasses.replace(TASKS["SAV"].demo, file=file))
