"""Weights: where released checkpoints come from and are looked for, how a file is verified and read."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from serab_lib.core import SerabError

if TYPE_CHECKING:
    import torch


class CheckpointError(SerabError):
    """A checkpoint that is missing, cut off, or another one than its name says."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A file of weights as its authors published it.

    An extractor may have several: any one of them will do.

    Attributes
    ----------
    file : str
        The released file name, under which it is looked for.
    url : str
        Official address.
    licence, licence_url : str
    git_blob : str or None
        SHA-1 that `git hash-object` prints for the file.
    sha256 : str or None
        Where neither hash is published, a file is held against the network's tensors only.
    also_sha256 : tuple of str
        Of other builds of the file that hold the same network.
    is_folder : bool
        True where it is to be unpacked into a folder of that name.
    needs_consent : bool
        True where the licence must be accepted by the user before a download.
    n_bytes : int or None
        Size, where it is known.
    mirrors : tuple of str
        Further addresses of the file; of a folder, which has no file of its own, those of its .tar.gz.
    """

    file: str
    url: str
    licence: str
    licence_url: str
    git_blob: str | None = None
    sha256: str | None = None
    also_sha256: tuple[str, ...] = ()
    is_folder: bool = False
    needs_consent: bool = False
    n_bytes: int | None = None
    mirrors: tuple[str, ...] = ()


def _serab(file: str, git_blob: str, sha256: str | None = None, n_bytes: int | None = None) -> Checkpoint:
    root = "https://github.com/Neclow/SERAB"
    return Checkpoint(
        file=file,
        url=f"{root}/raw/main/SERAB/checkpoints/{file}",
        licence="MIT",
        licence_url=f"{root}/blob/main/LICENSE",
        git_blob=git_blob,
        sha256=sha256,
        n_bytes=n_bytes,
    )


def _ntt(embedding_size: int, git_blob: str, sha256: str | None = None, n_bytes: int | None = None) -> Checkpoint:
    root = "https://github.com/nttcslab/byol-a"
    file = f"AudioNTT2020-BYOLA-64x96d{embedding_size}.pth"
    return Checkpoint(
        file=file,
        url=f"{root}/raw/master/pretrained_weights/{file}",
        licence="NTT evaluation licence, no redistribution",
        licence_url=f"{root}/blob/master/LICENSE.pdf",
        git_blob=git_blob,
        sha256=sha256,
        n_bytes=n_bytes,
        needs_consent=True,
    )


def _torchaudio(file: str, licence_url: str, sha256: str | None = None, n_bytes: int | None = None) -> Checkpoint:
    return Checkpoint(
        file=file,
        url=f"https://download.pytorch.org/torchaudio/models/{file}",
        licence="MIT",
        licence_url=licence_url,
        sha256=sha256,
        n_bytes=n_bytes,
    )


_FAIRSEQ_LICENCE = "https://github.com/facebookresearch/fairseq/blob/main/LICENSE"
# Stated for the code that the files belong to; nothing is said of the files themselves.
_AUDIOSET_LICENCE = "Apache-2.0 (its code)"
_TENSORFLOW_LICENCE = "https://github.com/tensorflow/models/blob/master/LICENSE"
_WAVLM_LICENCE = "https://github.com/microsoft/unilm/blob/master/LICENSE"

CHECKPOINTS: dict[str, tuple[Checkpoint, ...]] = {
    "byol-a-512": (
        _ntt(
            512,
            "314a35a543ddca60f175addfa6fbeecb56e1944a",
            "6cc64226318494f06ef41d7e5810be7d37abfd6490da45abdab48f188c5332e2",
            2_410_576,
        ),
    ),
    "byol-a-1024": (_ntt(1024, "1c04492d54707e53f04fb664ec6bf3ec655d47f0"),),
    "byol-a-2048": (_ntt(2048, "dd93cab283451ad67baff974933aa122d4a8fa24"),),
    "byol-s-512": (
        _serab(
            "default512_BYOLAs64x96-2107281850-e100-bs256-lr0003-rs42.pth",
            "f4283f224c40a869e7bed9fd64316342ee2809c7",
            "449f5d0dc6b6fa8433d5e43769097520d3bc0fdae88977a7ac29e2e72ca51b52",
            2_409_434,
        ),
    ),
    "byol-s-1024": (
        _serab(
            "default1024_BYOLAs64x96-2107292000-e100-bs256-lr0003-rs42.pth",
            "f5bcd923cf11ff279f155ba80c73547c10359fa5",
        ),
    ),
    "byol-s-2048": (
        _serab(
            "default2048_BYOLAs64x96-2105311814-e100-bs256-lr0003-rs42.pth",
            "04fb26805f52db1af541b2186d1fc1a9ce86e4c7",
        ),
    ),
    "byol-s-cvt-256": (
        _serab(
            "cvt_s1-d1_s2-d1_s3-d1_BYOLAs64x96-2106251634-e100-bs512-lr0003-rs42.pth",
            "c3c1eef7ac3d52357264a0975c197e0eee5d5c20",
        ),
    ),
    "byol-s-cvt-512": (
        _serab(
            "cvt_s1-d1-e64_s2-d1-e256_s3-d1-e512_BYOLAs64x96-2107021643-e100-bs512-lr0003-rs42.pth",
            "5df63f41a145784978d69b7998e0269ea86f2308",
        ),
    ),
    "byol-s-cvt-2048": (
        _serab(
            "cvt_s1-d1-e64_s2-d1-e256_s3-d1-e512_BYOLAs64x96-2107301623-e100-bs256-lr0003-rs42.pth",
            "416d2594c36826bff3964ff4f13bebddc506b85f",
        ),
    ),
    "yamnet": (
        Checkpoint(
            file="yamnet.h5",
            url="https://storage.googleapis.com/audioset/yamnet.h5",
            licence=_AUDIOSET_LICENCE,
            licence_url=_TENSORFLOW_LICENCE,
            sha256="13c3308955bbfaef262f175ac9c40e47b134573a93984f009220dd7cc12a1744",
            n_bytes=15_296_092,
        ),
        Checkpoint(
            file="yamnet.tflite",
            url="https://storage.googleapis.com/mediapipe-models/audio_classifier/yamnet/float32/1/yamnet.tflite",
            licence=_AUDIOSET_LICENCE,
            licence_url=_TENSORFLOW_LICENCE,
            sha256="4d8b4a53282dc83ef04e3e7dbc4fbc98082e34e44ed798e16c3a0cdd4c584faf",
            # An export of 4,078,224 bytes without the list of classes; the tests on real data use it.
            also_sha256=("469be6a3421cbc52cf97e9f2f966cba984198e8e7af9854d68b3e3ebb1e04194",),
        ),
    ),
    "vggish": (
        Checkpoint(
            file="vggish-10086976.pth",
            url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
            licence=_AUDIOSET_LICENCE,
            licence_url=_TENSORFLOW_LICENCE,
            sha256="10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b",
            n_bytes=288_567_937,
        ),
    ),
    "trill": (
        Checkpoint(
            file="trill",
            is_folder=True,
            url="https://www.kaggle.com/models/google/nonsemantic-speech-benchmark/tensorFlow2/trill",
            licence="Apache-2.0 (its code)",
            licence_url="https://github.com/google-research/google-research/blob/master/LICENSE",
            mirrors=(
                "https://tfhub.dev/google/nonsemantic-speech-benchmark/trill/3?tf-hub-format=compressed",
                "https://www.kaggle.com/api/v1/models/google/nonsemantic-speech-benchmark/tensorFlow2/trill/3/download",
            ),
        ),
    ),
    "wav2vec2-base": (_torchaudio("wav2vec2_fairseq_base_ls960.pth", _FAIRSEQ_LICENCE),),
    "wav2vec2-xlsr-53": (_torchaudio("wav2vec2_fairseq_large_xlsr53.pth", _FAIRSEQ_LICENCE),),
    "wav2vec2-xls-r-300m": (_torchaudio("wav2vec2_xlsr_300m.pth", _FAIRSEQ_LICENCE),),
    "hubert-base": (_torchaudio("hubert_fairseq_base_ls960.pth", _FAIRSEQ_LICENCE),),
    "hubert-large": (_torchaudio("hubert_fairseq_large_ll60k.pth", _FAIRSEQ_LICENCE),),
    "wavlm-base-plus": (
        _torchaudio(
            "wavlm_base_plus.pth",
            _WAVLM_LICENCE,
            "136a3e720c04f2c77bf7a4dc6a3868b14d5a2c145a988114b733cb1a8428be98",
            377_604_347,
        ),
    ),
    "wavlm-large": (_torchaudio("wavlm_large.pth", _WAVLM_LICENCE),),
}


def weights_folder(weights: str | Path | None = None) -> Path:
    """Folder that checkpoints are looked for in: the argument, SERAB_WEIGHTS, or the user's cache."""
    chosen = weights or os.environ.get("SERAB_WEIGHTS")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("serab")) / "weights"


