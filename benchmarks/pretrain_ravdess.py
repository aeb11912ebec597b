"""Does a small pre-training on a CPU help? Encoders before and after it, on RAVDESS's test speakers.

Trains on the training speakers of RAVDESS alone, without labels, with the recipe's settings but for its length and
its batch; then compares each encoder with the same one as it was before the first step, over several seeds. The
length and the batch were chosen by validation accuracy on seed 42, which is why it is not among the seeds.

Needs SERAB_DATA/ravdess; uses one thread unless OMP_NUM_THREADS says otherwise. A second call goes on where the first
ended.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measuring import run

from serab_lib import load_task, split
from serab_lib.benchmark.embeddings import extract, measure_statistics
from serab_lib.core import replaced
from serab_lib.corpora.splits import PROTOCOLS
from serab_lib.corpora.task import get_task
from serab_lib.evaluation.protocol import fit_classifiers, make_parts, score
from serab_lib.evaluation.significance import t_interval
from serab_lib.extractors.registry import load_extractor
from serab_lib.extractors.weights import read_state_dict
from serab_lib.pretraining.byol import Byol
from serab_lib.pretraining.clips import Purpose, find_training_part
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.run import read_checkpoint, write_encoder
from serab_lib.pretraining.train import pretrain, seeded

TASK = get_task("RAV")
COLUMNS = (
    "model,seed,condition,protocol,classifier,accuracy,uar,low,high,"
    "crops,epochs,batch_size,learning_rate,momentum,seconds"
).split(",")
N_RESAMPLES = 10_000


def main() -> None:
    options = parse_options()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    utterances = load_task(TASK, options.data)
    rows, right = [], {}
    for model in options.models.split(","):
        for seed in map(int, options.seeds.split(",")):
            config = PretrainConfig(
                model=model,
                seed=seed,
                epochs=options.epochs,
                batch_size=options.batch_size,
                learning_rate=options.learning_rate,
                schedule=options.schedule,
                momentum=options.momentum,
                device="cpu",
            )
            folder = options.work / f"{model}-{seed}"
            log = pretrain(find_training_part("RAV", options.data), folder, config, cache=options.work, resume=True)
            write_encoder(folder / "random.pth", make_random_encoder(config))
            require_trained(folder)
            cost = {
                "crops": len(log) * config.batch_size,
                "epochs": config.epochs,
                "batch_size": config.batch_size,
                "learning_rate": config.learning_rate,
                "momentum": config.momentum,
                "seconds": round((config.batch_size / log["crops_per_s"]).sum()),
            }
            for condition, file in (("random", "random.pth"), ("pretrained", "encoder.pth")):
                for result in measure(folder / file, utterances, options.work):
                    right[model, seed, condition, result["protocol"]] = result.pop("right")
                    spent = cost if condition == "pretrained" else {}
                    rows.append({"model": model, "seed": seed, "condition": condition, **result, **spent})
            print(pd.DataFrame(rows, columns=COLUMNS).tail(4).to_string(), flush=True)
            rows_so_far = rows + [measure_gain(right, *each) for each in gains(right)]
            with replaced(options.out) as temporary:
                pd.DataFrame(rows_so_far, columns=COLUMNS).round(4).to_csv(temporary, index=False)
    print(pd.read_csv(options.out).to_string())


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="byol-s-cvt-256")
    parser.add_argument("--seeds", default="43,44,45")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--momentum", type=float, default=PretrainConfig.momentum)
    parser.add_argument("--learning-rate", type=float, default=PretrainConfig.learning_rate)
    parser.add_argument("--schedule", default=PretrainConfig.schedule)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--work", type=Path, default=Path("_build/pretrain-ravdess"))
    parser.add_argument("--out", type=Path, default=Path("results/pretraining/ravdess.csv"))
    return parser.parse_args()


def make_random_encoder(config: PretrainConfig) -> torch.nn.Module:
    """The encoder as it is before the first step of the run."""
    with seeded(config.seed, Purpose.WEIGHTS, device=torch.device("cpu")):
        return Byol(config).encoder


def require_trained(folder: Path) -> None:
    """Stop if the run's encoder is not the one its checkpoint holds, or did not move."""
    trained, learner = read_state_dict(folder / "encoder.pth"), read_checkpoint(folder / "last.ckpt")["learner"]
    random = read_state_dict(folder / "random.pth")
    if any(not weights.equal(learner[f"encoder.{name}"]) for name, weights in trained.items()):
        raise SystemExit(f"{folder}/encoder.pth is not that of last.ckpt: delete the folder")
    if all(weights.equal(random[name]) for name, weights in trained.items()):
        raise SystemExit(f"{folder}/encoder.pth holds the weights that the run began with")


def measure(encoder: Path, utterances: pd.DataFrame, work: Path) -> list[dict]:
    """Test accuracy of an encoder under both protocols, and which test utterances it gets right."""
    parts = split(utterances, TASK, "described")
    # RAVDESS has the same parts in both protocols: one fit serves both.
    if not split(utterances, TASK, "released")[["group", "part"]].equals(parts[["group", "part"]]):
        raise SystemExit("the two protocols split RAVDESS differently")
    extractor = load_extractor(f"path:{encoder}")
    n_threads = torch.get_num_threads()
    train = parts.loc[parts["part"] == "train", "path"].tolist()
    extractor = extractor.with_statistics(measure_statistics(train, extractor, n_jobs=n_threads))
    paths = parts["path"].tolist()
    made = extract(paths, extractor, cache=work, n_jobs=n_threads)
    results = fit_classifiers(make_parts(made.matrix, parts, TASK.classes))
    rows = []
    for protocol in PROTOCOLS:
        cell = score([results], [parts], protocol, TASK.classes)
        chosen = cell.scores[cell.scores["selected"]].iloc[0]
        right = (cell.predictions[chosen["classifier"]] == cell.predictions["emotion"]).to_numpy()
        draws = np.random.default_rng(0).integers(0, len(right), (N_RESAMPLES, len(right)))
        low, high = np.quantile(right[draws].mean(axis=1), [0.025, 0.975])
        rows.append(
            {
                "protocol": protocol,
                "classifier": chosen["classifier"],
                "accuracy": chosen["test_accuracy"],
                "uar": chosen["test_uar"],
                "low": low,
                "high": high,
                "right": right,
            }
        )
    return rows


def gains(right: dict) -> list[tuple[str, str]]:
    """Models and protocols that were measured."""
    return list(dict.fromkeys((model, protocol) for model, _, _, protocol in right))


def measure_gain(right: dict, model: str, protocol: str) -> dict:
    """Mean gain over the seeds, with Student's interval over them; NaN for one seed."""
    seeds = sorted({seed for name, seed, _, _ in right if name == model})
    gain = np.stack(
        [
            right[model, seed, "pretrained", protocol].astype(float) - right[model, seed, "random", protocol]
            for seed in seeds
        ]
    )  # (n_seeds, n_utterances)
    low, high = t_interval(gain.mean(axis=1))
    return {
        "model": model,
        "seed": "all",
        "condition": "gain",
        "protocol": protocol,
        "accuracy": gain.mean(),
        "low": low,
        "high": high,
    }


if __name__ == "__main__":
    run(main)
