"""Which crops make up a batch, and cutting them ahead of time.

Every random number of a run comes from a generator that is made for its purpose and step. So the step alone is the
state of all of them: a run goes on from any step as if it had never stopped, on any number of devices.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum

import numpy as np
import torch

from serab_lib.core import SerabError
from serab_lib.pretraining.clips import Clips
from serab_lib.pretraining.config import PretrainConfig

# Batches that are cut while the device computes, and the threads that do it.
_N_AHEAD, _N_THREADS = 6, 3


class Purpose(IntEnum):
    """What random numbers are drawn for; each purpose has generators of its own."""

    WEIGHTS = 0
    ORDER = 1
    CROPS = 2
    AUGMENTATION = 3
    DROPOUT = 4


def make_generator(seed: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """Generator of one purpose at one position (step or epoch, process) of a run."""
    return np.random.default_rng([seed, purpose, *position])


class CropBatches:
    """The batches of a run, by the number of the step; the crops of an epoch that fill no whole one are left out."""

    def __init__(self, clips: Clips, config: PretrainConfig) -> None:
        self.clips, self.config = clips, config
        self.n_crops = len(clips) * config.crops_per_clip
        self.n_steps_per_epoch = self.n_crops // config.batch_size
        if not self.n_steps_per_epoch:
            raise SerabError(
                f"{self.n_crops} crops do not fill one batch of {config.batch_size}: choose a smaller --batch-size, "
                "more --crops-per-clip, or add audio"
            )
        self.n_starts = clips.n_starts
        self.wait_s = 0.0

    def choose(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Choose the clips of a batch and the first sample of each crop, both of shape (batch_size,)."""
        epoch, within = divmod(step, self.n_steps_per_epoch)
        size = self.config.batch_size
        order = _draw_order(self.config.seed, epoch, self.n_crops)
        clips = order[within * size : (within + 1) * size] % len(self.clips)
        if self.config.crop_start == "released":
            return clips, np.zeros(size, dtype=np.int64)
        uniform = make_generator(self.config.seed, Purpose.CROPS, step).random(size)
        return clips, (uniform * self.n_starts[clips]).astype(np.int64)

    def cut(self, step: int, *, pinned: bool = False) -> torch.Tensor:
        """Cut a batch, int16 of shape (batch_size, 15_200)."""
        crops = torch.from_numpy(self.clips.cut(*self.choose(step)))
        return crops.pin_memory() if pinned else crops

    def iterate(self, start: int, stop: int, device: torch.device) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield steps and their crops on the device; threads cut the next ones meanwhile."""
        cut = functools.partial(self.cut, pinned=device.type == "cuda")
        with ThreadPoolExecutor(_N_THREADS, thread_name_prefix="crops") as pool:
            pending = deque(pool.submit(cut, step) for step in range(start, min(start + _N_AHEAD, stop)))
            for step in range(start, stop):
                began = time.perf_counter()
                crops = pending.popleft().result()
                self.wait_s += time.perf_counter() - began
                if step + _N_AHEAD < stop:
                    pending.append(pool.submit(cut, step + _N_AHEAD))
                yield step, crops.to(device, non_blocking=True)


@functools.lru_cache(maxsize=2)
def _draw_order(seed: int, epoch: int, n_crops: int) -> np.ndarray:
    """Order of an epoch's crops."""
    return make_generator(seed, Purpose.ORDER, epoch).permutation(n_crops)
