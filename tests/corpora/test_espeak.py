import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from making import one_line

import serab_lib
from serab_lib.corpora.espeak import RATE_HZ, EspeakError, Request, speak
from serab_lib.corpora.prosody import SPEECH

espeakng_loader = pytest.importorskip("espeakng_loader", reason="needs the extra [demo]")


def request(voice: str = "en-us+m3", **settings: int) -> Request:
    neutral = {"words_per_minute": 175, "volume": 100, "pitch": 50, "pitch_range": 50}
    return Request("The train to the city leaves at eight.", voice, neutral | settings)


def test_same_requests_give_same_samples_as_long_and_as_loud_as_told():
    variants = itertools.chain(*SPEECH.variants.values())
    requests = [request(f"{language}+{variant}") for variant in variants for language in ("en-us", "fa")]
    assert list(speak(requests)) == list(speak(requests))
    spoken = speak([request(), request(words_per_minute=300), request(volume=200)])
    neutral, fast, loud = (np.frombuffer(samples, dtype=np.int16) for samples in spoken)
    assert 1 < len(neutral) / RATE_HZ < 4 and len(fast) < 0.75 * len(neutral)
    assert 1.5 < np.std(loud) / np.std(neutral) < 2.5


@pytest.mark.parametrize("voice", ["xx-none", "en-us+../../lang"])
def test_an_unknown_voice_is_an_error_and_prints_nothing(voice, capfd):
    spoken = speak([request(), request(voice)])
    assert next(spoken)
    with pytest.raises(EspeakError, match=f"no voice '{voice.replace('+', '.')}'"):
        next(spoken)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no library", "reinstall"),
        (b"", "has no library at"),
        (None, r"pip install 'serab-companion\[demo\]'"),
        (b"stop", "stopped: reinstall"),
    ],
)
def test_a_library_or_process_that_does_not_work_is_one_line(monkeypatch, tmp_path, content, message):
    library = tmp_path / "libespeak-ng.so"
    if content:
        library.write_bytes(content)
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(library))
    if content is None:
        monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    if content == b"stop":
        monkeypatch.setattr(sys, "executable", "false")
    with one_line(message, EspeakError):
        next(speak([request()]))


def test_data_may_lie_deeper_than_espeak_can_hold(monkeypatch, tmp_path):
    expected = list(speak([request("fa+m3")]))
    data = tmp_path / ("x" * 120) / ("y" * 120) / "espeak-ng-data"
    data.parent.mkdir(parents=True)
    data.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(data))
    assert list(speak([request("fa+m3")])) == expected


def test_nothing_else_imports_the_gpl_package():
    files = Path(serab_lib.__file__).parent.rglob("*.py")
    importers = {path.name for path in files if re.search(r"^\s*(import|from) espeakng", path.read_text("utf-8"), re.M)}
    assert importers == {"espeak.py"}
