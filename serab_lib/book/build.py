"""Build the site: run a copy of the notebooks through papermill, make pages of them, put the site in place."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat

from serab_lib.book.profile import PROFILES
from serab_lib.core import Progress, SerabError, unknown_name

logger = logging.getLogger(__name__)


# Cells with this tag hold numbers of real speech, which the demo must not show beside synthetic ones.
REAL_TAG = "real"

_PARTS = ("_config.yml", "_toc.yml", "book", "notebooks", "environment.yml")
_PARTS += ("CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff")
# What papermill does with a notebook; to write it after each cell takes as long as many cells do.
_EXECUTION = {"kernel_name": "python3", "progress_bar": False, "request_save_on_cell_execute": False}


def build_book(
    profile: str = "published",
    *,
    root: str | Path = ".",
    parameters: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Build the book.

    Parameters
    ----------
    profile : str
        `demo`, `published` or `paper`.
    root : str or Path
        The project's folder, which holds `_config.yml`.
    parameters : mapping, optional
        Notebook parameters that differ from their defaults; a name counts for every notebook that has it.
    environment : mapping, optional
        Variables for the notebooks, such as SERAB_RESULTS.
    n_jobs : int, optional
        Notebooks at a time; one per core if None.
    progress : callable, optional
        Told what is being done, how much of it is done, and how much there is.

    Returns
    -------
    Path
        The site's first page, in ``_build/<profile>/html``.

    Raises
    ------
    UnknownNameError
        If there is no such profile.
    SerabError
        If the sources are not there, a parameter is unknown, a cell fails, or a page has a warning. The site
        that was there before stays as it was.
    """
    if profile not in PROFILES:
        raise unknown_name("profile", profile, PROFILES, listing="serab book --help")
    if any(find_spec(each) is None for each in ("papermill", "jupyter_book", "jupytext")):
        raise SerabError("papermill, jupyter-book or jupytext is not installed: pip install 'serab-companion[book]'")
    root = Path(root).resolve()
    if missing := [name for name in ("_config.yml", "_toc.yml", "notebooks") if not (root / name).exists()]:
        raise SerabError(f"{root} lacks {', '.join(missing)}: run `serab book` in the project's folder, or use --root")

    tell = progress or (lambda what, n_done, n_total: None)
    target = root / "_build" / profile
    chosen = _choose_parameters(root / "notebooks", profile, parameters or {})
    notebooks = _stage(root, target / "source", profile)
    variables = {"MPLBACKEND": "agg", "PYTHONWARNINGS": "default", "JUPYTER_PLATFORM_DIRS": "1"}
    if profile != "demo":
        variables["SERAB_RESULTS"] = os.environ.get("SERAB_RESULTS") or str(root / "results")
    variables |= environment or {}
    _run_notebooks({path: chosen[path.name] for path in notebooks}, variables, n_jobs or os.cpu_count() or 1, tell)
    (executed := target / "source" / "notebooks" / "executed").mkdir()
    for path in notebooks:
        shutil.copy(path, executed)  # the pages are woven of these
        outputs = [each for cell in nbformat.read(path, 4).cells for each in cell.get("outputs", [])]
        if complaints := [each["text"] for each in outputs if each.get("name") == "stderr"]:
            first = " ".join(complaints[0].split())[:200]
            logger.warning("warning: %s wrote to the standard error: %s", path.stem, first)
    tell("pages", 0, 1)
    made = _make_pages(target / "source", target)
    shutil.rmtree(target / "html", ignore_errors=True)
    made.rename(target / "html")
    tell("pages", 1, 1)
    return target / "html" / "index.html"


def _choose_parameters(folder: Path, profile: str, chosen: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Give each notebook, by file name, those of the chosen parameters that it has."""
    import papermill

    known = {}
    for path in sorted(folder.glob("*.ipynb")):
        try:
            known[path.name] = set(papermill.inspect_notebook(path))
        except ValueError as error:
            raise SerabError(
                f"{path.name} names no kernel: copy the head of another notebook's .py, then `make notebooks`"
            ) from error
    everything = set().union(*known.values()) - {"profile"}
    for name in chosen:
        if name not in everything:
            raise SerabError(f"no notebook has the parameter {name!r}: choose among {', '.join(sorted(everything))}")
    return {
        notebook: {"profile": profile, **{name: value for name, value in chosen.items() if name in names}}
        for notebook, names in known.items()
    }


def _stage(root: Path, source: Path, profile: str) -> list[Path]:
    """Copy the book's sources to where they are run and built, and list the notebooks made of them."""
    import jupytext

    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for part in (root / name for name in _PARTS):
        if part.is_dir():
            shutil.copytree(part, source / part.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif part.exists():
            shutil.copy2(part, source)
    notebooks = sorted((source / "notebooks").glob("*.ipynb"))
    for path in notebooks:
        notebook = jupytext.read(path.with_suffix(".py"))
        if profile == "demo":
            notebook.cells = [cell for cell in notebook.cells if REAL_TAG not in cell.metadata.get("tags", [])]
        nbformat.write(notebook, path)
    return notebooks


def _run_notebooks(
    notebooks: Mapping[Path, Mapping[str, Any]], environment: Mapping[str, str], n_jobs: int, tell: Progress
) -> None:
    """Run notebooks in place with their parameters; after a failure, those under way go on to their end."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_jobs, spawn, initializer=_enter, initargs=(environment,)) as pool:
        running = [pool.submit(_run_notebook, path, values) for path, values in notebooks.items()]
        try:
            tell("notebooks", 0, len(running))
            for n_done, each in enumerate(as_completed(running), start=1):
                each.result()
                tell("notebooks", n_done, len(running))
        finally:
            pool.shutdown(cancel_futures=True)


def _enter(environment: Mapping[str, str]) -> None:
    """Set variables in a process for notebooks, and silence the greetings of the kernels that it starts."""
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _run_notebook(path: Path, parameters: Mapping[str, Any]) -> None:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(path, path, dict(parameters), cwd=path.parent, **_EXECUTION)
    except PapermillExecutionError as error:
        first_line = error.source.strip().partition("\n")[0]
        raise SerabError(
            f"{path.name}, cell {error.cell_index + 1} (`{first_line}`): {error.ename}: "
            f"{' '.join(str(error.evalue).split())}; the notebook with its outputs is {path}"
        ) from None


def _make_pages(source: Path, target: Path) -> Path:
    """Build the pages from executed notebooks with jupyter-book; any warning is an error."""
    place, log = target / "pages", target / "pages.log"
    shutil.rmtree(place, ignore_errors=True)
    program = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["--path-output", place, "-W", "-n", "--keep-going", "--quiet"]
    done = subprocess.run([*program, "build", source, *options], capture_output=True, text=True, cwd=source)
    said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    log.write_text(said)
    if done.returncode:
        lines = [line for line in said.splitlines() if "WARNING" in line or "ERROR" in line]
        shown = "; ".join(line.replace(f"{source}/", "").strip() for line in lines[:3])
        more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise SerabError(f"the pages have errors: {shown or 'see the log'}{more}; all of them are in {log}")
    return place / "_build" / "html"