def released_name(name: str) -> str:
    """Name that a checkpoint is listed under: an extractor's own, without the layer that it reads."""
    return re.sub(r"-layer-\d+$", "", name)


def find_checkpoint(name: str, weights: str | Path | None = None) -> Path | None:
    """Path of an extractor's checkpoint under a released file name, or None where none is at hand."""
    folder = weights_folder(weights)
    released = CHECKPOINTS[released_name(name)]
    return next((folder / each.file for each in released if (folder / each.file).exists()), None)


def require_checkpoint(name: str, weights: str | Path | None = None) -> Path:
    """Path of an extractor's verified checkpoint.

    Raises
    ------
    CheckpointError
        If the file is missing or is not the released one.
    """
    folder, path, released = weights_folder(weights), find_checkpoint(name, weights), CHECKPOINTS[released_name(name)]
    if path is None:
        files = " or ".join(f"the folder {each.file}/" if each.is_folder else each.file for each in released)
        where = f"which is not in {folder}" if folder.is_dir() else f"and there is no folder {folder}"
        raise CheckpointError(
            f"{name} needs {files}, {where}: {'unpack the model' if released[0].is_folder else 'put the file'} from "
            f"{released[0].url} there, or pass another folder as --weights"
        )
    verify(path, next(each for each in released if each.file == path.name))
    return path


