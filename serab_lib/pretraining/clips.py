"""From audio files to one memory-mapped array of samples that crops are cut from without decoding."""

from __future__ import annotations

import functools
import logging
import os
import time
import tomllib
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from serab_lib.audio import AudioError, load_audio
from serab_lib.core import Progress, SerabError, cache_folder, digest, printable, replaced
from serab_lib.corpora.corpus import AUDIO_SUFFIXES, load_task
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import get_task
from serab_lib.pretraining.config import PretrainConfig

logger = logging.getLogger(__name__)


# 96 frames of a log-mel spectrogram with a hop of 160: 0.95 s at 16 kHz.
CROP_FRAMES, CROP_SAMPLES = 96, 15_200
FULL_SCALE = 32_767
_LIST_SUFFIXES = (".txt", ".lst", ".list")
# Files that are decoded, and held in memory, at a time.
_N_HELD = 256

SPEECH_LABELS = tomllib.loads((Path(__file__).parents[1] / "data" / "audioset.toml").read_text())["speech"]
"""Speech and its children in AudioSet's ontology."""


@dataclass(frozen=True, eq=False)
class Clips:
    """Decoded audio, one clip after the other; no clip is shorter than a crop."""

    samples: np.ndarray  # (n_samples,): int16 at 16 kHz, on disk, mapped into memory
    offsets: np.ndarray  # (n_clips + 1,): where each clip begins, and where the last one ends
    names: tuple[str, ...]  # the files

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.names)

    @property
    def n_starts(self) -> np.ndarray:
        """Places where a crop of each clip can begin, shape (n_clips,)."""
        return np.diff(self.offsets) - CROP_SAMPLES + 1

    @property
    def fingerprint(self) -> str:
        """Changes with the names of the files, their order and their lengths; not with the folder."""
        return digest([*map(os.path.basename, self.names), *map(str, self.offsets)])

    def cut(self, clips: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Cut a crop of each of the clips (n,), from its sample `starts` (n,) on: int16 of shape (n, 15_200)."""
        windows = np.lib.stride_tricks.sliding_window_view(self.samples, CROP_SAMPLES)
        return windows[self.offsets[clips] + starts]


def find_audio(sources: str | Path | Iterable[str | Path]) -> list[Path]:
    """Audio files of folders at any depth, files and lists (one path a line, relative to the list), each once."""
    chosen = [sources] if isinstance(sources, str | Path) else list(sources)
    if not chosen:
        raise SerabError("no audio to train on: name a folder, audio files or a list of them")
    return list(dict.fromkeys(path for source in chosen for path in _find(Path(source))))


def _find(source: Path) -> list[Path]:
    """Audio files of one source."""
    known = " ".join(AUDIO_SUFFIXES)
    if source.is_dir():
        inside = [Path(folder, name) for folder, _, names in os.walk(source) for name in names]
        files = [each for each in sorted(inside) if each.suffix.lower() in AUDIO_SUFFIXES and each.name[0] != "."]
        if not files:
            raise SerabError(f"no {known} file in the folder {printable(source)}: name a folder of audio")
        return files
    if not source.is_file():
        raise SerabError(f"there is no {printable(source)}: name a folder, an audio file or a list of them")
    if source.suffix.lower() in AUDIO_SUFFIXES:
        return [source]
    if source.suffix.lower() not in _LIST_SUFFIXES:
        raise SerabError(
            f"{printable(source)} is no {known} file and no list ({' '.join(_LIST_SUFFIXES)}): rename it or name others"
        )
    lines = [line.strip() for line in source.read_text(errors="surrogateescape").splitlines()]
    files = [source.parent / line for line in lines if line and not line.startswith("#")]
    if not files:
        raise SerabError(f"the list {printable(source)} is empty: write one path of an audio file a line")
    return files


def find_training_part(task: str, data: str | Path | None = None) -> list[Path]:
    """List the utterances that a task trains on under `described`: no speaker of validation or test is heard."""
    record = get_task(task)
    utterances = split(load_task(record, data), record, "described")
    return [Path(path) for path in utterances.loc[utterances["part"] == "train", "path"]]


def select_segments(
    paths: Sequence[Path], segments: str | Path, *, labels: Collection[str] | None = None
) -> list[Path]:
    """Files named by a video of AudioSet's list, such as `--PJHxphWEs_30.000.wav`, with one of the labels, if any."""
    columns = ["video", "start_s", "end_s", "labels"]
    hint = "name one of AudioSet's lists of segments, such as balanced_train_segments.csv"
    try:
        listed = pd.read_csv(segments, names=columns, comment="#", skipinitialspace=True, dtype=str)
    except (OSError, ValueError) as error:
        raise SerabError(f"{printable(segments)} cannot be read ({error}): {hint}") from error
    if listed.empty or listed.isna().any(axis=None):
        raise SerabError(f"{printable(segments)} lists no segments, or not {', '.join(columns)} of each: {hint}")
    wanted = {
        video
        for video, own in zip(listed["video"], listed["labels"], strict=True)
        if labels is None or not set(labels).isdisjoint(own.split(","))
    }
    # A video's name has 11 characters, perhaps after a Y as in AudioSet's own features.
    chosen = [path for path in paths if wanted & {path.stem[:11], path.stem.removeprefix("Y")[:11]}]
    if not chosen:
        raise SerabError(
            f"none of {len(paths)} audio files is one of the {len(wanted)} chosen segments of {printable(segments)}: "
            "files are named by their video, such as --PJHxphWEs.wav"
        )
    logger.info("%d of %d audio files are chosen segments of %s", len(chosen), len(paths), segments)
    return chosen


def prepare_clips(
    paths: Sequence[Path],
    *,
    cache: str | Path | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Clips:
    """Decode files once, to 16 kHz, into a file in the cache that crops are cut from; leave out what cannot be used."""
    keys = []
    for path in paths:
        status = os.stat(path) if path.exists() else None
        keys.append(f"{os.path.abspath(path)}|{status and (status.st_size, status.st_mtime_ns)}")
    folder = cache_folder(cache) / "pretraining" / f"clips2-{digest(keys)[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    # Several processes may want the same clips: one decodes, the others wait for it.
    with FileLock(folder / "lock"):
        if not (folder / "clips.parquet").exists():
            _decode_all(paths, folder, n_jobs, progress)
    table = pd.read_parquet(folder / "clips.parquet")
    used, problems = table[table["problem"] == ""], table.loc[table["problem"] != "", "problem"].tolist()
    if problems:
        what = f"{len(problems)} of {len(paths)} audio files cannot be used"
        if used.empty:
            raise SerabError(f"{what}, and there are no others; the first: {problems[0]}")
        logger.warning("%s and are left out; the first: %s", what, problems[0])
    offsets = np.concatenate([[0], np.cumsum(used["n_samples"].to_numpy(dtype=np.int64))])
    return Clips(np.memmap(folder / "samples.int16", dtype=np.int16, mode="r"), offsets, tuple(used["name"]))


def _decode_all(paths: Sequence[Path], folder: Path, n_jobs: int | None, progress: Progress | None) -> None:
    """Write the samples of all files one after the other, and a table of them."""
    rows = []
    pool = ThreadPoolExecutor(n_jobs or os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,))
    with replaced(folder / "samples.int16") as temporary, temporary.open("wb") as file, pool:
        held = (paths[first : first + _N_HELD] for first in range(0, len(paths), _N_HELD))
        decoded = chain.from_iterable(pool.map(_decode, each) for each in held)
        for path, (samples, problem) in zip(paths, decoded, strict=True):
            samples.tofile(file)
            rows.append((printable(path), len(samples), problem))
            if progress:
                progress("decoding", len(rows), len(paths))
    # Written last: where it is, the samples are whole.
    with replaced(folder / "clips.parquet") as temporary:
        pd.DataFrame(rows, columns=["name", "n_samples", "problem"]).to_parquet(temporary, index=False)


def _decode(path: Path) -> tuple[np.ndarray, str]:
    """Samples of a file, int16, at least as many as a crop has."""
    nothing = np.zeros(0, dtype=np.int16)
    try:
        waveform = load_audio(path)
    except AudioError as error:
        return nothing, str(error)
    samples = (waveform.clamp(-1, 1) * FULL_SCALE).round().to(torch.int16).numpy()
    if not samples.any():
        return nothing, f"{printable(path)} is silent: replace the file or leave it out"
    # All crops of a clip that is padded are the same.
    shortfall = max(0, CROP_SAMPLES - len(samples))
    return np.pad(samples, (shortfall // 2, shortfall - shortfall // 2)), ""


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
