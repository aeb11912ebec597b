"""What a run leaves behind: accuracies, predictions, and what they were made with."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from serab_lib.core import SerabError, remove_leftovers, replaced
from serab_lib.corpora.splits import ROTATED

logger = logging.getLogger(__name__)

# The packages that can change a number.
PACKAGES = ("serab-companion", "torch", "torchaudio", "scikit-learn", "numpy", "scipy", "opensmile")

CELL_KEY = ["task", "model", "protocol"]
_ACCURACIES = ["validation_accuracy", "test_accuracy", "test_uar"]
_F1 = "test_macro_f1"
_COUNTS = ["n_train", "n_validation", "n_test"]
# The last four say whether these are numbers about the whole corpus, and about people at all; `n_originals`, how many
# of the recordings are as they were released, is empty where that is not known.
COLUMNS = [*CELL_KEY, "classifier", *_ACCURACIES, _F1, "selected", *_COUNTS, "best_params", "seconds"]
COLUMNS += ["search", "complete", "n_originals", "synthetic"]
_FLAGS = ["selected", "search", "complete", "synthetic"]
_N_CLASSIFIERS = 5  # and one row more under `rotated`


@dataclass(frozen=True)
class Cell:
    """One task with one extractor under one protocol, computed; `key` names the three."""

    key: tuple[str, str, str]
    scores: pd.DataFrame  # one row per classifier, with all of `COLUMNS` but the key; `best_params` as dict
    predictions: pd.DataFrame  # one row per test utterance
    provenance: dict[str, Any]  # what it was made with; `inputs` is a digest of all that it was computed from
    warnings: list[str] = field(default_factory=list)


class Results:
    """A folder of results: `cells.csv`, `predictions/` and `provenance.json`; `stale.csv` keeps what was replaced."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def read_cells(self) -> pd.DataFrame:
        """Read all finished cells, one row per cell and classifier; rows whose numbers cannot be read are left out."""
        path = self.folder / "cells.csv"
        if not path.exists():
            return pd.DataFrame(columns=COLUMNS)
        try:
            cells = pd.read_csv(path)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise SerabError(f"{path} cannot be read ({reason}): move it away and run again") from error
        for later in ("n_originals", _F1):  # columns that older folders lack
            cells[later] = cells.get(later, pd.NA)
        if missing := [column for column in COLUMNS if column not in cells]:
            raise SerabError(
                f"{path} lacks the columns {', '.join(missing)}: it is no result of `serab run`; move it away"
            )
        flags = cells[_FLAGS].astype(str)
        numbers = cells[[*_ACCURACIES, _F1, *_COUNTS, "n_originals"]].apply(pd.to_numeric, errors="coerce")
        readable = numbers[_ACCURACIES].apply(lambda column: column.between(0, 1)).all(axis=1)
        readable &= (numbers[_COUNTS] % 1 == 0).all(axis=1) & flags.isin(["True", "False"]).all(axis=1)
        if not readable.all():
            logger.warning("%s: %d rows cannot be read and are left out", path, (~readable).sum())
        types = {**dict.fromkeys(_COUNTS, int), "n_originals": "Int64"}
        return cells.assign(**(flags == "True"), **numbers)[readable].astype(types)[COLUMNS]

    def read_provenance(self) -> dict[str, Any]:
        """Read where each cell comes from, by `TASK/model/protocol`."""
        path = self.folder / "provenance.json"
        try:
            return {key: dict(value) for key, value in json.loads(path.read_text()).items()}
        except FileNotFoundError:
            return {}
        except (OSError, AttributeError, TypeError, ValueError) as error:
            raise SerabError(f"{path} is no record of `serab run` ({error}): move it away and run again") from error

    def read_predictions(self, task: str, model: str, protocol: str) -> pd.DataFrame:
        """Read a cell's predictions, one row per test utterance."""
        path = self._predictions_path(task, model, protocol)
        try:
            if path.suffix == ".parquet":
                return pd.read_parquet(path)
            return pd.read_csv(path, dtype=str, keep_default_na=False)  # a speaker may be called "None"
        except FileNotFoundError as error:
            raise SerabError(f"{path} is not there: compute the cell with `serab run`") from error
        except (OSError, ValueError) as error:
            raise SerabError(f"{path} is damaged: delete it and compute the cell again with `serab run`") from error

    def finished_inputs(self) -> dict[tuple[str, str, str], str | None]:
        """Map each finished cell to the digest of what it was computed from."""
        provenance, sizes = self.read_provenance(), self.read_cells().groupby(CELL_KEY).size()
        return {
            key: provenance.get("/".join(key), {}).get("inputs")
            for key, n_classifiers in sizes.items()
            if n_classifiers == _N_CLASSIFIERS + (key[-1] == ROTATED) and self._predictions_path(*key).exists()
        }

    def write(self, cell: Cell) -> None:
        """Add one finished cell, or replace it.

        Notes
        -----
        `cells.csv` is written last, each file whole or not at all, and a cell that is replaced leaves it first: what
        stands there always belongs to the predictions and the provenance. Two runs on one folder wait for each other;
        what the first of them has finished, the second leaves as it is.
        """
        with self._locked():
            if self.finished_inputs().get(cell.key) == cell.provenance["inputs"]:
                return
            cells = self.read_cells()
            same = (cells[CELL_KEY] == list(cell.key)).all(axis=1)
            if same.any():
                self._append_stale(cells[same])
                cells = cells[~same]
                self._write_cells(cells)
            with replaced(self._predictions_path(*cell.key).with_suffix(".csv")) as temporary:
                cell.predictions.to_csv(temporary, index=False)
            with replaced(self.folder / "provenance.json") as temporary:
                provenance = self.read_provenance() | {"/".join(cell.key): cell.provenance}
                temporary.write_text(json.dumps(provenance, indent=1, sort_keys=True) + "\n")
            rows = cell.scores.assign(**dict(zip(CELL_KEY, cell.key, strict=True))).astype({"n_originals": "Int64"})
            rows["best_params"] = [json.dumps(params, sort_keys=True) for params in rows["best_params"]]
            self._write_cells(rows[COLUMNS] if cells.empty else pd.concat([cells, rows[COLUMNS]]))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait for other runs on this folder; a killed run's lock and half-written files go."""
        lock = filelock.FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise SerabError(f"{self.folder} cannot be written ({error.strerror or error}): free some space") from error
        try:
            for folder in (self.folder, self.folder / "predictions"):
                remove_leftovers(folder, older_than_s=0.0)
            yield
        finally:
            lock.release()

    def _write_cells(self, cells: pd.DataFrame) -> None:
        with replaced(self.folder / "cells.csv") as temporary:
            cells.sort_values([*CELL_KEY, "classifier"], kind="stable").to_csv(
                temporary, index=False, float_format="%.6f"
            )

    def _append_stale(self, rows: pd.DataFrame) -> None:
        path = self.folder / "stale.csv"
        older = [pd.read_csv(path)] if path.exists() else []
        with replaced(path) as temporary:
            # A write that was interrupted after this comes here again.
            pd.concat([*older, rows]).drop_duplicates().to_csv(temporary, index=False)

    def _predictions_path(self, task: str, model: str, protocol: str) -> Path:
        """Where a cell's predictions are, or will be; an older folder has them as Parquet."""
        path = self.folder / "predictions" / f"{task}-{model}-{protocol}.csv"
        older = path.with_suffix(".parquet")
        return older if older.exists() and not path.exists() else path


def describe_machine(device: str) -> dict[str, Any]:
    """Describe versions, device and commit that a result is made with here."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if device.startswith("cuda"):
        import torch

        machine += f", {torch.cuda.get_device_name(device)}"
    return {"versions": list_versions(), "device": device, "machine": machine, "commit": find_commit()}


def list_versions() -> dict[str, str]:
    """Map Python and each package that can change a number, if it is installed, to its version."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


@functools.cache
def find_commit() -> str | None:
    """Commit of the library's own checkout, with a mark where files were changed; None outside one."""
    file = Path(__file__)
    known = ["git", "ls-files", "--error-unmatch", file.name]
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        for command in (known, describe):
            done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
