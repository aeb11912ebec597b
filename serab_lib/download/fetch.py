"""`fetch`: a corpus or a checkpoint downloaded, unpacked, checked, and only then put in its place."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import filelock

from serab_lib.core import SerabError, printable
from serab_lib.corpora.check import Problem, check_corpus
from serab_lib.corpora.corpus import find_corpus, find_data, find_root
from serab_lib.download import sources, transfer
from serab_lib.download.sources import Source
from serab_lib.download.transfer import MB, ArchiveError, TransferError
from serab_lib.extractors.registry import EXTRACTORS
from serab_lib.extractors.weights import (
    CheckpointError,
    find_checkpoint,
    read_state_dict,
    require_checkpoint,
    weights_folder,
)

# What stands with a corpus or a checkpoint.
THERE, FETCHABLE, CONSENT = "there", "can be fetched", "licence to accept"
ASK, UNCLEAR = "to be asked for", "not usable"
SPARE = 200 * MB
# Problems of a corpus that an archive whose checksum nobody publishes may have, and be the corpus.
_HARMLESS = {"extra", "silent", "duplicated", "sample rate"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to fetch: the folders, and what `serab fetch` may be told.

    `archives` are the corpus as it was delivered, in place of a download. `announce` is told what is about to be
    downloaded, `progress` what is being done, how much of it is done and how much there is.
    """

    data: str | Path | None = None
    weights: str | Path | None = None
    archives: Sequence[Path] = ()
    accept_licence: bool = False
    n_workers: int = 8
    announce: Callable[[Source], object] = lambda source: None
    progress: Callable[[str, int, int], object] = lambda what, n_done, n_total: None


@dataclass(frozen=True)
class Fetched:
    """What came of a fetch: `state` is `fetched` or `present`; `notes` say what the user may not expect."""

    name: str
    path: Path
    state: str
    verified: str
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Offer:
    """What stands with one corpus or checkpoint, and what is to be said about it in a line."""

    source: Source
    state: str
    note: str = ""


def fetch(source: str | Source, options: Options | None = None) -> Fetched:
    """Fetch a corpus or a checkpoint, unless it is there.

    If it cannot be had, or is not what was published, nothing is put in its place; what came in is kept and gone on
    with by the next attempt.
    """
    source = sources.get_source(source) if isinstance(source, str) else source
    options = options or Options()
    try:
        return (_fetch_checkpoint if source.kind == sources.CHECKPOINT else _fetch_corpus)(source, options)
    except TransferError as error:
        advice = write_advice(source, options)
        raise SerabError(f"{source.title} could not be downloaded ({error}): {advice}") from error


def survey(
    data: str | Path | None = None, weights: str | Path | None = None, *, verify: bool = False
) -> tuple[Offer, ...]:
    """Look at what is there and say of the rest how it can be had; `verify` compares checkpoints with their hashes."""
    corpora = [_look_at_corpus(source, data) for source in sources.CORPORA.values()]
    return (*corpora, *(_look_at_checkpoint(source, weights, verify=verify) for source in sources.list_checkpoints()))


def write_advice(source: Source, options: Options) -> str:
    """Say in a clause what to do by hand, and where that leads."""
    if source.kind == sources.CHECKPOINT:
        place = weights_folder(options.weights)
        if source.packed:
            return f"{source.advice} and unpack it into {printable(place / source.name)}/"
        return f"{source.advice} and put {source.files[0].name} into {printable(place)}"
    shown = " --archive FILE" * (max(1, len(source.files)) if source.packed else 1)
    place = find_data(options.data) / source.name
    command = f"serab fetch {source.name}{shown}"
    return f"{source.advice}, then run `{command}`, which checks it and unpacks it into {printable(place)}"


def _look_at_corpus(source: Source, data: str | Path | None) -> Offer:
    target = find_root(source.name, data)
    if not target.exists() or (target.is_dir() and not os.listdir(target)):
        absent = {sources.OPEN: FETCHABLE, sources.RESTRICTED: ASK}.get(source.access, sources.BY_HAND)
        return Offer(source, absent, "" if absent == FETCHABLE else source.advice)
    try:
        corpus = find_corpus(source.name, data)
    except SerabError as error:
        return Offer(source, UNCLEAR, str(error))
    n_there = f"{len(corpus.utterances):,}"
    if corpus.synthetic:
        return Offer(source, UNCLEAR, f"synthetic, {n_there} utterances")
    if not corpus.complete:
        return Offer(source, UNCLEAR, f"incomplete: {n_there} of {corpus.n_expected:,} utterances")
    return Offer(source, THERE, f"{n_there} utterances")


