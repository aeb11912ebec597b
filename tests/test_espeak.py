from __future__ import annotations

import ast
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import serab_lib
from serab_lib.core import SerabError
from serab_lib.corpora.synthetic import espeak
from serab_lib.corpora.synthetic.espeak import Synthesizer
from serab_lib.corpora.synthetic.prosody import VARIANTS

espeakng_loader = pytest.importorskip("espeakng_loader", reason="needs the extra [demo]")

TEXT = "The train to the city leaves at eight."
VOICE = "en-us+m3"


@pytest.fixture
def engine():
    with Synthesizer() as engine:
        yield engine


def test_same_sequence_gives_same_samples_with_every_variant_in_use():
    voices = [
        f"{language}+{variant}" for variant in itertools.chain(*VARIANTS.values()) for language in ("en-us", "fa")
    ]
    spoken = []
    for _ in range(4):
        with Synthesizer() as engine:
            spoken.append([engine.speak(TEXT, voice=voice, pitch=pitch) for voice in voices for pitch in (30, 80)])
    for others in spoken[1:]:
        for first, other in zip(spoken[0], others, strict=True):
            np.testing.assert_array_equal(first, other)


def test_no_variant_in_use_is_a_breathy_one():
    folder = Path(espeakng_loader.get_data_path(), "voices", "!v")
    assert "\nbreath" in (folder / "f2").read_text()
    for variant in itertools.chain(*VARIANTS.values()):
        assert "\nbreath" not in (folder / variant).read_text(), variant


def test_speaks_as_long_and_as_loud_as_told(engine):
    assert engine.sample_rate == 22_050
    neutral, fast, loud = (
        engine.speak(TEXT, voice=VOICE, **setting) for setting in ({}, {"words_per_minute": 300}, {"volume": 200})
    )
    assert neutral.dtype == np.int16
    assert 1 < len(neutral) / engine.sample_rate < 4
    assert len(fast) < 0.75 * len(neutral)
    assert 1.5 < np.std(loud) / np.std(neutral) < 2.5


@pytest.mark.parametrize(
    ("voice", "name"), [("xx-none", "xx-none"), ("en-us+f99", "f99"), ("en-us+../../lang", "../../lang")]
)
def test_refuses_unknown_voice_and_goes_on(engine, voice, name):
    with pytest.raises(SerabError, match=name):
        engine.speak(TEXT, voice=voice)
    assert len(engine.speak(TEXT, voice=VOICE)) > 0


def test_prints_nothing(capfd):
    with Synthesizer() as engine:
        engine.speak(TEXT, voice=VOICE)
        with pytest.raises(SerabError):
            engine.speak(TEXT, voice="xx-none")
    assert capfd.readouterr() == ("", "")


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SerabError, match=r"pip install 'serab-companion\[demo\]'"):
        Synthesizer()


def test_broken_library_is_one_line(monkeypatch, tmp_path):
    library = tmp_path / "libespeak-ng.so"
    library.write_bytes(b"no library")
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: str(library))
    with pytest.raises(SerabError, match="reinstall") as caught:
        Synthesizer()
    assert "\n" not in str(caught.value)


def test_long_data_path(monkeypatch, tmp_path):
    # eSpeak NG itself would silently look for its data elsewhere.
    folder = tmp_path / ("x" * 120) / ("y" * 120)
    folder.mkdir(parents=True)
    data = folder / "espeak-ng-data"
    data.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(data))
    with Synthesizer() as engine:
        assert len(engine.speak(TEXT, voice=VOICE)) > 0
        short = Path(engine._short_folder)
        assert short.is_dir()
    assert not short.exists()
    assert (data / "phontab").is_file()


def test_closed_or_stopped_engine_says_so():
    engine = Synthesizer()
    engine._process.kill()
    engine._process.wait()
    with pytest.raises(SerabError, match="stopped"):
        engine.speak(TEXT, voice=VOICE)
    engine.close()
    engine.close()
    with pytest.raises(SerabError, match="closed"):
        engine.speak(TEXT, voice=VOICE)


def test_worker_ends_with_its_input():
    library, data = espeak.find_espeak()
    worker = subprocess.run([sys.executable, espeak.WORKER, library, data], stdin=subprocess.DEVNULL, timeout=20)
    assert worker.returncode == 0


def test_nothing_else_imports_the_gpl_package():
    importers = set()
    for path in Path(serab_lib.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "espeakng_loader" for name in names):
                importers.add(path.name)
    assert importers == {"espeak.py"}
