"""The corpora's sources: official addresses, sizes and checksums as far as anyone publishes them."""

from __future__ import annotations

import csv
from importlib import resources

from serab_lib.corpora.task import TASKS, Task
from serab_lib.download.sources import BY_HAND, CORPUS, OPEN, RESTRICTED, RemoteFile, Source

MB = 1_000_000


def _corpus(
    name: str,
    *,
    files: tuple[RemoteFile, ...] = (),
    advice: str,
    access: str = OPEN,
    packed: bool = True,
    download_size: int | None = None,
    unpacked_size: int | None = None,
) -> Source:
    """Take what the task's record says, and add where the files are."""
    task = _get_task(name)
    exact = [file.size for file in files if file.size is not None]
    if len(exact) == len(files) > 0:
        download_size = sum(exact)
    return Source(
        name=name,
        title=task.title,
        kind=CORPUS,
        page=task.source,
        licence=task.licence,
        citation=task.citation,
        files=files,
        access=access,
        advice=advice,
        packed=packed,
        download_size=download_size,
        unpacked_size=unpacked_size,
        ignored_folders=task.ignored_folders,
    )


def _get_task(name: str) -> Task:
    return next(task for task in TASKS.values() if task.name == name)


def _zenodo(record: str, file: str, *, size: int | None = None, checksum: str | None = None) -> RemoteFile:
    return RemoteFile(
        name=file,
        urls=(f"https://zenodo.org/records/{record}/files/{file}?download=1",),
        size=size,
        checksum=checksum,
        listed_at=f"https://zenodo.org/api/records/{record}",
    )


def _shemo(file: str, dropbox: str, size: int, sha256: str) -> RemoteFile:
    return RemoteFile(
        name=file,
        urls=(
            f"https://media.githubusercontent.com/media/mansourehk/ShEMO/master/{file}",
            f"https://www.dropbox.com/s/{dropbox}/{file}?dl=1",
        ),
        size=size,
        checksum=f"sha256:{sha256}",
    )


def _list_cremad() -> tuple[RemoteFile, ...]:
    """List CREMA-D's recordings, each with its published hash; the repository has no archive of them."""
    github = "https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master"
    gitlab = "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-/raw/main"
    table = resources.files("serab_lib") / "data" / "manifests" / "cremad_content.csv"
    with table.open(encoding="utf-8", newline="") as stream:
        return tuple(
            RemoteFile(
                name=row["file"],
                urls=(f"{github}/{row['file']}", f"{gitlab}/{row['file']}"),
                size=int(row["bytes"]),
                checksum=f"sha256:{row['sha256']}",
            )
            for row in csv.DictReader(stream)
        )


_DRIVE = "1SUtaKeA-LYnKaD3qv87Y5wYgihJiNJAo"

CORPORA: dict[str, Source] = {
    source.name: source
    for source in (
        _corpus(
            "aesdd",
            access=BY_HAND,
            # Copies elsewhere state a licence that the authors' page does not; none of them is fetched here.
            advice="follow http://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/ to its mega.nz folder, "
            "which only a browser can download, and take 'Acted Emotional Speech Dynamic Database.zip'",
            download_size=220 * MB,
            unpacked_size=220 * MB,
        ),
        _corpus(
            "cafe",
            files=(_zenodo("1478765", "CaFE_48k.zip"),),
            advice="download CaFE_48k.zip from https://zenodo.org/records/1478765",
            download_size=400 * MB,
            unpacked_size=400 * MB,
        ),
        _corpus(
            "cremad",
            files=_list_cremad(),
            packed=False,
            advice="clone https://gitlab.com/cs-cooper-lab/crema-d-mirror with Git LFS and pack its folder AudioWAV "
            "into a .zip",
            unpacked_size=0,
        ),
        _corpus(
            "emodb",
            files=(
                RemoteFile(
                    name="download.zip",
                    urls=(
                        "http://emodb.bilderbar.info/download/download.zip",
                        "http://www.emodb.bilderbar.info/download/download.zip",
                    ),
                ),
            ),
            advice="download download.zip (the 535 recordings of the first release, not version 2.0) from "
            "http://emodb.bilderbar.info/download/",
            download_size=40_500_000,
            unpacked_size=60 * MB,
        ),
        _corpus(
            "emovo",
            files=(
                RemoteFile(
                    name="emovo.zip",
                    urls=(
                        f"https://drive.usercontent.google.com/download?id={_DRIVE}&export=download&confirm=t",
                        f"https://drive.google.com/uc?id={_DRIVE}&export=download&confirm=t",
                    ),
                ),
            ),
            advice=f"download emovo.zip from https://drive.google.com/file/d/{_DRIVE}/view",
            download_size=355 * MB,
            unpacked_size=355 * MB,
        ),
        _corpus(
            "iemocap",
            access=RESTRICTED,
            advice="ask for it at https://sail.usc.edu/iemocap/ (a form that your institution signs) and download "
            "IEMOCAP_full_release.tar.gz",
            download_size=12_000 * MB,
            unpacked_size=4_000 * MB,
        ),
        _corpus(
            "ravdess",
            files=(
                _zenodo(
                    "1188976",
                    "Audio_Speech_Actors_01-24.zip",
                    size=208_468_073,
                    checksum="md5:bc696df654c87fed845eb13823edef8a",
                ),
            ),
            advice="download Audio_Speech_Actors_01-24.zip from https://zenodo.org/records/1188976",
            unpacked_size=590 * MB,
        ),
        _corpus(
            "savee",
            access=RESTRICTED,
            advice="register at http://personal.ee.surrey.ac.uk/Personal/P.Jackson/SAVEE/Register.html and download "
            "AudioData.zip with the password that you are sent",
            download_size=170 * MB,
            unpacked_size=170 * MB,
        ),
        _corpus(
            "shemo",
            files=(
                _shemo(
                    "female.zip",
                    "4t6mep8mo4yf81f",
                    374_368_830,
                    "663d8d7dceb44adbbf87d84be3a080fb691d169fbd972f6941e6302bc39f71e6",
                ),
                _shemo(
                    "male.zip",
                    "xfi3hi927yxixa9",
                    496_606_401,
                    "747670d0d918e59d5e5020cf66610242890b093d42968c467c4f02eb5e6a6b1a",
                ),
            ),
            advice="download female.zip and male.zip from https://github.com/mansourehk/ShEMO (Git LFS)",
            unpacked_size=1_100 * MB,
        ),
        _corpus(
            "subesco",
            files=(
                _zenodo(
                    "4526477",
                    "SUBESCO.zip",
                    size=1_664_512_929,
                    checksum="sha256:7505111bc864193d1906c05f83ca50d950250c65b62ae9b1740dee44f5cdb113",
                ),
            ),
            advice="download SUBESCO.zip from https://zenodo.org/records/4526477",
            unpacked_size=2_823_631_746,
        ),
    )
}
