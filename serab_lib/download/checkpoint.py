"""A checkpoint fetched: verified by its published hash, or read where there is none, then put in its place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from serab_lib.core import SerabError
from serab_lib.download.common import Fetched, Options, retrieve_archive, write_advice
from serab_lib.download.places import clear, require_space, staged
from serab_lib.download.sources import Source
from serab_lib.download.unpacking import ArchiveError, unpack
from serab_lib.extractors.registry import EXTRACTORS
from serab_lib.extractors.weights import (
    CheckpointError,
    find_checkpoint,
    read_state_dict,
    require_checkpoint,
    weights_folder,
)


def fetch_checkpoint(source: Source, options: Options) -> Fetched:
    """Fetch a checkpoint, unless it is there; see `serab_lib.download.fetch`."""
    weights = weights_folder(options.weights)
    path = find_checkpoint(EXTRACTORS[source.name], weights)
    if path is not None:
        try:
            require_checkpoint(EXTRACTORS[source.name], weights)
            return Fetched(name=source.name, path=path, state="present", verified=_say_verified(source))
        except CheckpointError:
            pass  # cut off or another file: the released one takes its place, and it is kept under another name
    if options.archives:
        raise SerabError(f"{source.name} is no archive: {write_advice(source, options)}")
    if source.needs_consent and not options.accept_licence:
        raise SerabError(
            f"{source.title} is under the {source.licence}: read {source.licence_url}, and if you accept it run "
            f"`serab fetch {source.name} --accept-licence`"
        )
    if not any(file.urls for file in source.files):
        raise SerabError(f"{source.title} cannot be fetched automatically: {write_advice(source, options)}")
    options.announce(source)
    (file,) = source.files
    with staged(weights, source.name) as folder:
        require_space(folder, 2 * (source.download_size or 0), source.title)
        made = retrieve_archive(source, file, folder, options)
        if source.packed:
            made = _unpack_model(source, made, folder / "unpacked")
            target = weights / file.name.removesuffix(".tar.gz")
        else:
            _require_tensors(source, made)
            target = weights / file.name
        if os.path.lexists(target):
            os.replace(target, _spare_name(target))
        os.replace(made, target)
        clear(folder)
    return Fetched(name=source.name, path=target, state="fetched", verified=_say_verified(source))


def _say_verified(source: Source) -> str:
    return "by its published checksum" if source.is_verified else "by what it holds: no checksum is published"


def _unpack_model(source: Source, archive: Path, room: Path) -> Path:
    shutil.rmtree(room, ignore_errors=True)
    try:
        unpack(archive, room, suffixes=None)
        found = sorted(room.rglob("saved_model.pb"))
        if len(found) != 1:
            raise ArchiveError(f"{archive.name} holds {len(found)} saved_model.pb, expected one: see {source.page}")
    except ArchiveError:
        archive.unlink(missing_ok=True)
        raise
    return found[0].parent


def _require_tensors(source: Source, path: Path) -> None:
    """Read a checkpoint for which no hash is published: what is cut off or another thing does not stay."""
    if source.is_verified or path.suffix not in (".pth", ".pt"):
        return
    try:
        read_state_dict(path)
    except CheckpointError:
        path.unlink(missing_ok=True)
        raise


def _spare_name(path: Path) -> Path:
    number = 1
    while (spare := path.with_name(f"{path.name}.replaced-{number}")).exists():
        number += 1
    return spare
