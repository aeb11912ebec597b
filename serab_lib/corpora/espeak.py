"""eSpeak NG, through the library and the voices that the ``espeakng-loader`` wheel carries.

eSpeak NG is under GPLv3 and keeps state that no call resets: the same sentence spoken twice in one process differs.
Both call for a process of its own, whose program this file is as well; it imports the standard library alone. The same
requests give the same samples, except by voice variants whose file has a ``breath`` line (f2, f3, f5 among them).
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

RATE_HZ = 22_050
INSTALL_HINT = "pip install 'serab-companion[demo]'"
# Values of speak_lib.h.
SYNCHRONOUS_RETRIEVAL, DO_NOT_EXIT, UTF8 = 2, 0x8000, 1
PARAMETERS = {"words_per_minute": 1, "volume": 2, "pitch": 3, "pitch_range": 4}
SPEAK_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakError(Exception):
    """eSpeak NG is not there, stopped, or does not know a voice; one line that says what to do."""


class Request(NamedTuple):
    """A text, the voice that speaks it (``de+m3``), and settings by the names in `PARAMETERS`.

    Words per minute are 80 to 450, the volume 0 to 200 and proportional to the amplitude, the pitch 0 to 99 (a unit is
    about 1%), its range 0 to 99 and about proportional to the standard deviation of the fundamental frequency.
    """

    text: str
    voice: str
    settings: dict[str, int]


def find_espeak() -> tuple[str, str]:
    """Find the shared library and the folder ``espeak-ng-data``."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise EspeakError(f"synthetic speech needs espeakng-loader, not installed: {INSTALL_HINT}") from error
    library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    if not Path(library).is_file():
        raise EspeakError(f"espeakng-loader has no library at {library}: reinstall it, {INSTALL_HINT}")
    return library, data


def speak(requests: Sequence[Request]) -> Iterator[bytes]:
    """Speak some texts one after the other, in a fresh process that ends with the last or when this is closed.

    Yields the samples of each: mono, 16-bit in this machine's order, at `RATE_HZ`.
    """
    command = [sys.executable, "-I", "-S", __file__, *find_espeak()]
    with tempfile.TemporaryFile() as questions:
        pickle.dump([tuple(request) for request in requests], questions)
        questions.seek(0)
        process = subprocess.Popen(command, stdin=questions, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with process:
        try:
            for _ in requests:
                answer = pickle.load(process.stdout)
                if isinstance(answer, str):
                    raise EspeakError(f"{answer}: check the name, or reinstall espeakng-loader")
                yield answer
        except EOFError as error:
            raise EspeakError(f"eSpeak NG stopped: reinstall it, {INSTALL_HINT}") from error
        finally:
            process.kill()


def main(library: str, data: str) -> None:
    """Be that process: send the samples of each request, or in the end what is wrong."""
    # Ctrl-C reaches the whole process group; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever eSpeak NG itself prints must not land among the samples.
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            speak_one = _open_engine(library, data)
            for request in pickle.load(sys.stdin.buffer):
                pickle.dump(speak_one(*request), answers)
                answers.flush()
        except (OSError, ValueError, AttributeError) as error:
            pickle.dump(str(error), answers)


def _open_engine(library: str, data: str) -> Callable[[str, str, dict[str, int]], bytes]:
    """Load and initialise the library; the function that it gives raises ValueError where there is no such voice."""
    espeak = ctypes.CDLL(library)
    espeak.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
        ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    # eSpeak NG 1.52 silently looks elsewhere for its data when the path does not fit its buffer of 160 bytes.
    folder, name = os.path.split(data)
    os.chdir(folder)
    if espeak.espeak_Initialize(SYNCHRONOUS_RETRIEVAL, 0, name.encode(), DO_NOT_EXIT) != RATE_HZ:
        raise ValueError(f"eSpeak NG does not initialise from {data}")
    samples = bytearray()

    @SPEAK_CALLBACK
    def collect(wave: ctypes._Pointer, n_samples: int, _events: int | None) -> int:
        if wave and n_samples > 0:
            samples.extend(ctypes.string_at(wave, 2 * n_samples))
        return 0

    espeak.espeak_SetSynthCallback(collect)

    def speak_one(text: str, voice: str, settings: dict[str, int]) -> bytes:
        # eSpeak NG falls back to the plain voice without a word when the variant does not exist.
        variant = Path(name, "voices", "!v", voice.partition("+")[2])
        if ("+" in voice and not variant.is_file()) or espeak.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        for parameter, value in settings.items():
            espeak.espeak_SetParameter(PARAMETERS[parameter], value, 0)
        samples.clear()
        if (status := espeak.espeak_Synth(text.encode(), len(text.encode()) + 1, 0, 1, 0, UTF8, None, None)) != 0:
            raise ValueError(f"eSpeak NG cannot speak {text!r} (status {status})")
        return bytes(samples)

    speak_one.callback = collect  # type: ignore[attr-defined]  # ctypes keeps no reference of its own
    return speak_one


if __name__ == "__main__":
    main(*sys.argv[1:])
