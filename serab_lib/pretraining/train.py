"""The training loop of BYOL-A, BYOL-S and BYOL-S/CvT, to be read from top to bottom."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression

from serab_lib.audio import load_audio, log_mel
from serab_lib.core import Progress, SerabError, replaced, require_writable
from serab_lib.corpora.corpus import load_task
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import get_task
from serab_lib.evaluation.protocol import normalise_speakers
from serab_lib.extractors.base import Statistics
from serab_lib.extractors.cvt import CvtEncoder
from serab_lib.extractors.registry import load_extractor
from serab_lib.pretraining.augmentations import Augmentation
from serab_lib.pretraining.byol import Byol
from serab_lib.pretraining.clips import CropBatches, Purpose, find_audio, make_generator, prepare_clips
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.run import LAST, Log, keep_best, read_checkpoint, read_log, write_checkpoint, write_encoder

if TYPE_CHECKING:
    from lightning.fabric import Fabric

logger = logging.getLogger(__name__)


def pretrain(
    audio: str | Path | Iterable[str | Path],
    out: str | Path,
    config: PretrainConfig | None = None,
    *,
    resume: bool = False,
    probe: str | None = None,
    data: str | Path | None = None,
    cache: str | Path | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Train an encoder without labels.

    Parameters
    ----------
    audio : path or iterable of paths
        Folders, audio files or lists of them; see `serab_lib.pretraining.clips.find_audio`.
    out : str or Path
        Folder of the run: `encoder.pth` and `encoder_best.pth`, to be used as `path:FILE`; `last.ckpt` and
        `best.ckpt`, to go on from; `config.json`, `log.csv` and `probe.csv`.
    config : PretrainConfig, optional
        The paper's settings if None.
    resume : bool
        Go on with the run in `out`, if there is one.
    probe : str, optional
        Task, by code or name, whose validation accuracy is measured during training.
    data : str or Path, optional
        Folder of the probe's corpus.
    cache : str or Path, optional
        Folder of caches, where decoded audio is kept.
    n_jobs : int, optional
        Threads that decode; one per core if None.
    progress : callable, optional
        Told what is done, how much of it is, and how much there is.

    Returns
    -------
    pandas.DataFrame
        The log of the whole run; see `serab_lib.pretraining.run.read_log`.

    Raises
    ------
    SerabError
        If there is no audio to train on, the folder holds another run, or Lightning is not installed.

    Notes
    -----
    One seed gives one result on one device. Several GPUs compute what one would, up to rounding, as long as nothing
    is dropped out; several processes on CPUs normalise batches by each one's share. An interrupted run goes on from
    its last checkpoint with the losses that it would have had. The best checkpoint is that with the highest probe
    accuracy; without a probe that with the lowest loss of an epoch, which says little: embeddings that collapse have
    the lowest loss of all.
    """
    config, out = config or PretrainConfig(), Path(out)
    if (out / LAST).exists() and not resume:
        raise SerabError(f"{out} holds a run already: go on with it by --resume, or choose another folder")
    require_writable(out, "--out")
    fabric = _launch(config)
    progress = progress if fabric.is_global_zero else None
    clips = prepare_clips(find_audio(audio), cache=cache, n_jobs=n_jobs, progress=progress)
    trainer = _Trainer(fabric, config, CropBatches(clips, config), out)
    if fabric.is_global_zero:
        if probe:
            trainer.probe = Probe(probe, data, device=fabric.device, n_jobs=n_jobs, progress=progress)
        with replaced(out / "config.json") as temporary:
            temporary.write_text(json.dumps(vars(config), indent=1) + "\n")
    if (out / LAST).exists():
        trainer.resume()
    trainer.run(progress)
    fabric.barrier()
    return read_log(out)


