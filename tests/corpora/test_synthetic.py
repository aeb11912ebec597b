import dataclasses
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import soundfile
from making import one_line

from serab_lib.corpora import splits, synthetic
from serab_lib.corpora.corpus import MARKER, find_corpus, list_utterances
from serab_lib.corpora.synthetic import GENERATOR_VERSION, generate, list_lines, speak_lines
from serab_lib.corpora.task import PAPER_TASKS, TASKS, Task

pytest.importorskip("espeakng_loader", reason="needs the extra [demo]")
# Utterances, and one file of each corpus with its sentence.
GOLDEN = pd.read_csv(Path(__file__).with_name("spoken.csv"), index_col="task")


def shorten(task: Task, n_speakers: int = 2) -> Task:
    """Keep the first speakers of a task's demo, and one take."""
    speakers = dict(list(task.demo.speakers.items())[:n_speakers])
    demo = dataclasses.replace(task.demo, speakers=speakers, takes=dict.fromkeys(task.demo.takes, 1))
    return dataclasses.replace(task, demo=demo)


SHORT = shorten(TASKS["EMB"])


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def list_visible(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name != ".synthetic.lock")


@pytest.mark.parametrize("code", PAPER_TASKS)
def test_files_have_the_form_of_their_corpus_which_the_library_reads_as_complete_and_synthetic(code, tmp_path):
    task = shorten(TASKS[code], 4)
    generate(tmp_path, tasks=[task])
    found = find_corpus(task, tmp_path)
    n_used = sum(not line.label or line.label in task.emotions for line in list_lines(task, task.demo))
    assert (found.synthetic, found.complete, len(found.utterances)) == (True, True, n_used)
    files = read_files(tmp_path / task.name)
    marker = json.loads(files.pop(MARKER))
    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    assert (marker["generator"], marker["seed"], marker["files"]) == (GENERATOR_VERSION, 0, hashes)
    assert list_visible(tmp_path) == [task.name]
    assert {path.parts[-2] for path in tmp_path.rglob("*.txt")} <= {"EmoEvaluation"}
    rates = set()
    for path in [*tmp_path.rglob("*.wav"), *tmp_path.rglob("*.flac")]:
        info = soundfile.info(path)
        assert (info.channels, info.format) == (task.demo.n_channels, path.suffix[1:].upper())
        waveform, rate = soundfile.read(path)
        assert 0.7 < info.duration < 6 and 0.005 < np.sqrt(np.mean(waveform**2)) < 0.5 and np.abs(waveform).max() < 1
        assert info.channels == 1 or (waveform[:, 0] != waveform[:, 1]).any()
        rates.add(rate)
    assert rates == {task.demo.rate_hz, *task.demo.rates_hz.values()}


def test_same_seed_gives_same_samples_in_another_process(tmp_path):
    # From elsewhere, and with an unlike hash seed; the import alone leaves torch and eSpeak NG alone.
    code = """if True:
        import dataclasses, hashlib, sys
        from serab_lib.corpora.synthetic import speak_lines
        from serab_lib.corpora.task import TASKS
        assert not {"torch", "espeakng_loader"} & set(sys.modules)
        demo = dataclasses.replace(TASKS["EMB"].demo, speakers={"03": "male"}, takes={"W": 1, "L": 1})
        spoken = speak_lines(dataclasses.replace(TASKS["EMB"], demo=demo), seed=0)
        print(*(hashlib.sha256(pcm).hexdigest() for _, pcm in spoken))"""
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    expected = [hashlib.sha256(pcm).hexdigest() for _, pcm in itertools.islice(speak_lines(SHORT), 2)]
    assert (done.stdout.split(), done.stderr) == (expected, "")


def test_an_utterance_is_acted_as_the_record_says(monkeypatch):
    acted, plan = [], synthetic.plan_delivery

    def watch(emotion, voice, *arguments, intensity):
        acted.append((emotion, voice.variant, intensity))
        return plan(emotion, voice, *arguments, intensity=intensity)

    monkeypatch.setattr(synthetic, "plan_delivery", watch)
    monkeypatch.setattr(synthetic, "speak", lambda requests: [bytes(4_000) for _ in requests])
    task = dataclasses.replace(TASKS["CAF"], demo=dataclasses.replace(TASKS["CAF"].demo, mislabelled=0.2))
    lines = [line for line, _ in speak_lines(task)]
    assert [line.intensity for line in lines] == [intensity for *_, intensity in acted]
    assert len({variant for _, variant, _ in acted}) == 10, "each of the ten has a voice variant of its own"
    n_other = sum(line.emotion != emotion for line, (emotion, *_) in zip(lines, acted, strict=True))
    assert 10 < n_other < 45, "a fifth of 130"


