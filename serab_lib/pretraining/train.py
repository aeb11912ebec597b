"""The training loop of BYOL-A, BYOL-S and BYOL-S/CvT, to be read from top to bottom."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from serab_lib.core import SerabError, replaced, require_writable
from serab_lib.pretraining.augmentations import Augmentation
from serab_lib.pretraining.batches import CropBatches, Purpose, make_generator
from serab_lib.pretraining.byol import Byol
from serab_lib.pretraining.checkpoint import (
    LAST,
    Position,
    keep_best,
    read_checkpoint,
    require_new,
    restore,
    write_checkpoint,
)
from serab_lib.pretraining.clips import find_audio, prepare_clips
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.distributed import count_ranks, synchronise_batch_norms
from serab_lib.pretraining.journal import Journal, read_log

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from serab_lib.pretraining.probe import Probe

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]


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
        The log of the whole run; see `serab_lib.pretraining.journal.read_log`.

    Raises
    ------
    SerabError
        If there is no audio to train on, a setting makes no sense, the folder holds another run, or Lightning
        is not installed.

    Notes
    -----
    One seed gives one result on one device. Several devices compute what one would, up to rounding, as long as
    nothing is dropped out. An interrupted run goes on from its last checkpoint with the losses that it would
    have had. The best checkpoint is that with the highest probe accuracy; without a probe that with the lowest
    loss of an epoch, which says little: embeddings that collapse have the lowest loss of all.
    """
    config, out = config or PretrainConfig(), Path(out)
    require_new(out, resume=resume)
    require_writable(out, "--out")
    fabric = _launch(config)
    leader = fabric.is_global_zero
    progress = progress if leader else None
    clips = prepare_clips(find_audio(audio), cache=cache, n_jobs=n_jobs, progress=progress)
    batches = CropBatches(clips, config, rank=fabric.global_rank, n_ranks=fabric.world_size)
    trainer = _Trainer(fabric, config, batches, out)
    if probe and leader:
        from serab_lib.pretraining.probe import Probe

        trainer.probe = Probe(probe, data, device=fabric.device, n_jobs=n_jobs, progress=progress)
    if resume and (out / LAST).exists():
        trainer.resume()
    if leader:
        with replaced(out / "config.json") as temporary:
            temporary.write_text(json.dumps(config.to_dict(), indent=1) + "\n")
    trainer.run(progress)
    fabric.barrier()
    return read_log(out)