def _look_at_checkpoint(source: Source, weights: str | Path | None, *, verify: bool) -> Offer:
    entry = EXTRACTORS[source.name]
    path = find_checkpoint(entry, weights)
    if path is None and source.needs_consent:
        return Offer(source, CONSENT, source.licence_url)
    if path is None:
        return Offer(source, FETCHABLE if source.files[0].urls else sources.BY_HAND)
    try:
        if verify:
            require_checkpoint(entry, weights)
    except CheckpointError as error:
        return Offer(source, UNCLEAR, str(error))
    return Offer(source, THERE, path.name)


def _fetch_checkpoint(source: Source, options: Options) -> Fetched:
    weights, verified = weights_folder(options.weights), sources.describe_source(source)["verified"]
    # What is cut off or another file gives way to the released one, and is kept under another name.
    if (there := _look_at_checkpoint(source, weights, verify=True)).state == THERE:
        return Fetched(source.name, weights / there.note, "present", verified)
    if options.archives:
        raise SerabError(f"{source.name} is no archive: {write_advice(source, options)}")
    if source.needs_consent and not options.accept_licence:
        raise SerabError(
            f"{source.title} is under the {source.licence}: read {source.licence_url}, and if you accept it run "
            f"`serab fetch {source.name} --accept-licence`"
        )
    _require_address(source, options)
    options.announce(source)
    (file,) = source.files
    target = weights / file.name.removesuffix(".tar.gz")
    with _staged(weights, source.name) as folder:
        _require_space(folder, 2 * (source.download_size or 0), source)
        made = transfer.retrieve(file, folder, functools.partial(options.progress, f"{file.name}: MB"))
        try:
            if source.packed:
                made = _unpack_model(made, folder / "unpacked")
            elif not source.is_verified and made.suffix in (".pth", ".pt"):
                read_state_dict(made)
        except SerabError:
            made.unlink()
            raise
        if os.path.lexists(target):
            os.replace(target, target.with_name(f"{target.name}.replaced-{time.strftime('%Y%m%d-%H%M%S')}"))
        os.replace(made, target)
    return Fetched(source.name, target, "fetched", verified)


def _unpack_model(archive: Path, room: Path) -> Path:
    shutil.rmtree(room, ignore_errors=True)
    transfer.unpack(archive, room, suffixes=None)
    found = sorted(room.rglob("saved_model.pb"))
    if len(found) != 1:
        raise ArchiveError(f"{archive.name} holds {len(found)} saved_model.pb, expected one: fetch it again")
    return found[0].parent


def _fetch_corpus(source: Source, options: Options) -> Fetched:
    data, target = find_data(options.data), find_root(source.name, options.data)
    there = _look_at_corpus(source, options.data)
    if there.state == THERE:
        return Fetched(source.name, target, "present", "by its list of files")
    if there.state == UNCLEAR:
        place = printable(target)
        raise SerabError(f"{place} is left alone ({there.note}): move it away, or choose another folder with --to")
    for path in options.archives:
        if not path.is_file():
            raise SerabError(f"there is no archive {printable(path)}: give the path of the .zip or .tar as delivered")
    if not options.archives:
        _require_address(source, options)
        source = replace(source, files=tuple(map(transfer.look_up, source.files)))
        options.announce(source)
    with _staged(data, source.name) as folder:
        corpus = folder / "unpacked" / source.name
        is_sure = _bring(source, folder, corpus, options)
        notes = _drop_strange(source, corpus)
        progress = functools.partial(options.progress, f"{source.name}: checking")
        report = check_corpus(source.name, corpus.parent, progress=progress)
        if not is_sure:
            _refuse_damage(source, report.problems, corpus)
        if target.is_dir():
            target.rmdir()  # an empty one
        os.rename(corpus, target)
    verified = "by its published checksum" if is_sure else "by its list of files: names, decoding, durations"
    if report.n_originals is not None:
        verified += f" and by content: {report.n_originals:,} of {report.n_utterances:,} recordings as released"
    return Fetched(source.name, target, "fetched", verified, report.problems, notes)


