"""eSpeak NG, through the library and the voices that the ``espeakng-loader`` wheel carries.

eSpeak NG is under GPLv3 and keeps state that no call resets: the same sentence spoken twice in one process
differs. Both call for a process of its own: each :class:`Synthesizer` starts a fresh one, so the same
sequence of calls gives the same samples, and nothing that eSpeak NG prints reaches the caller's terminal.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from serab_lib.core import SerabError

WORKER = Path(__file__).with_name("espeak_worker.py")
INSTALL_HINT = "pip install 'serab-companion[demo]'"
# eSpeak NG 1.52 silently looks elsewhere for its data when the path does not fit its buffer of 160 bytes.
MAX_DATA_PATH_BYTES = 130


def find_espeak() -> tuple[str, str]:
    """Find the shared library and the data folder.

    Returns
    -------
    tuple of str
        Paths of the library and of the folder ``espeak-ng-data``.

    Raises
    ------
    SerabError
        If ``espeakng-loader`` is not installed, or has no library for this machine.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise SerabError(f"synthetic speech needs espeakng-loader, not installed: {INSTALL_HINT}") from error
    library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    if not Path(library).is_file():
        raise SerabError(f"espeakng-loader has no library at {library}: reinstall it, {INSTALL_HINT}")
    return library, data


class Synthesizer:
    """A fresh eSpeak NG in a process of its own; use it in a ``with`` block.

    Attributes
    ----------
    sample_rate : int
        Of everything it speaks, in Hz (22,050).

    Raises
    ------
    SerabError
        If eSpeak NG is not installed or does not start.

    Notes
    -----
    The same calls in the same order give the same samples in every process, the same call later in a sequence
    does not. Voice variants whose file has a ``breath`` line (f2, f3, f5 among them) are the exception: their
    samples differ from process to process.

    Examples
    --------
    >>> with Synthesizer() as engine:  # doctest: +SKIP
    ...     samples = engine.speak("The train leaves at eight.", voice="en-us+f2")
    """

    sample_rate: int

    def __init__(self) -> None:
        library, data = find_espeak()
        self._short_folder: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            data = self._shorten(data)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WORKER), library, data],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self.sample_rate = self._read_header()["sample_rate"]
        except BaseException:
            self.close()
            raise

    def speak(
        self,
        text: str,
        *,
        voice: str,
        words_per_minute: int = 175,
        volume: int = 100,
        pitch: int = 50,
        pitch_range: int = 50,
    ) -> np.ndarray:
        """Speak one text.

        Parameters
        ----------
        text : str
            In the language of the voice.
        voice : str
            Name of a voice, a variant after a plus sign: ``"de+m3"``.
        words_per_minute : int
            80 to 450.
        volume : int
            0 to 200, proportional to the amplitude.
        pitch : int
            0 to 99; the fundamental frequency grows by about 1% a unit.
        pitch_range : int
            0 to 99, about proportional to the standard deviation of the fundamental frequency.

        Returns
        -------
        np.ndarray [shape=(n,), dtype=int16]
            Mono, at ``sample_rate``.

        Raises
        ------
        SerabError
            If there is no such voice, or eSpeak NG stopped.
        """
        request = {
            "text": text, "voice": voice, "words_per_minute": int(words_per_minute), "volume": int(volume),
            "pitch": int(pitch), "pitch_range": int(pitch_range),
        }  # fmt: skip
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise SerabError("this Synthesizer is closed: make a new one")
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._stopped() from error
        n_bytes = self._read_header()["n_bytes"]
        body = self._process.stdout.read(n_bytes)
        if len(body) != n_bytes:
            raise self._stopped()
        return np.frombuffer(body, dtype=np.int16)

    def close(self) -> None:
        """End the process; a second call does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:  # a request that was never read
                        pass
        if self._short_folder is not None:
            shutil.rmtree(self._short_folder, ignore_errors=True)
            self._short_folder = None

    def __enter__(self) -> Synthesizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _shorten(self, data: str) -> str:
        """Give the data folder a path that eSpeak NG can hold."""
        if len(os.fsencode(data)) <= MAX_DATA_PATH_BYTES:
            return data
        self._short_folder = tempfile.mkdtemp(prefix="espeak-")
        short = Path(self._short_folder, "data")
        try:
            short.symlink_to(data, target_is_directory=True)
        except OSError:  # Windows grants links to few users
            shutil.copytree(data, short)
        return str(short)

    def _read_header(self) -> dict:
        line = self._process.stdout.readline() if self._process and self._process.stdout else b""
        if not line:
            raise self._stopped()
        header = json.loads(line)
        if "error" in header:
            raise SerabError(f"{header['error']}: check the name, or reinstall espeakng-loader")
        return header

    def _stopped(self) -> SerabError:
        status = self._process.wait() if self._process else None
        return SerabError(f"eSpeak NG stopped (exit status {status}): reinstall it, {INSTALL_HINT}")