def verify(path: Path, checkpoint: Checkpoint) -> None:
    """Hold a file against its published hash.

    Raises
    ------
    CheckpointError
        If it differs: it is cut off, damaged, or another file.
    """
    if checkpoint.sha256 is None and checkpoint.git_blob is None:
        return
    content = path.read_bytes()
    if checkpoint.sha256 is not None:
        kind, expected, got = "SHA-256", checkpoint.sha256, hashlib.sha256(content).hexdigest()
    else:
        kind, expected = "git blob", checkpoint.git_blob
        got = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if got != expected and got not in checkpoint.also_sha256:
        raise CheckpointError(
            f"{path} is not the released file ({kind} {got[:12]}, expected {str(expected)[:12]}; "
            f"{len(content):,} bytes): fetch it again from {checkpoint.url}; a BYOL or CvT checkpoint of your own "
            f"is used as --models path:{path.name}"
        )


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a checkpoint's tensors, and nothing but tensors.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to torch.Tensor

    Raises
    ------
    CheckpointError
        If the file is no checkpoint, is cut off, or holds anything but tensors.

    Notes
    -----
    Loaded with `weights_only=True`: a checkpoint from elsewhere cannot run code.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}: give the path of a .pth file")
    try:
        with warnings.catch_warnings():
            # What PyTorch thinks of a pickle that is no checkpoint; what to do about it is said below.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no checkpoint makes the reader fail in every way there is
        raise CheckpointError(
            f"{path} is not a checkpoint of tensors, or is cut off ({type(error).__name__}): fetch it again, "
            "or save it with torch.save(model.state_dict(), path)"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(
            f"{path} holds {type(state).__name__}, not a dictionary of tensors: "
            "save it with torch.save(model.state_dict(), path)"
        )
    return state


def load_into(
    network: torch.nn.Module, state: dict[str, torch.Tensor], *, source: str | Path, assign: bool = False
) -> None:
    """Load tensors into a network and say in one line where they do not fit.

    Parameters
    ----------
    network : torch.nn.Module
    state : dict of str to torch.Tensor
    source : str or Path
        Where the tensors are from, for the message.
    assign : bool
        Take the tensors themselves in place of copying them, into a network on the meta device for example.

    Raises
    ------
    CheckpointError
        If a tensor is missing, unexpected or of another shape.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    got = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for name in sorted(wanted.keys() | got.keys()):
        if wanted.get(name) != got.get(name):
            raise CheckpointError(
                f"{source} does not fit {type(network).__name__}: tensor {name} has shape "
                f"{got.get(name, 'none (missing)')}, expected {wanted.get(name, 'none (unknown name)')}; "
                "choose the model that this checkpoint was made for"
            )
    network.load_state_dict(state, assign=assign)
