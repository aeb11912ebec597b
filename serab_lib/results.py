"""What a run leaves behind: accuracies, predictions and where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import pandas as pd

from serab_lib.errors import SerabError
from serab_lib.storage import replaced

if TYPE_CHECKING:
    from serab_lib.evaluation.protocol import CellResult

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

    @property
    def _lock(self) -> filelock.FileLock:
        return filelock.FileLock(self.folder / ".lock")

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
        if missing := [column for column in COLUMNS if column not in cells]:
            raise SerabError(
                f"{path} lacks the columns {', '.join(missing)}: it is no result of `serab run`; move it away"
            )
        return cells[COLUMNS]

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
            return pd.read_parquet(path)
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
        for key in sorted(keys):
            with replaced(target._predictions_path(*key).with_suffix(".csv")) as temporary:
                self.read_predictions(*key).to_csv(temporary, index=False)
        with replaced(target.folder / "provenance.json") as temporary:
            origins = target.read_provenance() | self.read_provenance()
            temporary.write_text(json.dumps(origins, indent=1, sort_keys=True) + "\n")
        table = (cells if kept.empty else pd.concat([kept, cells])).sort_values([*CELL_KEY, "classifier"])
        with replaced(target.folder / "cells.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6f")

    def finished_inputs(self) -> dict[tuple[str, str, str], str | None]:
        """Map each finished cell to the digest of what it was computed from."""
        provenance = self.read_provenance()
        keys = self.read_cells()[CELL_KEY].drop_duplicates().itertuples(index=False, name=None)
        return {
            key: provenance.get("/".join(key), {}).get("inputs")
            for key in keys
            if self._predictions_path(*key).exists() or self._predictions_path(*key).with_suffix(".csv").exists()
        }

    def write(
        self, key: tuple[str, str, str], result: CellResult, sizes: Mapping[str, Any], origin: Mapping[str, Any]
    ) -> None:
        """Add one finished cell, or replace it.

        Parameters
        ----------
        key : (task, model, protocol)
        result : CellResult
        sizes : mapping
            `n_train`, `n_validation`, `n_test`, `search`, `complete` and `synthetic`.
        origin : mapping
            Provenance; `inputs` is the digest that `finished_inputs` gives back.

        Notes
        -----
        Predictions and provenance are written first and `cells.csv` last, each file whole or not at all, so a
        cell that stands in `cells.csv` is complete whenever the work was interrupted. Two runs on one folder
        wait for each other.
        """
        rows = result.scores.assign(**dict(zip(CELL_KEY, key, strict=True)), **sizes)
        rows["best_params"] = [json.dumps(params, sort_keys=True) for params in rows["best_params"]]
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock:
            cells = self.read_cells()
            same = (cells[CELL_KEY] == list(key)).all(axis=1)
            if same.any():
                self._append_stale(cells[same])
            with replaced(self._predictions_path(*key)) as temporary:
                result.predictions.to_parquet(temporary)
            with replaced(self.folder / "provenance.json") as temporary:
                temporary.write_text(
                    json.dumps(self.read_provenance() | {"/".join(key): dict(origin)}, indent=1, sort_keys=True)
                )
            kept = cells[~same]
            table = rows[COLUMNS] if kept.empty else pd.concat([kept, rows[COLUMNS]])
            table = table.sort_values([*CELL_KEY, "classifier"], kind="stable")
            with replaced(self.folder / "cells.csv") as temporary:
                table.to_csv(temporary, index=False, float_format="%.6f")

    def _append_stale(self, rows: pd.DataFrame) -> None:
        path = self.folder / "stale.csv"
        older = [pd.read_csv(path)] if path.exists() else []
        with replaced(path) as temporary:
            pd.concat([*older, rows]).to_csv(temporary, index=False)

    def _predictions_path(self, task: str, model: str, protocol: str) -> Path:
        return self.folder / "predictions" / f"{task}-{model}-{protocol}.parquet"
