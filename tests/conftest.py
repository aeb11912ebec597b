"""Small corpora and checkpoints that tests make for themselves."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from making import make_byol_state, write_savee
from serving import Site, serve

# Tests compute on tiny inputs: several threads would only wait for each other.
torch.set_num_threads(1)

# A shell starts what it puts in the background deaf to Ctrl-C, and so would be the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What continuous integration cannot have; any other skip there hides something and fails.
EXPECTED_SKIPS = re.compile(
    "SERAB_DATA|SERAB_WEIGHTS|SERAB_REFERENCE|TensorFlow is not installed|may not be listed by file names"
    "|this file system takes UTF-8 names only|all tests skipped by [+]SKIP option|unconditional skip"
)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where SERAB_STRICT_SKIPS is set, let a skip that nobody expects fail the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("SERAB_STRICT_SKIPS"):
        return
    for report in reporter.stats.get("skipped", []):
        if not EXPECTED_SKIPS.search(str(report.longrepr)):
            reporter.write_line(f"unexpected skip: {report.nodeid or report.longrepr}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for long tests, of every worker process alike: what it holds is found by content."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _shared_cache_is_the_default(shared_cache: Path) -> None:
    """Keep fixtures that several tests share out of the user's cache."""
    os.environ["SERAB_CACHE"] = str(shared_cache)


@pytest.fixture(scope="session")
def tone_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a SAVEE of four speakers, two classes' worth of tones each, 16 kHz."""
    data = tmp_path_factory.mktemp("data")
    write_savee(data)
    return data


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server on this machine."""
    with serve() as running:
        yield running


@pytest.fixture
def byol_checkpoint(tmp_path: Path) -> Path:
    """A random BYOL checkpoint of width 512 on disk."""
    path = tmp_path / "random512.pth"
    torch.save(make_byol_state(), path)
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test an empty cache."""
    monkeypatch.setenv("SERAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real corpora, or a skip."""
    return _find_folder("SERAB_DATA", "ravdess")


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The folder of released checkpoints, or a skip."""
    return _find_folder("SERAB_WEIGHTS")


def _find_folder(variable: str, below: str = "") -> Path:
    folder = Path(os.environ.get(variable) or "nowhere")
    if not (folder / below).is_dir():
        pytest.skip(f"{variable} names no folder {f'with {below}/' if below else ''}")
    return folder
