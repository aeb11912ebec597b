import base64
import re

import numpy as np
import pandas as pd
import pytest
import soundfile
from matplotlib.figure import Figure

from serab_lib.book import show


@pytest.fixture
def shown(monkeypatch):
    found = []
    monkeypatch.setattr(show, "display", lambda data, raw, metadata: found.append((data, metadata)))
    return found


def test_table_carries_name_caption_and_markdown_with_values_written_for_reading(shown):
    columns = {"n": [1234, None], "share": [1.25, float("nan")], "text": ["a|<b", "**x**"]}
    show.show_table(pd.DataFrame(columns, index=["p", "q"]), name="tbl-x", caption="Of things.", sortable=True)
    ((data, metadata),) = shown
    kind = {"kind": "table", "name": "tbl-x", "caption": "Of things."}
    assert metadata["serab"] == kind | {"sortable": True, "wordy": False}
    lines = data["text/markdown"].splitlines()
    assert [cell.strip() for cell in lines[3].split("|")[1:-1]] == ["q", "–", "–", "**x**"]
    assert "a\\|<b" in lines[2] and "1.2" in lines[2]
    assert all(part in data["text/html"] for part in ("<b>x</b>", "a|&lt;b", "Of things."))
    row = [1234, np.bool_(True), np.float32(0.25), pd.NA, {"C": 1}]
    show.show_table(pd.DataFrame([row], dtype=object), name="t", caption="c", index=False)
    cells = shown[1][0]["text/markdown"].splitlines()[2].split("|")[1:-1]
    assert [cell.strip() for cell in cells] == ["1,234", "yes", "0.2", "–", "{'C': 1}"]


@pytest.mark.parametrize(("vector", "mime"), [(True, "image/svg+xml"), (False, "image/png")])
def test_figure_is_the_same_each_time(shown, vector, mime):
    figure = Figure()
    figure.subplots().plot([1, 2])
    for _ in range(2):
        show.show_figure(figure, name="fig-x", caption="C.", alt="A line.", vector=vector)
    assert shown[0][0][mime] == shown[1][0][mime]
    assert shown[0][1]["serab"]["alt"] == "A line." == shown[0][0]["text/plain"]


def test_audio_banner_downloads_and_numbers_are_written_out(shown, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(8000) / 10) * 0.1, 16_000)
    show.show_audio({"a <b>": tmp_path / "a.wav"})
    show.show_banner("Synthetic", "Not people & not results.")
    show.show_downloads({"a.csv": "x,ä\n"}, label="The grid")
    audio, banner, downloads = (data["text/html"] for data, _ in shown)
    assert 'src="data:audio/mpeg;base64,' in audio and "a &lt;b&gt;" in audio
    assert "synthetic" in banner and "&amp;" in banner
    (encoded,) = re.findall(r'download="a.csv" href="data:text/plain;charset=utf-8;base64,(.*?)"', downloads)
    assert base64.b64decode(encoded).decode() == "x,ä\n"
    show.record(accuracy=np.float64(0.5), n_draws="2,000")
    assert [data["application/papermill.record/text/plain"] for data, _ in shown[3:]] == ["0.5", "'2,000'"]
    assert [metadata["scrapbook"]["name"] for _, metadata in shown[3:]] == ["accuracy", "n_draws"]
