from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy import signal

import serab_lib
from serab_lib.core import SerabError
from serab_lib.corpora.corpus import find_corpus
from serab_lib.corpora.synthetic.espeak import Synthesizer
from serab_lib.corpora.synthetic.plans import PLANS, write_emoevaluation
from serab_lib.corpora.synthetic.prosody import RULES, Difficulty, colour, make_voice, plan_delivery
from serab_lib.corpora.synthetic.speech import (
    GENERATOR_VERSION,
    MARKER,
    STALE_AFTER_S,
    choose_plans,
    generate,
    speak_lines,
)
from serab_lib.corpora.task import PAPER_TASKS, get_task

pytest.importorskip("espeakng_loader", reason="needs the extra [demo]")

CODES = tuple(PLANS)
EXACT = Difficulty(strength=1, noise=0, weakened=0, mislabelled=0)


def stem_of(line):
    return Path(line.file).stem


def used_lines(plan):
    """The lines whose label is among the task's classes."""
    return [line for line in plan.lines if not line.label or line.label in get_task(plan.code).emotions]


def snapshot(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Two of the corpora."""
    root = tmp_path_factory.mktemp("demo")
    generate(root, tasks=["EMB", "iemocap"])
    return root


@pytest.fixture
def short_emodb(monkeypatch):
    """EmoDB with its first ten utterances only."""
    plan = PLANS["EMB"]
    monkeypatch.setitem(
        PLANS, "EMB", dataclasses.replace(plan, write_lines=lambda _: itertools.islice(plan.write_lines(plan), 10))
    )


# What the corpora consist of


def test_plans_are_the_papers_tasks():
    assert CODES == PAPER_TASKS
    assert all(plan.name == get_task(code).name for code, plan in PLANS.items())


@pytest.mark.parametrize("code", CODES)
def test_names_are_the_real_corpus_own(code):
    plan, task = PLANS[code], get_task(code)
    lines = plan.lines
    assert len({stem_of(line) for line in lines}) == len({line.file for line in lines}) == len(lines)
    assert 90 <= len(lines) <= 150
    for line in lines:
        parsed = task.parse(stem_of(line))
        assert parsed is not None, line.file
        assert parsed.speaker == line.speaker
        assert stem_of(line) not in task.excluded
        label = line.label or parsed.emotion
        assert task.emotions.get(label, line.emotion) == line.emotion
    assert {line.emotion for line in lines} == set(task.classes)
    assert {line.speaker for line in lines} == set(plan.speakers)


@pytest.mark.parametrize("code", CODES)
def test_speakers_exist_in_the_real_corpus(code):
    name = "iem4_counts.csv" if code == "IEM" else f"{PLANS[code].name}.csv"
    with (resources.files(serab_lib) / "data" / "manifests" / name).open("rb") as stream:
        assert set(PLANS[code].speakers) <= set(pd.read_csv(stream, dtype=str)["speaker"])


@pytest.mark.parametrize("protocol", ["released", "described"])
@pytest.mark.parametrize("code", CODES)
def test_every_class_is_in_every_part(code, protocol):
    task = get_task(code)
    lines = [
        line for line in used_lines(PLANS[code]) if protocol == "described" or line.emotion not in task.released_without
    ]
    groups = {
        line: line.speaker if protocol == "described" else task.parse(stem_of(line)).released_group for line in lines
    }
    names = sorted(set(groups.values()))
    np.random.RandomState(0).shuffle(names)
    first, second = int(task.shares[0] * len(names)), int((task.shares[0] + task.shares[1]) * len(names))
    wanted = {line.emotion for line in lines}
    for part in (names[:first], names[first:second], names[second:]):
        assert {line.emotion for line in lines if groups[line] in part} == wanted


def test_released_shemo_numbers_repeat_over_speakers():
    speakers = pd.DataFrame([(stem_of(line)[4:], line.speaker) for line in PLANS["SHE"].lines])
    assert speakers.groupby(0)[1].nunique().min() >= 5


def test_iemocap_has_labels_that_the_task_leaves_out():
    labels = [line.label for line in PLANS["IEM"].lines]
    assert {"hap", "exc", "fru", "xxx"} < set(labels)
    assert len(used_lines(PLANS["IEM"])) == 120


def test_sentences_are_enough_and_without_final_punctuation():
    languages = tomllib.loads((resources.files(serab_lib) / "data" / "sentences.toml").read_text("utf-8"))
    assert set(languages) == {plan.language for plan in PLANS.values()}
    for language in languages.values():
        sentences = language["sentences"]
        assert len(set(sentences)) == len(sentences) >= 8
        assert all(sentence[-1].isalpha() for sentence in sentences)


@pytest.mark.parametrize("code", CODES)
def test_words_say_nothing_about_the_class(code):
    lines = PLANS[code].lines
    texts = {emotion: {line.sentence for line in lines if line.emotion == emotion} for emotion in RULES}
    assert max(len(texts[a] & texts[b]) for a, b in itertools.combinations(PLANS[code].emotions, 2)) >= 2


# How they sound


@pytest.mark.parametrize("code", CODES)
def test_files_have_the_form_of_their_corpus(code):
    plan = PLANS[code]
    for line, content, duration_s in itertools.islice(speak_lines(plan, seed=0), 3):
        info = soundfile.info(io.BytesIO(content))
        assert (info.samplerate, info.channels) == (line.rate_hz or plan.rate_hz, plan.n_channels)
        assert info.format == Path(line.file).suffix[1:].upper()
        assert info.duration == pytest.approx(duration_s)
        assert 0.7 < duration_s < 5
        waveform, _ = soundfile.read(io.BytesIO(content))
        assert 0.005 < np.sqrt(np.mean(waveform**2)) < 0.5
        assert np.abs(waveform).max() < 1


def measure(emotion, sex):
    """Median fundamental frequency (Hz), duration (s) and level (rms) of three sentences."""
    rng = np.random.default_rng(1)
    voice = make_voice(sex, 0, np.random.default_rng(5))
    rows = []
    with Synthesizer() as engine:
        for text in (
            "The kitchen window is open again",
            "The box is for you",
            "He left the umbrella on the bench",
        ):
            delivery = plan_delivery(emotion, voice, EXACT, rng)
            samples = engine.speak(
                text + delivery.ending,
                voice=f"en-us+{voice.variant}",
                words_per_minute=delivery.words_per_minute,
                volume=delivery.volume,
                pitch=delivery.pitch,
                pitch_range=delivery.pitch_range,
            )
            waveform = colour(samples / 32768, delivery, voice, rng, rate_hz=engine.sample_rate)
            rows.append(
                (
                    estimate_f0(waveform, engine.sample_rate),
                    len(samples) / engine.sample_rate,
                    np.std(waveform),
                )
            )
    return np.mean(rows, axis=0)


def estimate_f0(waveform, rate_hz):
    """Median over the loud frames of the highest peak of the autocorrelation between 60 and 400 Hz."""
    waveform = signal.lfilter(*signal.butter(2, 900, fs=rate_hz), waveform)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 1024)[::256]
    frames = frames[frames.std(axis=1) > np.quantile(frames.std(axis=1), 0.6)]
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 4096)) ** 2)
    lags = np.arange(rate_hz // 400, rate_hz // 60)
    return np.median(rate_hz / lags[correlation[:, lags].argmax(axis=1)])


@pytest.mark.parametrize("sex", ["f", "m"])
def test_rules_act_in_the_published_direction(sex):
    f0, duration, level = np.array([measure(e, sex) for e in ("anger", "sadness", "fear", "neutral")]).T
    anger, sadness, fear, neutral = range(4)
    assert level[anger] > 1.5 * level[neutral] > 1.5 * level[sadness]
    assert duration[anger] < duration[neutral] < duration[sadness]
    assert f0[fear] > 1.2 * f0[neutral] > 1.2 * f0[sadness]
    assert f0[anger] > f0[sadness]


def test_difficulty_weakens_and_blurs():
    voice = make_voice("f", 0, np.random.default_rng(0))

    def volumes(emotion, **difficulty):
        rng = np.random.default_rng(1)
        return [plan_delivery(emotion, voice, Difficulty(**difficulty), rng).volume for _ in range(200)]

    assert np.std(volumes("neutral", noise=0)) == 0 < np.std(volumes("neutral", noise=0.1))
    strong, weak = (np.mean(volumes("anger", strength=strength)) for strength in (1.0, 0.5))
    assert np.mean(volumes("neutral")) < weak < strong


@pytest.mark.parametrize("emotion", sorted(RULES))
def test_settings_stay_within_espeaks_ranges(emotion):
    difficulty = Difficulty(strength=3, noise=0.5)
    rng = np.random.default_rng(0)
    for _ in range(100):
        delivery = plan_delivery(emotion, make_voice("m", 0, rng), difficulty, rng, intensity=1.3)
        assert 80 <= delivery.words_per_minute <= 450
        assert 0 <= delivery.volume <= 200
        assert 0 <= delivery.pitch <= 99
        assert 0 <= delivery.pitch_range <= 99


# How they come to be on disk


def test_marker_lists_every_file_with_its_hash(demo):
    for name in ("emodb", "iemocap"):
        files = snapshot(demo / name)
        marker = json.loads(files.pop(MARKER))
        assert (marker["generator"], marker["seed"]) == (GENERATOR_VERSION, 0)
        assert marker["files"] == {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    assert sorted(os.listdir(demo)) == ["emodb", "iemocap"]


def test_same_seed_gives_same_bytes_in_another_process(demo, tmp_path):
    # From elsewhere, without the other corpus, and with an unlike hash seed.
    code = f"from serab_lib.corpora.synthetic.speech import generate; generate({str(tmp_path)!r}, tasks=['EMB'])"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert snapshot(tmp_path / "emodb") == snapshot(demo / "emodb")


def test_import_leaves_torch_and_espeak_alone():
    code = "import sys, serab_lib.corpora.synthetic.speech; print({'torch', 'espeakng_loader'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_another_seed_gives_other_audio():
    first, other = (next(speak_lines(PLANS["SAV"], seed=seed))[1] for seed in (0, 1))
    assert first != other


def test_a_whole_corpus_is_left_as_it_is_and_a_damaged_one_redone(tmp_path, short_emodb):
    folder = tmp_path / "emodb"
    generate(tmp_path, tasks=["EMB"])
    before = snapshot(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    calls = []
    generate(tmp_path, tasks=["EMB"], progress=lambda *call: calls.append(call))
    assert calls == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    damaged, lost, *_ = sorted((folder / "wav").iterdir())
    damaged.write_bytes(b"")
    lost.unlink()
    generate(tmp_path, tasks=["EMB"], progress=lambda *call: calls.append(call))
    assert calls == [(number, 10) for number in range(1, 11)]
    assert snapshot(folder) == before
    assert os.listdir(tmp_path) == ["emodb"]


def test_interruption_leaves_nothing_behind(tmp_path):
    def interrupt(n_done, total):
        if n_done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, tasks=["CRE", "EMB", "IEM"], progress=interrupt)
    assert os.listdir(tmp_path) == []


def test_an_old_leftover_is_cleared_and_a_young_one_is_not(tmp_path, short_emodb):
    old, young = tmp_path / ".emodb-a.partial", tmp_path / ".emodb-b.partial"
    for folder in (old, young):
        (folder / "emodb" / "wav").mkdir(parents=True)
    then = young.stat().st_mtime - STALE_AFTER_S - 60
    os.utime(old, (then, then))
    (tmp_path / "blocked").write_text("")
    generate(tmp_path, tasks=["EMB"])
    assert sorted(os.listdir(tmp_path)) == [".emodb-b.partial", "blocked", "emodb"]


def test_real_corpus_is_refused_before_anything_is_written(tmp_path):
    real = tmp_path / "shemo" / "deep" / "F01A01.wav"
    real.parent.mkdir(parents=True)
    real.write_bytes(b"RIFF")
    with pytest.raises(SerabError, match="F01A01") as caught:
        generate(tmp_path)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["shemo"]
    assert real.read_bytes() == b"RIFF"


def test_foreign_file_among_the_demos_is_not_destroyed(tmp_path, short_emodb):
    folder = tmp_path / "emodb"
    folder.mkdir()
    (folder / MARKER).write_text(json.dumps({"generator": GENERATOR_VERSION - 1, "seed": 0, "files": {}}))
    (folder / "mine.wav").write_bytes(b"RIFF")
    with pytest.raises(SerabError, match=r"mine\.wav"):
        generate(tmp_path, tasks=["EMB"])
    (folder / "mine.wav").unlink()
    generate(tmp_path, tasks=["EMB"])
    assert len(list(folder.rglob("*.wav"))) == 10


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"generator": 1, "seed": 0, "files": ["a"]}'])
def test_damaged_marker_is_an_error_of_one_line(tmp_path, text):
    folder = tmp_path / "emodb"
    folder.mkdir()
    (folder / MARKER).write_text(text)
    with pytest.raises(SerabError, match="damaged") as caught:
        generate(tmp_path, tasks=["EMB"])
    assert "\n" not in str(caught.value)


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(SerabError, match="ravdess"):
        generate(tmp_path, tasks=["ravdes"])
    with pytest.raises(SerabError, match="seed -1"):
        generate(tmp_path, seed=-1)
    (tmp_path / "file").write_text("")
    with pytest.raises(SerabError, match=re.escape(str(tmp_path / "file"))):
        generate(tmp_path / "file", tasks=["EMB"])
    assert os.listdir(tmp_path) == ["file"]


def test_missing_espeak_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SerabError, match=re.escape("[demo]")):
        generate(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_choose_plans_by_code_name_and_task():
    assert [plan.code for plan in choose_plans(["shemo", get_task("RAV"), "rav"])] == ["RAV", "SHE"]
    assert [plan.code for plan in choose_plans("aes")] == ["AES"]
    assert len(choose_plans(None)) == 9


def test_library_reads_the_demo_as_a_complete_synthetic_corpus(demo):
    for code, n_utterances in (("EMB", 140), ("IEM", 120)):
        corpus = find_corpus(code, demo)
        assert corpus.synthetic
        assert corpus.complete
        assert len(corpus.utterances) == n_utterances
        emotions = {stem_of(line): line.emotion for line in used_lines(PLANS[code])}
        assert dict(zip(corpus.utterances["stem"], corpus.utterances["emotion"], strict=True)) == emotions


def test_emoevaluation_has_the_format_of_the_real_files():
    lines = PLANS["IEM"].lines
    files = dict(write_emoevaluation(lines, {line.file: 1.5 for line in lines}))
    assert len(files) == 10
    text = files["Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"]
    assert text.startswith("% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n")
    turns = re.findall(
        r"^\[(\d+\.\d{4}) - (\d+\.\d{4})\]\t(\w+)\t([a-z]{3})\t\[\d\.\d{4}(?:, \d\.\d{4}){2}\]$", text, re.M
    )
    assert len(turns) == 14
    assert [turn[3] for turn in turns[-2:]] == ["fru", "xxx"]
    assert all(float(start) < float(end) for start, end, *_ in turns)
