import json
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from making import call, write_savee

from serab_lib.audit import claims, findings
from serab_lib.benchmark.results import Results
from serab_lib.corpora.task import TASKS
from serab_lib.extractors.registry import EXTRACTORS
from serab_lib.pretraining.run import read_log

MISTAKES = tomllib.loads(Path(__file__).with_name("mistakes.toml").read_text())


@pytest.fixture(autouse=True)
def _no_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SERAB_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("COLUMNS", "200")


def test_tasks_and_models_list_all_with_the_promised_fields():
    tasks, models = (json.loads(call(command, "--json")) for command in ("tasks", "models"))
    assert [row["code"] for row in tasks] == list(TASKS)
    assert all(row["licence"] and row["source"] and row["on_disk"] == "no" for row in tasks)
    assert [row["name"] for row in models] == list(EXTRACTORS)
    promised = {"name", "title", "embedding_size", "n_parameters", "sample_rate", "licence", "weights"}
    assert all(promised <= set(row) and row["weights"] in ("missing", "none needed") for row in models)
    assert "restricted" in call("tasks")


def test_run_table_and_embed(tmp_path):
    write_savee(tmp_path / "data", n_takes=2)
    out = tmp_path / "out"
    common = ("--tasks", "savee", "--models", "logmel-stats", "--no-search", "--out", out, "--jobs", 1)
    for protocol, said in (("both", "2 cells computed, 0 were there"), ("all", "1 cells computed, 2 were there")):
        assert said in call("run", *common, "--protocol", protocol)
    assert "0 cells computed, 3 were there" in call("run", *common, "--protocol", "all")
    rows = Results(out).read_cells().query("protocol == 'rotated'").set_index("classifier")
    assert (len(rows), rows.index[rows["selected"]].item()) == (6, "chosen") and (rows["n_test"] == 56).all()
    text = call("table", "--results", out)
    assert all(words in text for words in ("protocol released", "Incomplete: SAV", "without search"))
    for metric, column in (("accuracy", "test_accuracy"), ("uar", "test_uar"), ("macro-f1", "test_macro_f1")):
        printed = json.loads(call("table", "--results", out, "--json", "--metric", metric))["rotated"]
        assert printed["Log-mel statistics"]["SAV"] == pytest.approx(100 * rows.loc["chosen", column], abs=1e-3)
    assert call("table", "--results", out, "--format", "csv", "--protocol", "released").startswith("model,SAV")
    files = sorted((tmp_path / "data" / "savee").iterdir())[:3]
    call("embed", *files, "--model", "logmel-stats", "--out", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as content:
        assert (content["embeddings"].shape, [*content["files"]]) == ((3, 128), [str(file) for file in files])


@pytest.mark.parametrize("command", MISTAKES)
def test_mistakes_are_one_line_with_a_remedy(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").write_text("no audio")
    (line,) = [line for line in call(*command.split(), code=1).splitlines() if "error:" in line]
    assert MISTAKES[command] in line and not (tmp_path / "x.npz").exists()


def test_a_missing_or_unknown_option_is_a_usage_error():
    assert "'--models'" in call("run", "--tasks", "RAV", code=2)
    assert "'released', 'described', 'rotated'" in call("run", "--models", "x", "--protocol", "x", code=2)
    assert "'markdown', 'csv', 'latex', 'json'" in call("table", "--format", "pdf", code=2)
    assert "'demo', 'published', 'paper'" in call("book", "--profile", "x", code=2)
    for option, value in (("--batch-size", 1), ("--momentum", 1.5), ("--schedule", "linear"), ("--seed", -1)):
        assert option in call("pretrain", ".", option, value, code=2)


def test_an_encoder_is_trained_on_a_tasks_training_part(tmp_path):
    pytest.importorskip("lightning", reason="the extra `pretrain` is not installed")
    write_savee(tmp_path / "data", n_takes=1)
    options = "--model byol-s-16 --epochs 1 --batch-size 7 --hidden-size 8 --device cpu --no-mixup --no-crop"
    out = tmp_path / "run"
    said = call("pretrain", "--task", "SAV", "--out", out, *options.split(), "--crop-start", "released")
    assert "\n2 steps; last epoch: loss " in said  # 14 utterances of two speakers
    assert f"serab run --models path:{out / 'encoder.pth'}\n" in said
    settings = json.loads((out / "config.json").read_text())
    assert (settings["mixup_ratio"], settings["resized_crop"], settings["crop_start"]) == (0.0, False, "released")
    assert len(read_log(out)) == 2


def test_the_audit_prints_its_findings_and_dumps_the_tables_besides(monkeypatch):
    # What takes seconds is left out; the whole audit is tested elsewhere.
    kept = {each: findings.FINDERS[each] for each in ["means-BYOL-A-512"]}
    monkeypatch.setattr(findings, "FINDERS", dict.fromkeys(findings.FINDERS, lambda _: ()) | kept)
    output, content = call("audit"), json.loads(call("audit", "--json"))
    tables = {"test_sizes", "speakers", "normalisation", "means", "durations", "counts", "parameters", "classes"}
    assert set(content) == {"findings", *tables} and all(content[name] for name in tables)
    (place,) = (n for n, each in enumerate(content["findings"]) if each["name"] == "means-BYOL-A-512")
    found = content["findings"][place]
    assert list(found) == "name title says does evidence consequence code table changes where read_at values".split()
    assert found["values"]["rank_printed"] == 9
    assert f"{place + 1}. BYOL-A, 512: printed means do not follow from the row  table 3, row BYOL-A, 512" in output
    assert "Table 3 prints for BYOL-A, 512: UM 72.7 where 71.4 follows" in output
    assert f"{len(content['findings'])} findings; what can be computed is computed anew each time" in output


def test_claims_are_printed_with_verdicts_and_dumped_with_the_rows_behind_them(monkeypatch, tmp_path):
    kept, read = ("best-on-two", "whole-utterance"), claims.read_toml
    monkeypatch.setattr(claims, "read_toml", lambda *given: {name: read(*given)[name] for name in kept})
    monkeypatch.setenv("SERAB_RESULTS", str(tmp_path))
    monkeypatch.setattr(sys.modules["serab_lib.cli.app"].output, "width", 200)
    output, content = call("claims"), json.loads(call("claims", "--json"))
    assert output.split("\n")[0].split() == ["title", "verdict", "evidence"]
    assert all(words in output for words in ("BYOL-S 2048 is best on two tasks", "cannot be told", "AES and CRE"))
    assert [(each["name"], each["verdict"]) for each in content] == [(kept[0], "holds"), (kept[1], "cannot be told")]
    assert content[0]["values"] == [{"won": ["AES", "CRE"], "shared": ["CRE"], "clear": [], "n_best": 2}]


def test_control_c_keeps_what_is_finished(tmp_path):
    write_savee(tmp_path / "data", n_takes=12)
    arguments = f"run --tasks SAV --models byol-random-512 --out {tmp_path / 'out'} --no-search --jobs 1".split()
    command = [sys.executable, "-m", "serab_lib.cli", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("cache/embeddings/*/*.npz")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors and "Traceback" not in errors
    assert "1 cells computed, 0 were there" in call(*arguments)
    provenance = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert 100 <= provenance["SAV/byol-random-512/described"]["embeddings_from_cache"] < 336
