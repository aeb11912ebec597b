"""The process that holds eSpeak NG: one JSON request per line in, one header line and raw samples out.

Run by path (``python -I espeak_worker.py LIBRARY DATA``), never imported by the package, and made of the
standard library alone, so that it starts in a few hundredths of a second and nothing but this process has
eSpeak NG (GPLv3) loaded.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

# Values of speak_lib.h.
SYNCHRONOUS_RETRIEVAL = 2
DO_NOT_EXIT = 0x8000
UTF8 = 1
PARAMETERS = {"words_per_minute": 1, "volume": 2, "pitch": 3, "pitch_range": 4}

SPEAK_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def open_engine(library: str, data: str) -> tuple[int, Callable[[dict], bytes]]:
    """Load the library and initialise it.

    Returns
    -------
    tuple of int and function
        The sample rate in Hz, and a function from a request to its samples (16-bit, this machine's order).
        The function raises ValueError for a voice or a variant that eSpeak NG does not have.
    """
    espeak = ctypes.CDLL(library)
    espeak.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    espeak.espeak_SetSynthCallback.argtypes = [SPEAK_CALLBACK]
    espeak.espeak_SetSynthCallback.restype = None
    espeak.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    espeak.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    espeak.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
        ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    rate_hz = espeak.espeak_Initialize(SYNCHRONOUS_RETRIEVAL, 0, data.encode(), DO_NOT_EXIT)
    if rate_hz <= 0:
        raise ValueError(f"eSpeak NG does not initialise from {data}")

    samples = bytearray()

    @SPEAK_CALLBACK
    def collect(wave: ctypes._Pointer, n_samples: int, _events: int | None) -> int:
        if wave and n_samples > 0:
            samples.extend(ctypes.string_at(wave, 2 * n_samples))
        return 0

    espeak.espeak_SetSynthCallback(collect)

    def speak(request: dict) -> bytes:
        voice = request["voice"]
        variant = voice.partition("+")[2]
        # eSpeak NG falls back to the plain voice without a word when the variant does not exist.
        if variant and not Path(data, "voices", "!v", variant).is_file():
            raise ValueError(f"eSpeak NG has no voice variant {variant!r}")
        if espeak.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {voice!r}")
        for name, number in PARAMETERS.items():
            espeak.espeak_SetParameter(number, request[name], 0)
        text = request["text"].encode()
        samples.clear()
        status = espeak.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None)
        if status != 0:
            raise ValueError(f"eSpeak NG cannot speak {request['text']!r} (status {status})")
        return bytes(samples)

    speak.callback = collect  # type: ignore[attr-defined]  # ctypes keeps no reference of its own
    return rate_hz, speak


def main(library: str, data: str) -> None:
    """Answer requests until standard input ends."""
    # Ctrl-C reaches the whole process group; the parent decides, and ends this process by closing its input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever eSpeak NG itself prints must not land among the samples.
    answers = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)

    def answer(header: dict, body: bytes = b"") -> None:
        answers.write(json.dumps(header).encode() + b"\n" + body)
        answers.flush()

    try:
        rate_hz, speak = open_engine(library, data)
    except (OSError, ValueError, AttributeError) as error:
        answer({"error": str(error)})
        return
    answer({"sample_rate": rate_hz})
    for line in sys.stdin.buffer:
        try:
            body = speak(json.loads(line))
        except ValueError as error:
            answer({"error": str(error)})
        else:
            answer({"n_bytes": len(body)}, body)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except BrokenPipeError:
        os._exit(1)
