"""A corpus fetched or taken from its archive: downloaded, unpacked, checked, and only then put in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from serab_lib.core import SerabError, printable
from serab_lib.corpora.check import Problem, check_corpus
from serab_lib.corpora.corpus import find_corpus, find_data
from serab_lib.download.common import MB, Fetched, Options, describe_failure, retrieve_archive, write_advice
from serab_lib.download.places import clear, require_space, staged
from serab_lib.download.retrieval import is_published, look_up, retrieve_all
from serab_lib.download.sources import RESTRICTED, Source
from serab_lib.download.transfer import TransferError
from serab_lib.download.unpacking import ArchiveError, unpack

# What shows that an archive whose checksum nobody publishes is not the corpus.
_DAMAGE = {"missing", "undecodable", "cut off", "empty", "duration", "changed", "in doubt", "other content"}
_DAMAGE |= {"re-encoded", "lossy", "resampled", "cut", "padded"}


def fetch_corpus(source: Source, options: Options) -> Fetched:
    """Fetch a corpus, unless it is there; see `serab_lib.download.fetch`."""
    data = find_data(options.data)
    target = data / source.name
    if _is_complete(source, data):
        return Fetched(name=source.name, path=target, state="present", verified="by its list of files")
    archives = [_require_archive(path) for path in options.archives]
    if not archives and not any(file.urls for file in source.files):
        how = "is to be asked for" if source.access == RESTRICTED else "cannot be fetched automatically"
        raise SerabError(f"{source.title} {how}: {write_advice(source, options)}")
    with staged(data, source.name) as folder:
        room = folder / "unpacked"
        corpus = room / source.name
        if archives:
            require_space(folder, source.unpacked_size or 0, f"{source.title}, unpacked,")
            sure = _unpack_all(source, archives, corpus, options)
        elif source.packed:
            sure = _download_archives(source, folder, corpus, options)
        else:
            sure = _download_files(source, folder, corpus, options)
        notes = _drop_strange(source, room)
        report = check_corpus(source.name, room, progress=_label(options, f"{source.name}: checking"))
        if not sure:
            _refuse_damage(source, report.problems, room)
        _move(corpus, target)
        clear(folder)
    verified = "by its published checksum" if sure else "by its list of files: names, decoding, durations"
    if report.n_originals is not None:
        counted = f"by content: {report.n_originals:,} of {report.n_utterances:,} recordings as released"
        verified = f"{verified} and {counted}" if sure else counted
    return Fetched(
        name=source.name, path=target, state="fetched", verified=verified, problems=report.problems, notes=notes
    )


def _is_complete(source: Source, data: Path) -> bool:
    """Whether the corpus is there; anything else in its place is an error, for it would be written over."""
    target = data / source.name
    if not os.path.lexists(target) or (target.is_dir() and not os.listdir(target)):
        return False
    try:
        corpus = find_corpus(source.name, data, strict=False)
    except SerabError as error:
        raise SerabError(f"{printable(target)} is there and holds something else ({error}): move it away") from error
    if corpus.complete and not corpus.synthetic:
        return True
    what = "a synthetic corpus" if corpus.synthetic else "an incomplete one"
    n_there = f"{len(corpus.utterances):,} of {corpus.n_expected:,} utterances" if corpus.n_expected else "utterances"
    raise SerabError(
        f"{printable(target)} holds {what} ({n_there}), which is left alone: move it away, or choose another folder "
        "with --to"
    )


def _require_archive(path: Path) -> Path:
    if path.is_dir():
        raise SerabError(
            f"{printable(path)} is a folder, expected an archive: move it to DATA/NAME and run `serab check`"
        )
    if not path.is_file():
        raise SerabError(f"there is no archive {printable(path)}: give the path of the .zip or .tar.gz as delivered")
    return path


def _download_archives(source: Source, folder: Path, corpus: Path, options: Options) -> bool:
    files = [look_up(file, options.policy) for file in source.files]
    sizes = [file.size for file in files if file.size]
    known = sum(sizes) if len(sizes) == len(files) else source.download_size
    source = replace(source, files=tuple(files), download_size=known)
    options.announce(source)
    n_there = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    needed = max(0, (source.download_size or 0) - n_there) + (source.unpacked_size or 2 * (source.download_size or 0))
    require_space(folder, needed, source.title)
    archives = [retrieve_archive(source, file, folder, options) for file in files]
    try:
        _unpack_all(source, archives, corpus, options)
    except ArchiveError:
        # Not worth going on from.
        for archive in archives:
            archive.unlink(missing_ok=True)
        raise
    return source.is_verified


def _download_files(source: Source, folder: Path, corpus: Path, options: Options) -> bool:
    """Download a corpus that has no archive, into the folder that will become it."""
    options.announce(source)
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    require_space(folder, max(0, (source.download_size or 0) - there), source.title)
    try:
        retrieve_all(
            source.files,
            corpus,
            n_workers=options.n_workers,
            policy=options.policy,
            count=_label(options, f"{source.name}: files"),
        )
    except TransferError as error:
        raise describe_failure(source, error, options) from error
    return source.is_verified


def _unpack_all(source: Source, archives: Sequence[Path], corpus: Path, options: Options) -> bool:
    """Unpack into a fresh folder; True if every archive is one whose checksum is published."""
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    expected = source.unpacked_size or 0
    for archive in archives:
        # Two archives may hold a file of one name.
        place = corpus / archive.name.partition(".")[0] if len(archives) > 1 else corpus
        n_before = sum(path.stat().st_size for path in corpus.rglob("*") if path.is_file())

        def tell(n_written: int, n_before: int = n_before) -> None:
            n_done = n_before + n_written
            options.progress(f"{source.name}: unpacking, MB", n_done // MB, max(expected, n_done) // MB)

        try:
            unpack(archive, place, ignored_folders=source.ignored_folders, tell=tell)
        except SerabError:
            shutil.rmtree(corpus, ignore_errors=True)
            raise
    return bool(source.files) and all(any(is_published(path, file) for file in source.files) for path in archives)


def _drop_strange(source: Source, room: Path) -> tuple[str, ...]:
    """Remove recordings whose names the task does not know, at which every run would stop."""
    strange = [each.file for each in find_corpus(source.name, room, strict=False).left_out if each.kind == "strange"]
    for file in strange:
        os.unlink(room / source.name / file)
    if not strange:
        return ()
    first = printable(strange[0])
    return (f"{len(strange)} recordings with names that are none of the task's were not kept, such as {first}",)


def _refuse_damage(source: Source, problems: Sequence[Problem], room: Path) -> None:
    """Turn down what is not the corpus by its list of files; it stays where it can be looked at."""
    damage = [each for each in problems if each.affects_result and _DAMAGE & set(each.kind.split(" and "))]
    if damage:
        first = damage[0]
        raise SerabError(
            f"{source.title} is not put in place: {len(damage)} files are not as they should be, such as "
            f"{first.file} ({first.kind}: {first.consequence}); it lies in {printable(room / source.name)}, "
            f"`serab check {source.name} --data {printable(room)}` lists them all"
        )


def _move(folder: Path, target: Path) -> None:
    if target.is_dir() and not os.listdir(target):
        target.rmdir()
    os.rename(folder, target)


def _label(options: Options, what: str) -> Callable[[int, int], object]:
    return lambda n_done, n_total: options.progress(what, n_done, n_total)