def _bring(source: Source, folder: Path, corpus: Path, options: Options) -> bool:
    """Download, unless there are archives, and unpack; whether all of it is what a published checksum says."""
    n_there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    download = 0 if options.archives else max(0, (source.download_size or 0) - n_there)
    unpacked = source.unpacked_size or (2 * (source.download_size or 0) if source.packed else 0)
    _require_space(folder, download + unpacked, source)
    if not options.archives and not source.packed:
        tell = functools.partial(options.progress, f"{source.name}: files")
        transfer.retrieve_all(source.files, corpus, n_workers=options.n_workers, tell=tell)
        return source.is_verified
    archives = options.archives or [
        transfer.retrieve(file, folder, functools.partial(options.progress, f"{file.name}: MB"))
        for file in source.files
    ]
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    for archive in archives:
        # Two archives may hold a file of one name.
        place = corpus / archive.name.partition(".")[0] if len(archives) > 1 else corpus

        def tell(n_bytes: int, what: str = f"{archive.name}: unpacking, MB") -> None:
            options.progress(what, n_bytes // MB, max(unpacked, n_bytes) // MB)

        try:
            transfer.unpack(archive, place, ignored_folders=source.ignored_folders, tell=tell)
        except ArchiveError:
            shutil.rmtree(corpus)
            if not options.archives:
                archive.unlink()  # not worth going on from
            raise
    return source.packed and all(any(transfer.is_published(path, file) for file in source.files) for path in archives)


def _drop_strange(source: Source, corpus: Path) -> tuple[str, ...]:
    """Remove recordings whose names the task does not know, at which every run would stop."""
    left_out = find_corpus(source.name, corpus.parent, strict=False).left_out
    strange = [each.file for each in left_out if each.kind == "strange"]
    for file in strange:
        os.unlink(corpus / file)
    if not strange:
        return ()
    first = printable(strange[0])
    return (f"{len(strange)} recordings with names that are none of the task's were not kept, such as {first}",)


def _refuse_damage(source: Source, problems: Sequence[Problem], corpus: Path) -> None:
    """Turn down what is not the corpus by its list of files; it stays where it can be looked at."""
    if damage := [each for each in problems if each.affects_result and each.kind not in _HARMLESS]:
        first = damage[0]
        raise SerabError(
            f"{source.title} is not put in place: {len(damage)} files are not as they should be, such as "
            f"{first.file} ({first.kind}: {first.consequence}); it lies in {printable(corpus)}, "
            f"`serab check {source.name} --data {printable(corpus.parent)}` lists them all"
        )


def _require_address(source: Source, options: Options) -> None:
    if not any(file.urls for file in source.files):
        how = "is to be asked for" if source.access == sources.RESTRICTED else "cannot be fetched automatically"
        raise SerabError(f"{source.title} {how}: {write_advice(source, options)}")


def _require_space(folder: Path, n_bytes: int, source: Source) -> None:
    free = shutil.disk_usage(folder).free
    if free < n_bytes + SPARE:
        raise SerabError(
            f"{source.title} needs {sources.write_size(n_bytes + SPARE)} in {printable(folder)}, where "
            f"{sources.write_size(free)} are free: free some space or choose another folder with --to"
        )


@contextlib.contextmanager
def _staged(root: Path, name: str) -> Iterator[Path]:
    """Yield a folder to put a download together, beside its place; after a failure it is kept for the next attempt."""
    folder = root / ".fetch" / name
    lock = folder.with_name(f"{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(lock, timeout=0):
            yield folder
            shutil.rmtree(folder)
        with contextlib.suppress(OSError):
            lock.unlink()
            folder.parent.rmdir()
    except filelock.Timeout as error:
        raise SerabError(f"{name} is being fetched into {printable(root)} by another process: wait for it") from error
    except OSError as error:
        raise SerabError(
            f"{printable(error.filename or folder)} cannot be written ({error.strerror or error}): free some space, "
            "or choose another folder with --to; what came in is kept"
        ) from error