def test_a_whole_corpus_is_left_as_it_is_and_a_damaged_one_redone(tmp_path):
    folder, calls = tmp_path / "emodb", []
    generate(tmp_path, tasks=[SHORT])
    before = read_files(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    generate(tmp_path, tasks=[SHORT], progress=lambda *call: calls.append(call))
    assert calls == [] and {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    damaged, lost, *_ = sorted((folder / "wav").iterdir())
    for spoil in (lambda: damaged.write_bytes(b""), lost.unlink):
        spoil()
        generate(tmp_path, tasks=[SHORT], progress=lambda *call: calls.append(call))
        assert read_files(folder) == before
    assert calls == 2 * [(number, 14) for number in range(1, 15)]
    generate(tmp_path, tasks=[SHORT], seed=1)
    again = read_files(folder)
    assert again.keys() == before.keys() and not set(again.values()) & set(before.values())
    assert list_visible(tmp_path) == ["emodb"]


def test_interruption_leaves_nothing_behind(tmp_path):
    interrupt = Mock(side_effect=[None] * 17 + [KeyboardInterrupt])
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, tasks=[SHORT, shorten(TASKS["CRE"])], progress=interrupt)
    assert list_visible(tmp_path) == ["emodb"]


@pytest.mark.parametrize("marker", [None, {"generator": 0, "seed": 0, "files": {}}], ids=["real", "old demo"])
def test_a_file_that_no_demo_has_written_is_not_destroyed(tmp_path, marker):
    mine = tmp_path / "emodb" / "deep" / "mine.wav"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"RIFF")
    if marker:
        (tmp_path / "emodb" / MARKER).write_text(json.dumps(marker))
    with one_line(r"emodb holds 1 files of another origin \('deep/mine\.wav'\)"):
        generate(tmp_path, tasks=[shorten(TASKS["AES"]), SHORT])
    assert list_visible(tmp_path) == ["emodb"] and mine.read_bytes() == b"RIFF"
    if marker:
        mine.unlink()
        generate(tmp_path, tasks=[SHORT])
        assert len(list((tmp_path / "emodb").rglob("*.wav"))) == 14


def test_bad_arguments_and_templates_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    contempt = dataclasses.replace(TASKS["AES"], emotions={"a": "contempt", "d": "anger"}, examples={})
    (tmp_path / "file").write_text("")
    for message, place, changes in (
        ("ravdess", "data", {"tasks": ["ravdes"]}),
        ("SUBESCO has no synthetic corpus", "data", {"tasks": ["SUB"]}),
        ("nothing says how to speak contempt", "data", {"tasks": [contempt]}),
        ("seed -1", "data", {"seed": -1}),
        (re.escape(str(tmp_path / "file")), "file", {"tasks": ["EMB"]}),
        (r"\[demo\]", "data", {}),
    ):
        if not changes:
            monkeypatch.setitem(sys.modules, "espeakng_loader", None)
        with one_line(message):
            generate(tmp_path / place, **changes)
    assert os.listdir(tmp_path) == ["file"]
    ends = {"{who}.wav": "'who' cannot be filled in", "{speaker}{code}.wav": "'DCa.wav', which the task's pattern does"}
    for file, message in ends.items():
        with one_line(f"SAVEE: demo.file .*{message}"):
            list_lines(TASKS["SAV"], dataclasses.replace(TASKS["SAV"].demo, file=file))


@pytest.mark.parametrize("code", PAPER_TASKS)
def test_names_are_the_real_corpus_own_and_words_say_nothing_about_the_class(code):
    task = TASKS[code]
    lines = list_lines(task, task.demo)
    n_lines, file, sentence = GOLDEN.loc[task.code]
    assert (file, sentence) in {(line.file, line.sentence) for line in lines}
    assert len({line.stem for line in lines}) == len(lines) == n_lines
    for line in lines:
        assert line.stem not in task.excluded
        assert task.emotions.get(line.label or task.parse(line.stem).emotion, line.emotion) == line.emotion
    assert {line.emotion for line in lines} == set(task.classes)
    assert {line.speaker for line in lines} == set(task.demo.speakers) <= set(list_utterances(task)["speaker"])
    assert all(task.gender(speaker) in (sex, "unknown") for speaker, sex in task.demo.speakers.items())
    texts = [{line.sentence for line in lines if line.emotion == emotion} for emotion in task.classes]
    assert max(len(one & other) for one, other in itertools.combinations(texts, 2)) >= 2
    used = [line for line in lines if not line.label or line.label in task.emotions]
    assert len(used) == (120 if code == "IEM" else n_lines)
    groups = [{"stem": line.stem, "released_group": task.parse(line.stem).released_group} for line in used]
    utterances = pd.DataFrame([dataclasses.asdict(line) | group for line, group in zip(used, groups, strict=True)])
    for protocol in splits.PROTOCOLS:
        emotions = splits.split(utterances, task, protocol).groupby("part")["emotion"].nunique()
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
