"""What a run leaves behind: accuracies, predictions, and what they were made with."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import pandas as pd

from serab_lib.core import SerabError, digest, remove_leftovers, replaced

if TYPE_CHECKING:
    from serab_lib.evaluation.protocol import CellResult


# The packages that can change a number.
PACKAGES = ("serab-companion", "torch", "torchaudio", "scikit-learn", "numpy", "scipy", "opensmile")


def describe_machine(device: str) -> dict[str, Any]:
    """Describe versions, device and commit that a result is made with here."""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if device.startswith("cuda"):
        import torch

        machine += f", {torch.cuda.get_device_name(device)}"
    return {"versions": list_versions(), "device": device, "machine": machine, "commit": _commit()}


def list_versions() -> dict[str, str]:
    """Map Python and each package of `PACKAGES` that is installed to its version."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _commit() -> str | None:
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


CELL_KEY = ["task", "model", "protocol"]
COLUMNS = [
    *CELL_KEY,
    "classifier",
    "validation_accuracy",
    "test_accuracy",
    "test_uar",
    "selected",
    "n_train",
    "n_validation",
    "n_test",
    "best_params",
    "seconds",
    # Beyond the scores: whether these are numbers about the whole corpus, and about people at all.
    "search",
    "complete",
    "n_originals",  # how many of the recordings are as they were released; empty where that is not known
    "synthetic",
]