class _Trainer:
    """What a run is made of, and the loop."""

    def __init__(self, fabric: Fabric, config: PretrainConfig, batches: CropBatches, out: Path) -> None:
        self.fabric, self.config, self.batches, self.out = fabric, config, batches, out
        self.probe: Probe | None = None
        self.position = Position()
        with seeded(config.seed, Purpose.WEIGHTS, device=torch.device("cpu")):
            self.learner = Byol(config)
        if count_ranks() > 1:
            synchronise_batch_norms(self.learner)
        # Channels last is what convolutions are fastest with on a CPU.
        for layer in self.learner.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.to(memory_format=torch.channels_last)
        online = [weights for weights in self.learner.parameters() if weights.requires_grad]
        optimizer = torch.optim.AdamW(online, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.model, self.optimizer = fabric.setup(self.learner, optimizer)
        self.augment = Augmentation(config, fabric.device)
        self.parts = {"learner": self.learner, "optimizer": self.optimizer, "augmentation": self.augment}

    def run(self, progress: Progress | None) -> None:
        """Train to the end."""
        config, position, batches, fabric = self.config, self.position, self.batches, self.fabric
        n_steps = config.epochs * batches.n_steps_per_epoch
        journal = Journal(self.out, writes=fabric.is_global_zero, step=position.step)
        if not position.step:
            self._measure(journal, epoch=0)
        with _deterministic_kernels():
            for step, crops in batches.iterate(position.step, n_steps, fabric.device):
                epoch = step // batches.n_steps_per_epoch + 1
                generator = make_generator(config.seed, Purpose.AUGMENTATION, step)
                views = self.augment(crops, generator, share=batches.share, measure=epoch == 1)

                self.optimizer.zero_grad()
                rate = self.optimizer.param_groups[0]["lr"] = config.learning_rate_at(step / n_steps)
                values = []
                with seeded(config.seed, Purpose.DROPOUT, step, fabric.global_rank, device=fabric.device):
                    for i, (first, second) in enumerate(views.chunk(config.accumulate, dim=1)):
                        with fabric.no_backward_sync(self.model, enabled=i + 1 < config.accumulate):
                            loss, measures = self.model(first, second)
                            fabric.backward(loss / config.accumulate)
                        values.append(torch.cat([loss.detach()[None], measures]))
                self.optimizer.step()
                self.learner.update_target(config.momentum)

                position.step = step + 1
                epoch_ends = position.step % batches.n_steps_per_epoch == 0
                saves = epoch_ends or position.step % config.checkpoint_steps == 0
                if journal.add(position.step, epoch, torch.stack(values).mean(dim=0), learning_rate=rate) or saves:
                    self._flush(journal)
                if epoch_ends:
                    self._end_epoch(journal, epoch)
                elif saves:
                    self._save()
                if saves:
                    journal.restart_clock(batches.wait_s)
                if progress:
                    progress("pre-training", position.step, n_steps)

    def resume(self) -> None:
        """Go on from the last checkpoint."""
        path = self.out / LAST
        state = read_checkpoint(path, self.fabric.device)
        self.position = restore(state, self.config, self.batches.clips.fingerprint, self.parts, source=path)
        logger.info("going on after step %d of %s", self.position.step, self.out)

    def _flush(self, journal: Journal) -> None:
        losses = journal.flush(batch_size=self.config.batch_size, wait_s=self.batches.wait_s)
        self.position.epoch_loss += sum(losses)

    def _end_epoch(self, journal: Journal, epoch: int) -> None:
        """Measure the probe, save, and keep the epoch if it is the best."""
        goodness: float | None = -self.position.epoch_loss
        if self.probe:
            is_due = epoch % self.config.probe_epochs == 0 or epoch == self.config.epochs
            goodness = self._measure(journal, epoch) if is_due else None
        is_best = goodness is not None and goodness > self.position.best
        if is_best:
            self.position.best = goodness
        self.position.epoch_loss = 0.0
        self._save()
        if is_best and self.fabric.is_global_zero:
            keep_best(self.out)

    def _measure(self, journal: Journal, epoch: int) -> float | None:
        if self.probe is None:
            return None
        accuracy = self.probe.measure(self.learner.encoder)
        row = {"step": self.position.step, "epoch": epoch, "task": self.probe.task.code}
        journal.add_probe({**row, "validation_accuracy": accuracy})
        return accuracy

    def _save(self) -> None:
        if self.fabric.is_global_zero:
            write_checkpoint(self.out, self.position, self.config, self.batches.clips.fingerprint, self.parts)


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
    has_cuda = torch.cuda.is_available()
    if config.device == "cuda" and (not has_cuda or torch.cuda.device_count() < config.n_devices):
        raise SerabError(
            f"{config.n_devices} CUDA devices were asked for, this machine has {torch.cuda.device_count()}: choose "
            "--device cpu, or fewer --devices"
        )
    fabric = Fabric(
        accelerator="cuda" if config.device == "cuda" or (config.device == "auto" and has_cuda) else "cpu",
        devices=config.n_devices,
        strategy="ddp" if config.n_devices > 1 else "auto",
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


@contextlib.contextmanager
def seeded(seed: int, purpose: Purpose, *position: int, device: torch.device) -> Iterator[None]:
    """Seed the global generator that weights and dropout are drawn from; afterwards it is as it was.

    Parameters
    ----------
    seed : int
    purpose : Purpose
    *position : int
        See `serab_lib.pretraining.batches.make_generator`.
    device : torch.device
        Whose generator is seeded besides the CPU's.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(make_generator(seed, purpose, *position).integers(2**63)))
        yield


@contextlib.contextmanager
def _deterministic_kernels() -> Iterator[None]:
    """Have cuDNN choose kernels that give the same sums each time."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True):
        yield
