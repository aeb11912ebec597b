"""`serab pretrain`: encoders from audio without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from serab_lib.cli import app
from serab_lib.core import SerabError
from serab_lib.pretraining.config import CropStart, Device, Precision, PretrainConfig, Schedule


@app.command
def pretrain(
    audio: Annotated[
        list[Path] | None, typer.Argument(help="Folders (any depth), audio files, or .txt lists of them.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("pretrained"),
    model: Annotated[str, typer.Option(help="byol-s-512, -1024, -2048, byol-s-cvt-256, -512, -2048, or byol-a-….")] = (
        PretrainConfig.model
    ),
    task: Annotated[
        str, typer.Option(help="Train on this task's training part: no speaker of validation or test is heard.")
    ] = "",
    audioset_csv: Annotated[Path | None, typer.Option(help="AudioSet's list of segments: use only its files.")] = None,
    speech: Annotated[bool, typer.Option("--speech", help="Of that list, only segments with speech: BYOL-S.")] = False,
    labels: Annotated[
        str, typer.Option(help="Ontology ids in place of speech and its children, comma-separated.")
    ] = "",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the clips.")] = PretrainConfig.epochs,
    batch_size: Annotated[int, typer.Option(min=2, help="Crops a step, over all devices.")] = PretrainConfig.batch_size,
    accumulate: Annotated[int, typer.Option(min=1, help="Parts a batch is computed in, to save memory.")] = 1,
    learning_rate: Annotated[float, typer.Option(min=0, help="Of AdamW.")] = PretrainConfig.learning_rate,
    schedule: Annotated[Schedule, typer.Option(help="Of the learning rate.")] = PretrainConfig.schedule,
    momentum: Annotated[
        float, typer.Option(min=0, max=1, help="Of the target's moving average.")
    ] = PretrainConfig.momentum,
    seed: Annotated[int, typer.Option(min=0, help="One seed gives one result on one device.")] = PretrainConfig.seed,
    crops_per_clip: Annotated[int, typer.Option(min=1, help="Crops of each clip in an epoch.")] = 1,
    crop_start: Annotated[CropStart, typer.Option(help="Released: always at the clip's start.")] = "random",
    mixup: Annotated[bool, typer.Option(help="Mix views with earlier crops.")] = True,
    crop: Annotated[bool, typer.Option(help="Cut and resize views at random.")] = True,
    hidden_size: Annotated[
        int, typer.Option(min=1, help="Width of projector and predictor.")
    ] = PretrainConfig.hidden_size,
    precision: Annotated[Precision, typer.Option(help="Of products.")] = PretrainConfig.precision,
    device: Annotated[Device, typer.Option(help="Where to train.")] = PretrainConfig.device,
    devices: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, if there is one.")] = False,
    checkpoint_steps: Annotated[
        int, typer.Option(min=1, help="Steps between checkpoints; one follows each epoch, too.")
    ] = PretrainConfig.checkpoint_steps,
    probe: Annotated[str, typer.Option(help="Task whose validation accuracy is measured during training.")] = "",
    probe_epochs: Annotated[int, typer.Option(min=1, help="Epochs between two measurements.")] = 1,
    data: app.Data = None,
    cache: app.Cache = None,
    jobs: app.Jobs = None,
) -> None:
    """Pre-train a BYOL-A, BYOL-S or BYOL-S/CvT encoder on audio files."""
    from serab_lib.pretraining.train import is_first_process
    from serab_lib.pretraining.train import pretrain as train

    chosen = {name: value for name, value in locals().items() if name in PretrainConfig.__dataclass_fields__}
    mixup_ratio = PretrainConfig.mixup_ratio if mixup else 0.0
    config = PretrainConfig(**chosen, mixup_ratio=mixup_ratio, resized_crop=crop, n_devices=devices)
    files = _choose_files(audio or [], task, data, audioset_csv, speech, labels)
    with app.progress() as tell:
        log = train(
            files, out, config, resume=resume, probe=probe or None, data=data, cache=cache, n_jobs=jobs, progress=tell
        )
    if not is_first_process():
        return
    last = log[log["epoch"] == log["epoch"].max()].mean(numeric_only=True)
    encoder = escape(str(out / "encoder.pth"))
    pooling = ":mean+max" if model.endswith("cvt-2048") else ""
    app.output.print(
        f"{len(log)} steps; last epoch: loss {last['loss']:.3f}, spread of the embeddings {last['embedding_std']:.3f}, "
        f"{last['crops_per_s']:.0f} crops a second\n{encoder} is the encoder: "
        f"serab run --models path:{encoder}{pooling}"
    )


def _choose_files(
    audio: list[Path], task: str, data: Path | None, segments: Path | None, speech: bool, labels: str
) -> list[Path]:
    """Files to train on: those of the arguments and of a task's training part, then AudioSet's selection."""
    from serab_lib.pretraining.clips import SPEECH_LABELS, find_audio, find_training_part, select_segments

    if not audio and not task:
        raise SerabError("no audio to train on: name a folder, audio files or a list of them, or a --task")
    if segments is None and (speech or labels):
        raise SerabError("--speech and --labels choose from AudioSet's segments: name their list by --audioset-csv")
    files = find_audio(audio) if audio else []
    if task:
        files += find_training_part(task, data)
    if segments is None:
        return files
    chosen = app.split_names(labels, "--labels") if labels else SPEECH_LABELS if speech else None
    return select_segments(files, segments, labels=chosen)
