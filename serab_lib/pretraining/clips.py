"""From audio files to one memory-mapped array of samples that crops are cut from without decoding."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from serab_lib.audio import AudioError, load_audio
from serab_lib.core import SerabError, cache_folder, digest, printable, replaced
from serab_lib.corpora.corpus import AUDIO_SUFFIXES, load_task
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import get_task

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]

# 96 frames of a log-mel spectrogram with a hop of 160: 0.95 s at 16 kHz.
CROP_FRAMES, CROP_SAMPLES = 96, 15_200
FULL_SCALE = 32_767
_LIST_SUFFIXES = (".txt", ".lst", ".list")


@dataclass(frozen=True, eq=False)
class Clips:
    """Decoded audio, one clip after the other.

    Attributes
    ----------
    samples : np.ndarray [shape=(n_samples,)]
        int16 at 16 kHz, full scale 32,767; on disk, mapped into memory.
    offsets : np.ndarray [shape=(n_clips + 1,)]
        Where each clip begins, and where the last one ends. No clip is shorter than a crop.
    names : tuple of str [shape=(n_clips,)]
        The files.
    left_out : tuple of str
        One line for each file that could not be used.
    """

    samples: np.ndarray
    offsets: np.ndarray
    names: tuple[str, ...]
    left_out: tuple[str, ...]

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
        """Cut crops.

        Parameters
        ----------
        clips : np.ndarray [shape=(n,)]
            Which clip each is cut from.
        starts : np.ndarray [shape=(n,)]
            First sample, counted from the clip's start and below its `n_starts`.

        Returns
        -------
        np.ndarray [shape=(n, 15_200)]
            int16.
        """
        windows = np.lib.stride_tricks.sliding_window_view(self.samples, CROP_SAMPLES)
        return windows[self.offsets[clips] + starts]


def find_audio(sources: str | Path | Iterable[str | Path]) -> list[Path]:
    """Find audio files.

    Parameters
    ----------
    sources : path or iterable of paths
        Folders, searched at any depth; audio files; or lists (.txt, .lst), one path a line, relative to the
        list's own folder, with lines that start with # left out.

    Returns
    -------
    list of Path
        Without repetitions; a folder's files sorted by path, so that the order is that of no file system.

    Raises
    ------
    SerabError
        If a source is not there or holds no audio.
    """
    chosen = [sources] if isinstance(sources, str | Path) else list(sources)
    if not chosen:
        raise SerabError("no audio to train on: name a folder, audio files or a list of them")
    found: dict[Path, None] = {}
    for source in map(Path, chosen):
        found |= dict.fromkeys(_find(source))
    return list(found)


def _find(source: Path) -> list[Path]:
    known = " ".join(AUDIO_SUFFIXES)
    if source.is_dir():
        files = sorted(
            Path(folder, name)
            for folder, _, names in os.walk(source)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in AUDIO_SUFFIXES
        )
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
    """List the utterances of a task's training part, so that no speaker of validation or test is heard.

    Parameters
    ----------
    task : str
        Code or name.
    data : str or Path, optional
        Folder of the corpora; see `serab_lib.corpora.corpus.find_corpus`.

    Returns
    -------
    list of Path
        Of the speakers that the protocol `described` trains on.

    Raises
    ------
    SerabError
        If the corpus is not there or cannot be split.
    """
    record = get_task(task)
    utterances = split(load_task(record, data), record, "described")
    return [Path(path) for path in utterances.loc[utterances["part"] == "train", "path"]]


def prepare_clips(
    paths: Sequence[Path],
    *,
    cache: str | Path | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Clips:
    """Decode files once, to 16 kHz, into a file that crops are cut from.

    Parameters
    ----------
    paths : sequence of Path
    cache : path, optional
        Folder of caches; the samples are kept in `pretraining/` there, 32 kB a second of audio.
    n_jobs : int, optional
        Threads; one per core if None.
    progress : callable, optional
        Told what is done, how many files are, and how many there are.

    Returns
    -------
    Clips

    Raises
    ------
    SerabError
        If no file can be used.

    Notes
    -----
    A file that cannot be decoded and one of silence alone are left out, with a warning that counts them. A clip
    shorter than a crop is padded with silence to the length of one, half of it before and half after, so that
    all its crops are the same. The files are known by path, size and time of change.
    """
    keys = []
    for path in paths:
        try:
            status = os.stat(path)
            keys.append(f"{os.path.abspath(path)}|{status.st_size}|{status.st_mtime_ns}")
        except OSError:
            keys.append(f"{os.path.abspath(path)}|missing")
    folder = cache_folder(cache) / "pretraining" / f"clips1-{digest(keys)[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    # Several processes may want the same clips: one decodes, the others wait for it.
    with FileLock(folder / "lock"):
        if not (folder / "clips.parquet").exists():
            _decode_all(paths, folder, n_jobs, progress)
    clips = _open(folder)
    if clips.left_out:
        what = f"{len(clips.left_out)} of {len(paths)} audio files cannot be used"
        if not len(clips):
            raise SerabError(f"{what}, and there are no others; the first: {clips.left_out[0]}")
        logger.warning("%s and are left out; the first: %s", what, clips.left_out[0])
    return clips


def _decode_all(paths: Sequence[Path], folder: Path, n_jobs: int | None, progress: Progress | None) -> None:
    rows = []
    with replaced(folder / "samples.int16") as temporary, temporary.open("wb") as file:
        for path, outcome in zip(paths, _decode_in_order(paths, n_jobs), strict=True):
            problem = outcome if isinstance(outcome, str) else ""
            if not problem:
                outcome.tofile(file)
            rows.append((printable(path), 0 if problem else len(outcome), problem))
            if progress:
                progress("decoding", len(rows), len(paths))
    # Written last: where it is, the samples are whole.
    with replaced(folder / "clips.parquet") as temporary:
        pd.DataFrame(rows, columns=["name", "n_samples", "problem"]).to_parquet(temporary, index=False)


def _decode_in_order(paths: Sequence[Path], n_jobs: int | None) -> Iterator[np.ndarray | str]:
    """Samples of each file, or why it has none; few are held at a time."""
    n_workers = n_jobs or os.cpu_count() or 1
    pending: deque[Future] = deque()
    with ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for path in paths:
                pending.append(pool.submit(_decode, path))
                if len(pending) > 4 * n_workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _decode(path: Path) -> np.ndarray | str:
    try:
        waveform = load_audio(path)
    except AudioError as error:
        return str(error)
    samples = (waveform.clamp(-1, 1) * FULL_SCALE).round().to(torch.int16).numpy()
    if not samples.any():
        return f"{printable(path)} is silent: replace the file or leave it out"
    shortfall = max(0, CROP_SAMPLES - len(samples))
    return np.pad(samples, (shortfall // 2, shortfall - shortfall // 2))


def _open(folder: Path) -> Clips:
    table = pd.read_parquet(folder / "clips.parquet")
    used = table[table["problem"] == ""]
    offsets = np.concatenate([[0], np.cumsum(used["n_samples"].to_numpy(dtype=np.int64))])
    path = folder / "samples.int16"
    if path.stat().st_size != 2 * offsets[-1]:
        raise SerabError(f"{path} is cut off: delete the folder {folder}, it is made anew")
    samples = np.memmap(path, dtype=np.int16, mode="r") if offsets[-1] else np.zeros(0, dtype=np.int16)
    problems = table.loc[table["problem"] != "", "problem"]
    return Clips(samples, offsets, tuple(used["name"]), tuple(problems))
