"""Build the site: stage a copy of the sources, run its notebooks, make the pages, put the site in place."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serab_lib.book.execution import Job, Progress, choose_parameters, run_notebooks
from serab_lib.book.weaving import describe_run, weave
from serab_lib.book.workspace import PROFILES
from serab_lib.core import SerabError, unknown_name

logger = logging.getLogger(__name__)

# Cells with this tag hold numbers of real speech on pages that are otherwise computed anew.
REAL_TAG = "real"

_PARTS = ("_config.yml", "_toc.yml", "book", "notebooks", "CONTRIBUTING.md", "CHANGELOG.md", "environment.yml")


@dataclass(frozen=True)
class Site:
    """A site that was built.

    Attributes
    ----------
    folder : Path
        Holds `index.html`.
    complaints : dict
        Notebook to what its cells wrote to the standard error.
    """

    folder: Path
    complaints: dict[str, list[str]]


def build(
    profile: str = "published",
    *,
    root: str | Path = ".",
    parameters: Mapping[str, Any] | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Site:
    """Build the book.

    Parameters
    ----------
    profile : str
        `demo`, `published` or `paper`.
    root : str or Path
        The project's folder, which holds `_config.yml`.
    parameters : mapping, optional
        Notebook parameters that differ from their defaults.
    n_jobs : int, optional
        Notebooks at a time; one per core if None.
    progress : callable, optional
        Told what is being done, how much of it is done, and how much there is.

    Returns
    -------
    Site
        In ``_build/<profile>/html``.

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
    root = Path(root).resolve()
    if missing := [name for name in ("_config.yml", "_toc.yml", "notebooks") if not (root / name).exists()]:
        raise SerabError(f"{root} lacks {', '.join(missing)}: run `serab book` in the project's folder, or use --root")
    target = root / "_build" / profile
    source = target / "source"
    stage(root, source)
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    chosen = choose_parameters(notebooks, profile, parameters or {})
    jobs = [
        Job(_prepare(each, target / "prepared", profile), source / "notebooks" / each.name, chosen[each])
        for each in notebooks
    ]
    with _environment(profile, root):
        run_notebooks(jobs, n_jobs=n_jobs or os.cpu_count() or 1, progress=progress)
    provenance = _describe_build()
    runs = [describe_run(job.target) for job in jobs]
    complaints = {job.source.stem: weave(job.target, provenance) for job in jobs}
    (source / "book" / "status.md").write_text(_write_status(profile, runs, provenance))
    if progress:
        progress("pages", 0, 1)
    made = make_pages(source, target)
    if progress:
        progress("pages", 1, 1)
    _replace(made, target / "html")
    return Site(target / "html", {name: texts for name, texts in complaints.items() if texts})


def stage(root: Path, source: Path) -> None:
    """Copy the book's sources to where they are run and built; notebooks arrive when they were run."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for name in _PARTS:
        part = root / name
        if part.is_dir():
            shutil.copytree(part, source / name, ignore=shutil.ignore_patterns("*.ipynb", "__pycache__"))
        elif part.exists():
            shutil.copy2(part, source / name)
    _add_table_scripts(source / "book" / "_static")


def _prepare(notebook: Path, folder: Path, profile: str) -> Path:
    """Leave out of a notebook what the demo must not show: real numbers beside synthetic ones."""
    import nbformat

    content = nbformat.read(notebook, as_version=4)
    if profile == "demo":
        content.cells = [cell for cell in content.cells if REAL_TAG not in cell.metadata.get("tags", [])]
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, folder / notebook.name)
    return folder / notebook.name


def _add_table_scripts(static: Path) -> None:
    """Take the scripts of sortable tables from itables, which carries them for use without a network."""
    try:
        import itables
    except ImportError as error:
        raise SerabError("itables is not installed: pip install 'serab-companion[book]'") from error
    folder = Path(itables.__file__).parent / "html"
    static.mkdir(exist_ok=True, parents=True)
    for name in ("dt_bundle.js", "dt_bundle.css"):
        shutil.copy2(folder / name, static / name)


def make_pages(source: Path, target: Path) -> Path:
    """Build the pages from executed notebooks with jupyter-book; any warning is an error.

    Returns
    -------
    Path
        Folder of the new site.

    Raises
    ------
    SerabError
        With the first warnings or errors; the whole of them is in `pages.log`.
    """
    place = target / "pages"
    shutil.rmtree(place, ignore_errors=True)
    # The program of this very environment, whose folder need not be on the PATH.
    program = shutil.which("jupyter-book", path=str(Path(sys.executable).parent)) or shutil.which("jupyter-book")
    if program is None:
        raise SerabError("jupyter-book is not installed: pip install 'serab-companion[book]'")
    command = [program, "build", str(source), "--path-output", str(place), "-W", "-n", "--keep-going", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=source)
    log = target / "pages.log"
    said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout + done.stderr)
    log.write_text(said)
    if done.returncode:
        lines = [line for line in said.splitlines() if "WARNING" in line or "ERROR" in line]
        shown = "; ".join(line.replace(f"{source}/", "").strip() for line in lines[:3])
        more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise SerabError(f"the pages have errors: {shown or 'see the log'}{more}; all of them are in {log}")
    return place / "_build" / "html"


def _replace(new: Path, old: Path) -> None:
    """Put the new site in place of the old one, which goes only when the new one is there."""
    aside = old.with_name(".html-before")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        old.rename(aside)
    new.rename(old)
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _environment(profile: str, root: Path) -> Iterator[None]:
    """Tell the kernels where results are, quietly, and that figures need no screen."""
    wanted = {"MPLBACKEND": "agg", "PYTHONWARNINGS": "default", "JUPYTER_PLATFORM_DIRS": "1"}
    if profile != "demo":
        wanted["SERAB_RESULTS"] = os.environ.get("SERAB_RESULTS") or str(root / "results")
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _describe_build() -> dict[str, Any]:
    from serab_lib.benchmark.grid import describe_machine

    return describe_machine("cpu")


def _write_status(profile: str, runs: list[dict[str, Any]], provenance: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"| {{doc}}`{run['title']} </notebooks/{run['notebook']}>` | {run['seconds']:.0f} | {run['finished']} |"
        for run in runs
    )
    versions = "\n".join(f"| {name} | {version} |" for name, version in provenance["versions"].items())
    return (
        "(status)=\n# How this book was built\n\n"
        f"Profile **{profile}**: {PROFILES[profile]}. Commit `{provenance['commit'] or 'unknown'}`, "
        f"{provenance['machine']}.\n\n"
        f":::{{table}} Run time of each notebook\n:name: tbl-run-times\n\n"
        f"| chapter | seconds | finished (UTC) |\n|:--|--:|:--|\n{rows}\n:::\n\n"
        f":::{{table}} Versions\n:name: tbl-versions\n\n| package | version |\n|:--|:--|\n{versions}\n:::\n"
    )
