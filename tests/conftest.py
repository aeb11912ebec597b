import multiprocessing
import os
import re
import signal
import sys
from multiprocessing import forkserver
from pathlib import Path

# Tests compute on tiny inputs: several threads, here and in what tests start, would only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD"] = "forkserver"

# What takes seconds to import is imported where it is used: pytest's first process runs no test.
import pytest
from serving import serve

# A shell starts what it puts in the background deaf to Ctrl-C, and so would be the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

site = pytest.fixture(serve)

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


@pytest.fixture(scope="session", autouse=True)
def _quick_workers() -> None:
    """Let worker processes begin as copies of one that has imported what they need, which takes seconds."""
    import making  # noqa: F401
    from joblib.externals.loky.backend.context import set_start_method

    needed = ["distributed", "faulting", "making", "opensmile", "serab_lib.benchmark.embeddings"]
    multiprocessing.get_context("forkserver").set_forkserver_preload(needed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()
    set_start_method("forkserver")


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for long tests and fixtures, of every worker process alike: what it holds is found by content."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared-cache"
    folder.mkdir(exist_ok=True)
    os.environ["SERAB_CACHE"] = str(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from making import write_savee

    write_savee(tmp_path / "data", n_takes=2)
    return tmp_path


@pytest.fixture
def byol_checkpoint(tmp_path: Path) -> Path:
    from making import write_checkpoint

    write_checkpoint(tmp_path / "random512.pth", "byol", 512)
    return tmp_path / "random512.pth"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    return _find_folder("SERAB_DATA", "ravdess")


@pytest.fixture(scope="session")
def real_weights() -> Path:
    return _find_folder("SERAB_WEIGHTS")


def _find_folder(variable: str, below: str = "") -> Path:
    folder = Path(os.environ.get(variable) or "nowhere")
    if not (folder / below).is_dir():
        pytest.skip(f"{variable} names no folder {f'with {below}/' if below else ''}")
    return folder
