"""`serab embed` and `serab synthesise`: your own audio, and made-up corpora."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from serab_lib.cli.app import Jobs, Layer, Weights, command, output, progress, split_names
from serab_lib.core import SerabError


@command
def embed(
    files: Annotated[list[Path], typer.Argument(help="Audio files.")],
    model: Annotated[str, typer.Option(help="An extractor of `serab models`.")],
    out: Annotated[Path, typer.Option(help="The .npz file to write: `files` and `embeddings`.")],
    weights: Weights = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    jobs: Jobs = None,
    layer: Layer = None,
) -> None:
    """Make embeddings of your own audio."""
    import numpy as np

    from serab_lib.benchmark.embeddings import extract
    from serab_lib.core import cache_folder, hash_files, replaced
    from serab_lib.extractors.registry import choose_layer, load_extractor

    for file in files:
        if not file.is_file():
            raise SerabError(f"there is no file {file}: give paths of audio files")
    extractor = load_extractor(choose_layer(model, layer), weights=weights, device=device)
    paths, cache = [str(file) for file in files], cache_folder()
    with progress() as tell:
        made = extract(paths, hash_files(paths, cache=cache), extractor, cache=cache, n_jobs=jobs, progress=tell)
    for reason in made.unusable.values():
        raise SerabError(reason)
    with replaced(out) as temporary, temporary.open("wb") as stream:
        np.savez(stream, files=np.array(paths), embeddings=made.matrix)
    output.print(f"{len(paths)} embeddings of {extractor.embedding_size} numbers in {out}")


@command
def synthesise(
    data: Annotated[Path, typer.Option(help="Folder to write the corpora into, one folder each.")],
    tasks: Annotated[str, typer.Option(help="Codes or names, comma-separated; `all` for the paper's nine.")] = "all",
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same seed gives the same files.")] = 0,
) -> None:
    """Speak nine small corpora with eSpeak NG: they test the pipeline and say nothing about people."""
    from serab_lib.corpora.synthetic.speech import generate

    chosen = None if tasks == "all" else split_names(tasks, "--tasks")
    with progress() as tell:
        generate(data, tasks=chosen, seed=seed, progress=functools.partial(tell, "speaking"))
    output.print(f"synthetic corpora in {data}")
