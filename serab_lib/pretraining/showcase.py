"""A small pre-training run for the book: computed now on a synthetic corpus, or as it was kept."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from serab_lib.core import SerabError
from serab_lib.corpora.corpus import Corpus
from serab_lib.corpora.splits import split
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.journal import read_log, read_probe


@dataclass(frozen=True)
class Run:
    """What a run left.

    Attributes
    ----------
    log, probe : pandas.DataFrame
        As from `read_log` and `read_probe`.
    """

    log: pd.DataFrame
    probe: pd.DataFrame


def pretrain_small(
    corpora: list[Corpus], config: PretrainConfig, *, probe_on: Corpus, released: str | Path | None = None
) -> tuple[Run, dict[str, float]]:
    """Pre-train on the training speakers of a few corpora, and probe the encoder on one of them.

    Parameters
    ----------
    corpora : list of Corpus
        Only their training parts of the `described` split are heard, so no test speaker is.
    config : PretrainConfig
    probe_on : Corpus
        Whose validation accuracy is measured, before the first epoch and after each.
    released : str or Path, optional
        A released encoder of the same kind, to be measured on the same corpus.

    Returns
    -------
    run : Run
    references : dict
        `released weights` to its validation accuracy, where there are any.
    """
    from serab_lib.pretraining.train import pretrain

    files = []
    for corpus in corpora:
        parts = split(corpus.utterances, corpus.task, "described")
        files += list(parts.loc[parts["part"] == "train", "path"])
    with tempfile.TemporaryDirectory() as folder:
        # The probe finds its corpus by name, in the folder that holds it.
        pretrain(files, folder, config, probe=probe_on.task.name, data=probe_on.root.parent)
        run = Run(read_log(folder), read_probe(folder))
    references = {} if released is None else {"released weights": measure_encoder(released, config, probe_on)}
    return run, references


def measure_encoder(checkpoint: str | Path, config: PretrainConfig, corpus: Corpus) -> float:
    """Probe a checkpoint as a run would."""
    from serab_lib.extractors.weights import load_into, read_state_dict
    from serab_lib.pretraining.byol import build_encoder
    from serab_lib.pretraining.probe import Probe

    encoder = build_encoder(config.model)
    load_into(encoder, read_state_dict(Path(checkpoint)), source=checkpoint)
    with torch.no_grad():
        return Probe(corpus.task.name, corpus.root.parent).measure(encoder)


def read_kept(folder: str | Path) -> tuple[Mapping[str, pd.DataFrame], pd.DataFrame]:
    """Read the runs on RAVDESS that the repository keeps.

    Parameters
    ----------
    folder : str or Path
        `results/pretraining`.

    Returns
    -------
    logs : mapping
        Seed to its log.
    accuracies : pandas.DataFrame
        As `benchmarks/pretrain_ravdess.py` writes it.

    Raises
    ------
    SerabError
        If they are not there.
    """
    folder = Path(folder)
    if not (folder / "ravdess.csv").is_file():
        raise SerabError(f"there is no {folder / 'ravdess.csv'}: make it with benchmarks/pretrain_ravdess.py")
    logs = {path.stem.removeprefix("log-"): pd.read_csv(path) for path in sorted(folder.glob("log-*.csv"))}
    return logs, pd.read_csv(folder / "ravdess.csv")


def write_gains(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Arrange what `benchmarks/pretrain_ravdess.py` measured for reading: percent, the gains at the end."""
    columns = ["model", "protocol", "seed", "condition", "classifier"]
    table = accuracies[columns].astype(object).where(accuracies[columns].notna(), None)
    for name in ("accuracy", "low", "high"):
        table[name] = 100 * accuracies[name]
    order = (accuracies["condition"] == "gain").sort_values(kind="stable").index
    return table.loc[order]