class _Trainer:
    """What a run is made of, and the loop."""

    def __init__(self, fabric: Fabric, config: PretrainConfig, batches: CropBatches, out: Path) -> None:
        self.fabric, self.config, self.batches, self.out = fabric, config, batches, out
        self.probe: Probe | None = None
        self.step = 0
        with seeded(config.seed, Purpose.WEIGHTS, device=torch.device("cpu")):
            # Channels last is what convolutions are fastest with on a CPU.
            self.learner = Byol(config).to(memory_format=torch.channels_last)
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            self.learner = torch.nn.SyncBatchNorm.convert_sync_batchnorm(self.learner)
        online = [weights for weights in self.learner.parameters() if weights.requires_grad]
        optimizer = torch.optim.AdamW(online, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.model, self.optimizer = fabric.setup(self.learner, optimizer)
        self.augment = Augmentation(config, fabric.device)
        self.parts = {"learner": self.learner, "optimizer": self.optimizer, "augmentation": self.augment}
        # Each process makes the views of the whole batch, as one alone would, and trains on its share of them.
        n_own = config.batch_size // fabric.world_size
        self.share = slice(fabric.global_rank * n_own, (fabric.global_rank + 1) * n_own)

    def run(self, progress: Progress | None) -> None:
        """Train to the end."""
        config, batches = self.config, self.batches
        n_steps = config.epochs * batches.n_steps_per_epoch
        log = Log(self.out, self.fabric, batches, step=self.step)
        if not self.step:
            self._measure(log, epoch=0)
        # cuDNN chooses kernels that give the same sums each time.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True):
            for step, crops in batches.iterate(self.step, n_steps, self.fabric.device):
                epoch = step // batches.n_steps_per_epoch + 1
                rate = self.optimizer.param_groups[0]["lr"] = config.learning_rate_at(step / n_steps)
                views = self.augment(crops, step, measure=epoch == 1)[:, self.share]
                log.add(step + 1, epoch, self._optimise(step, views), learning_rate=rate)
                self.step = step + 1
                epoch_ends = self.step % batches.n_steps_per_epoch == 0
                if epoch_ends or self.step % config.checkpoint_steps == 0:
                    log.write()
                    if epoch_ends and (epoch % config.probe_epochs == 0 or epoch == config.epochs):
                        self._measure(log, epoch)
                    if self.fabric.is_global_zero:
                        self._save(epoch if epoch_ends else None)
                    log.restart_clock()
                if progress:
                    progress("pre-training", self.step, n_steps)

    def _optimise(self, step: int, views: torch.Tensor) -> torch.Tensor:
        """Make one step of the optimiser and of the target; returns loss and measures."""
        self.optimizer.zero_grad()
        n_parts, values = self.config.accumulate, []
        with seeded(self.config.seed, Purpose.DROPOUT, step, self.fabric.global_rank, device=self.fabric.device):
            for i, (first, second) in enumerate(views.chunk(n_parts, dim=1)):
                with self.fabric.no_backward_sync(self.model, enabled=i + 1 < n_parts):
                    loss, measures = self.model(first, second)
                    self.fabric.backward(loss / n_parts)
                values.append(torch.cat([loss.detach()[None], measures]))
        self.optimizer.step()
        self.learner.update_target(self.config.momentum)
        return torch.stack(values).mean(dim=0)

    def _measure(self, log: Log, epoch: int) -> None:
        """Write what the probe says of the encoder, where there is one."""
        if self.probe:
            accuracy = self.probe.measure(self.learner.encoder)
            row = {"step": self.step, "epoch": epoch, "task": self.probe.task.code}
            log.add_probe({**row, "validation_accuracy": accuracy})

    def _save(self, epoch: int | None) -> None:
        """Write a checkpoint; at the end of an epoch it may be the best."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        clips = self.batches.clips.fingerprint
        state = {"config": vars(self.config), "clips": clips, "step": self.step, **states}
        write_checkpoint(self.out, state, self.learner.encoder)
        if epoch:
            keep_best(self.out, epoch, probed=self.probe is not None)

    def resume(self) -> None:
        """Go on from the last checkpoint."""
        state = read_checkpoint(self.out / LAST, self.fabric.device)
        self.config.require_same_run(state["config"])
        if state["clips"] != self.batches.clips.fingerprint:
            raise SerabError(
                f"{self.out / LAST} was trained on other audio: name the same files to resume, or choose another folder"
            )
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.step = state["step"]
        logger.info("going on after step %d of %s", self.step, self.out)


class Probe:
    """A task's training and validation utterances, ready to be embedded again and again; no test speaker is heard."""

    def __init__(
        self,
        task: str,
        data: str | Path | None = None,
        *,
        device: str | torch.device = "cpu",
        n_jobs: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.task, self.device = get_task(task), device
        utterances = split(load_task(self.task, data), self.task, "described")
        self.utterances = utterances[utterances["part"] != "test"]
        self.is_train = (self.utterances["part"] == "train").to_numpy()
        self.waveforms: list[torch.Tensor] = []
        with ThreadPoolExecutor(n_jobs, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for waveform in pool.map(load_audio, self.utterances["path"]):
                self.waveforms.append(waveform)
                if progress:
                    progress(f"audio of {self.task.title}", len(self.waveforms), len(self.utterances))
        train = [log_mel(each) for each, own in zip(self.waveforms, self.is_train, strict=True) if own]
        mean, std = (
            float(torch.stack(each).mean()) for each in zip(*((x.mean(), x.std()) for x in train), strict=True)
        )
        self.statistics = Statistics(mean, std)

    def measure(self, encoder: torch.nn.Module) -> float:
        """Validation accuracy of logistic regression (C = 1, classes weighted alike) on an encoder's embeddings."""
        pooling = f":{encoder.pooling}" if isinstance(encoder, CvtEncoder) else ""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "encoder.pth"
            write_encoder(file, encoder)
            extractor = load_extractor(f"path:{file}{pooling}", device=self.device).with_statistics(self.statistics)
        embeddings = extractor.embed(self.waveforms).double().numpy()
        X = normalise_speakers(embeddings, self.utterances["group"], self.utterances["part"])
        y = self.utterances["emotion"].to_numpy(dtype=str)
        model = LogisticRegression(class_weight="balanced", max_iter=10_000)
        return float(model.fit(X[self.is_train], y[self.is_train]).score(X[~self.is_train], y[~self.is_train]))


def is_first_process() -> bool:
    """Whether this process is the one that writes and prints, of those that train together."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def _launch(config: PretrainConfig) -> Fabric:
    """Start Lightning Fabric: one process a device."""
    try:
        from lightning.fabric import Fabric
    except ImportError as error:
        raise SerabError(
            "pre-training needs Lightning, which is not installed: pip install 'serab-companion[pretrain]'"
        ) from error
    # It would list its processes, once by its own handler and once by ours.
    for name in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    n_found = torch.cuda.device_count()
    if config.device == "cuda" and n_found < config.n_devices:
        raise SerabError(
            f"{config.n_devices} CUDA devices were asked for, this machine has {n_found}: choose --device cpu, or "
            "fewer --devices"
        )
    fabric = Fabric(
        accelerator="cuda" if n_found and config.device != "cpu" else "cpu",
        devices=config.n_devices,
        strategy="ddp" if config.n_devices > 1 else "auto",
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


@contextlib.contextmanager
def seeded(seed: int, purpose: Purpose, *position: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators that weights and dropout are drawn from; afterwards they are as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(make_generator(seed, purpose, *position).integers(2**63)))
        yield