class Results:
    """A folder of results.

    Parameters
    ----------
    folder : str or Path
        Holds `cells.csv`, `predictions/` and `provenance.json`; `stale.csv` keeps cells that were replaced.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait for other runs on this folder; a killed run's lock is gone with it."""
        lock = filelock.FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise SerabError(f"{self.folder} cannot be written ({error.strerror or error}): free some space") from error
        try:
            yield
        finally:
            lock.release()

    def read_cells(self) -> pd.DataFrame:
        """Read all finished cells, one row per cell and classifier; empty where there are none.

        Raises
        ------
        SerabError
            If the file there is not one of these.
        """
        path = self.folder / "cells.csv"
        if not path.exists():
            return pd.DataFrame(columns=COLUMNS)
        try:
            cells = pd.read_csv(path)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise SerabError(f"{path} cannot be read ({reason}): move it away and run again") from error
        if "n_originals" not in cells:  # written before this was known
            cells["n_originals"] = pd.NA
        if missing := [column for column in COLUMNS if column not in cells]:
            raise SerabError(
                f"{path} lacks the columns {', '.join(missing)}: it is no result of `serab run`; move it away"
            )
        counts = pd.to_numeric(cells["n_originals"], errors="coerce")
        return cells.assign(n_originals=counts.where(counts % 1 == 0).astype("Int64"))[COLUMNS]

    def read_provenance(self) -> dict[str, Any]:
        """Read where each cell comes from, by `TASK/model/protocol`."""
        path = self.folder / "provenance.json"
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SerabError(f"{path} cannot be read ({error}): move it away and run again") from error
        if not isinstance(content, dict) or not all(isinstance(value, dict) for value in content.values()):
            raise SerabError(f"{path} is no record of `serab run`: move it away and run again")
        return content

    def read_predictions(self, task: str, model: str, protocol: str) -> pd.DataFrame:
        """Read a cell's predictions, one row per test utterance.

        Raises
        ------
        SerabError
            If they are not there.
        """
        path = self._predictions_path(task, model, protocol)
        if path.exists():
            try:
                return pd.read_parquet(path)
            except (OSError, ValueError) as error:
                raise SerabError(f"{path} is damaged: run the cell again with `serab run`") from error
        try:
            return pd.read_csv(path.with_suffix(".csv"), dtype=str)
        except FileNotFoundError as error:
            raise SerabError(
                f"{self.folder} has no predictions of {task}, {model}, {protocol}: compute the cell with `serab run`"
            ) from error

    def export(self, folder: str | Path) -> None:
        """Write the results as text alone, small enough to be kept in a repository.

        Parameters
        ----------
        folder : str or Path
            Receives `cells.csv`, `provenance.json` and `predictions/*.csv`; what is there is replaced, cell by
            cell, and cells that are not in these results stay.
        """
        target = Results(folder)
        target.folder.mkdir(parents=True, exist_ok=True)
        cells, kept = self.read_cells(), target.read_cells()
        keys = set(cells[CELL_KEY].itertuples(index=False, name=None))
        kept = kept[[key not in keys for key in kept[CELL_KEY].itertuples(index=False, name=None)]]
        origins = self.read_provenance()
        for key in sorted(keys):
            path = target._predictions_path(*key).with_suffix(".csv")
            with replaced(path) as temporary:
                self.read_predictions(*key).to_csv(temporary, index=False)
            if checks := origins.get("/".join(key), {}).get("checks"):
                checks["predictions"] = _hash_file(path)
        with replaced(target.folder / "provenance.json") as temporary:
            origins = target.read_provenance() | origins
            temporary.write_text(json.dumps(origins, indent=1, sort_keys=True) + "\n")
        table = (cells if kept.empty else pd.concat([kept, cells])).sort_values([*CELL_KEY, "classifier"])
        with replaced(target.folder / "cells.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6f")

    def finished_inputs(self) -> dict[tuple[str, str, str], str | None]:
        """Map each finished cell to the digest of what it was computed from; damaged cells are not finished."""
        cells, provenance = self.read_cells(), self.read_provenance()
        damaged = self._find_damaged(cells, provenance)
        keys = cells[CELL_KEY].drop_duplicates().itertuples(index=False, name=None)
        return {
            key: provenance.get("/".join(key), {}).get("inputs")
            for key in keys
            if key not in damaged and self._find_predictions(key) is not None
        }

    def find_damaged(self) -> dict[tuple[str, str, str], str]:
        """Map each cell whose files are not what was written to the name of the file that differs."""
        return self._find_damaged(self.read_cells(), self.read_provenance())

    def _find_damaged(self, cells: pd.DataFrame, provenance: Mapping[str, Any]) -> dict[tuple[str, str, str], str]:
        damaged = {}
        for key, rows in cells.groupby(CELL_KEY):
            checks = provenance.get("/".join(map(str, key)), {}).get("checks")
            predictions = self._find_predictions(key)
            if not isinstance(checks, dict) or predictions is None:
                continue
            if _check_rows(rows) != checks.get("scores"):
                damaged[key] = "cells.csv"
            elif _hash_file(predictions) != checks.get("predictions"):
                damaged[key] = f"predictions/{predictions.name}"
        return damaged

    def write(
        self, key: tuple[str, str, str], result: CellResult, sizes: Mapping[str, Any], origin: Mapping[str, Any]
    ) -> None:
        """Add one finished cell, or replace it.

        Parameters
        ----------
        key : (task, model, protocol)
        result : CellResult
        sizes : mapping
            `n_train`, `n_validation`, `n_test`, `search`, `complete`, `n_originals` and `synthetic`.
        origin : mapping
            Provenance; `inputs` is the digest that `finished_inputs` gives back.

        Notes
        -----
        Predictions and provenance are written first and `cells.csv` last, each file whole or not at all. The
        provenance holds checksums of the other two, so that a cell whose files do not belong together, because
        a write was interrupted or a file was damaged, is not taken for a finished one. Two runs on one folder
        wait for each other; what the first of them has finished, the second leaves as it is.
        """
        rows = result.scores.assign(**dict(zip(CELL_KEY, key, strict=True)), **sizes)
        rows["best_params"] = [json.dumps(params, sort_keys=True) for params in rows["best_params"]]
        rows = rows.astype({"n_originals": "Int64"})[COLUMNS]
        with self._locked():
            if origin.get("inputs") and self.finished_inputs().get(key) == origin["inputs"]:
                return
            remove_leftovers(self.folder, older_than_s=0.0)
            remove_leftovers(self.folder / "predictions", older_than_s=0.0)
            cells = self.read_cells()
            same = (cells[CELL_KEY] == list(key)).all(axis=1)
            if same.any():
                self._append_stale(cells[same])
            predictions = self._predictions_path(*key)
            with replaced(predictions) as temporary:
                result.predictions.to_parquet(temporary)
            checks = {"scores": _check_rows(rows), "predictions": _hash_file(predictions)}
            with replaced(self.folder / "provenance.json") as temporary:
                origins = self.read_provenance() | {"/".join(key): {**origin, "checks": checks}}
                temporary.write_text(json.dumps(origins, indent=1, sort_keys=True))
            kept = cells[~same]
            table = rows if kept.empty else pd.concat([kept, rows])
            table = _restore_counts(table).sort_values([*CELL_KEY, "classifier"], kind="stable")
            with replaced(self.folder / "cells.csv") as temporary:
                table.to_csv(temporary, index=False, float_format="%.6f")

    def _append_stale(self, rows: pd.DataFrame) -> None:
        path = self.folder / "stale.csv"
        try:
            older = [pd.read_csv(path)] if path.exists() else []
        except (OSError, ValueError) as error:
            raise SerabError(f"{path} cannot be read: move it away and run again") from error
        with replaced(path) as temporary:
            # A write that was interrupted after this comes here again.
            pd.concat([*older, rows]).drop_duplicates().to_csv(temporary, index=False)

    def _predictions_path(self, task: str, model: str, protocol: str) -> Path:
        return self.folder / "predictions" / f"{task}-{model}-{protocol}.parquet"

    def _find_predictions(self, key: tuple[str, str, str]) -> Path | None:
        path = self._predictions_path(*key)
        return next((file for file in (path, path.with_suffix(".csv")) if file.exists()), None)


def _restore_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Make whole numbers of counts that were read as something else because of a damaged row."""
    numbers = {name: pd.to_numeric(table[name], errors="coerce") for name in ("n_train", "n_validation", "n_test")}
    return table.assign(**{name: column.astype(int) for name, column in numbers.items() if (column % 1 == 0).all()})


def _check_rows(rows: pd.DataFrame) -> str:
    """Digest of a cell's rows as `cells.csv` has them, in whatever order."""
    values = rows[COLUMNS].sort_values("classifier").to_numpy(dtype=object).ravel()
    return digest(_write_value(value) for value in values if value is not pd.NA)


def _write_value(value: object) -> str:
    """Write a value alike whatever type its column was read as: a damaged row changes that of the others."""
    text = str(value)
    if text in ("True", "False"):
        return text
    try:
        return f"{float(text):.6f}"
    except ValueError:
        return text


def _hash_file(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise SerabError(f"{path} cannot be read ({error.strerror}): move it away and run again") from error
