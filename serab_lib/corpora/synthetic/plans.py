"""What the nine demo corpora consist of: the real ones' folders, file names, classes and some speakers.

Each plan keeps oddities that the code around it has to cope with: several sample rates (in one task two),
FLAC and two channels in EMOVO, labels outside the file name and left-out labels in IEMOCAP, unequal classes,
and utterance numbers that repeat over classes and speakers in ShEMO.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from serab_lib.corpora.synthetic.prosody import Difficulty


@dataclass(frozen=True, kw_only=True)
class Line:
    """One utterance to be spoken.

    Attributes
    ----------
    file : str
        Path below the corpus's folder, with forward slashes.
    speaker : str
        The real corpus's name of a speaker.
    emotion : str
        English name of the class.
    sentence : int
        Which sentence of the language; counted past the end, it starts over.
    intensity : float
        How strongly the emotion is acted.
    label : str
        IEMOCAP's own label, which only its label files hold.
    rate_hz : int or None
        Sample rate where it differs from the corpus's.
    """

    file: str
    speaker: str
    emotion: str
    sentence: int
    intensity: float = 1.0
    label: str = ""
    rate_hz: int | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One demo corpus.

    Attributes
    ----------
    code, name : str
        Of the task.
    language : str
        ISO 639-1 code.
    speakers : dict of str to str
        Speaker to sex of the voice, ``"f"`` or ``"m"``: the real one where the corpus tells (EMB, EMV, IEM,
        RAV, SAV, SHE), by turns elsewhere.
    rate_hz, n_channels : int
        Of the files.
    difficulty : Difficulty
        Chosen so that accuracies spread over the tasks about as they do in the paper.
    write_lines : function
        From the plan to its utterances, in the order in which they are spoken.
    """

    code: str
    name: str
    language: str
    speakers: dict[str, str]
    rate_hz: int
    n_channels: int = 1
    difficulty: Difficulty
    write_lines: Callable[[Plan], Iterator[Line]]

    @property
    def lines(self) -> list[Line]:
        """The utterances."""
        return list(self.write_lines(self))

    @property
    def emotions(self) -> list[str]:
        """The classes, sorted."""
        return sorted({line.emotion for line in self.lines})


def _alternate(*speakers: str, first: str = "f") -> dict[str, str]:
    other = "m" if first == "f" else "f"
    return {speaker: (first, other)[number % 2] for number, speaker in enumerate(speakers)}


def _aesdd(plan: Plan) -> Iterator[Line]:
    for speaker in plan.speakers:
        for emotion in ("anger", "disgust", "fear", "happiness", "sadness"):
            for number in range(1, 5):
                file = f"{emotion}/{emotion[0]}{number:02d} ({speaker}).wav"
                yield Line(file=file, speaker=speaker, emotion=emotion, sentence=number)


def _cafe(plan: Plan) -> Iterator[Line]:
    classes = {
        "anger": ("C", "Colère"), "disgust": ("D", "Dégoût"), "happiness": ("J", "Joie"),
        "neutral": ("N", "Neutre"), "fear": ("P", "Peur"), "surprise": ("S", "Surprise"),
        "sadness": ("T", "Tristesse"),
    }  # fmt: skip
    for i, speaker in enumerate(plan.speakers):
        for j, (emotion, (letter, folder)) in enumerate(classes.items()):
            # Neutral has no strong version, and its files lie directly in its folder.
            for level in (1,) if emotion == "neutral" else (1, 2):
                sentence = (i + j + 3 * level) % 6 + 1
                place = folder if emotion == "neutral" else f"{folder}/{('Faible', 'Fort')[level - 1]}"
                file = f"{place}/{speaker}-{letter}-{level}-{sentence}.wav"
                yield Line(
                    file=file,
                    speaker=speaker,
                    emotion=emotion,
                    sentence=sentence,
                    intensity=(0.8, 1.2)[level - 1],
                )


def _cremad(plan: Plan) -> Iterator[Line]:
    classes = {
        "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral",
        "SAD": "sadness",
    }  # fmt: skip
    sentences = ("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
    for i, speaker in enumerate(plan.speakers):
        for j, (code, emotion) in enumerate(classes.items()):
            for take in range(1 + (i + j) % 2):
                sentence = (5 * i + 2 * j + 7 * take) % len(sentences)
                level = "HI" if sentences[sentence] == "IEO" and code != "NEU" else "XX"
                file = f"AudioWAV/{speaker}_{sentences[sentence]}_{code}_{level}.wav"
                yield Line(
                    file=file,
                    speaker=speaker,
                    emotion=emotion,
                    sentence=sentence,
                    intensity=1.2 if level == "HI" else 1.0,
                )


def _emodb(plan: Plan) -> Iterator[Line]:
    classes = {
        "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness",
        "N": "neutral",
    }  # fmt: skip
    texts = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
    for i, speaker in enumerate(plan.speakers):
        for j, (letter, emotion) in enumerate(classes.items()):
            for take in range(2):
                text = (i + j + 5 * take) % len(texts)
                file = f"wav/{speaker}{texts[text]}{letter}a.wav"
                yield Line(file=file, speaker=speaker, emotion=emotion, sentence=text)


def _emovo(plan: Plan) -> Iterator[Line]:
    classes = {
        "dis": "disgust", "gio": "happiness", "neu": "neutral", "pau": "fear", "rab": "anger",
        "sor": "surprise", "tri": "sadness",
    }  # fmt: skip
    texts = ("b1", "b2", "b3", "d1", "d2", "l1", "l2", "l3", "l4", "n1", "n2", "n3", "n4", "n5")
    for i, speaker in enumerate(plan.speakers):
        for j, (code, emotion) in enumerate(classes.items()):
            for take in range(3):
                text = (3 * i + j + 5 * take) % len(texts)
                file = f"{speaker}/{code}-{speaker}-{texts[text]}.flac"
                yield Line(file=file, speaker=speaker, emotion=emotion, sentence=text)


# IEMOCAP's labels, the emotion that each is spoken with, and how strongly.
IEMOCAP_TURNS = (
    ("neu", "neutral", 1.0), ("ang", "anger", 1.0), ("hap", "happiness", 0.9), ("sad", "sadness", 1.0),
    ("exc", "happiness", 1.2), ("neu", "neutral", 1.0),
)  # fmt: skip
# By who says it: labels that belong to none of the four classes.
IEMOCAP_LEFT_OUT = {"F": ("fru", "anger", 0.5), "M": ("xxx", "neutral", 1.0)}


def _iemocap(plan: Plan) -> Iterator[Line]:
    for session in range(1, 6):
        for wearer, scene in (("F", "impro01"), ("M", "script01_1")):
            dialogue = f"Ses{session:02d}{wearer}_{scene}"
            for turn in range(len(IEMOCAP_TURNS) + 1):
                for actor in ("F", "M"):
                    left_out = turn == len(IEMOCAP_TURNS)
                    label, emotion, intensity = IEMOCAP_LEFT_OUT[actor] if left_out else IEMOCAP_TURNS[turn]
                    yield Line(
                        file=f"Session{session}/sentences/wav/{dialogue}/{dialogue}_{actor}{turn:03d}.wav",
                        speaker=f"Ses{session:02d}{actor}",
                        emotion=emotion,
                        sentence=3 * session + 5 * turn + (wearer == "M") + 7 * (actor == "M"),
                        intensity=intensity,
                        label=label,
                    )


def write_emoevaluation(lines: Iterable[Line], durations_s: dict[str, float]) -> Iterator[tuple[str, str]]:
    """Yield path and text of IEMOCAP's label files, in the format of the real ones.

    Parameters
    ----------
    lines : iterable of Line
        The corpus's utterances; those of a dialogue go into one file, in this order.
    durations_s : dict of str to float
        Duration of each utterance's file, in seconds.

    Yields
    ------
    tuple of str
        Path below the corpus's folder, and text. One block an utterance: a line with times, name, label and
        mean ratings, then lines of single raters (``C-``, ``A-``), which a reader has to skip.
    """
    names = {"neu": "Neutral", "ang": "Anger", "hap": "Happiness", "sad": "Sadness", "exc": "Excited",
             "fru": "Frustration", "xxx": "Other"}  # fmt: skip
    attributes = {"neu": (3, 2, 2), "ang": (2, 4, 4), "hap": (4, 3, 3), "sad": (2, 2, 2), "exc": (4, 4, 3),
                  "fru": (2, 3, 3), "xxx": (3, 3, 3)}  # fmt: skip
    dialogues: dict[str, list[Line]] = {}
    for line in lines:
        session, _, _, dialogue, _ = line.file.split("/")
        dialogues.setdefault(f"{session}/dialog/EmoEvaluation/{dialogue}.txt", []).append(line)
    for file, turns in dialogues.items():
        start_s = 2.0
        text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        for turn in turns:
            end_s = start_s + durations_s[turn.file]
            valence, activation, dominance = attributes[turn.label]
            ratings = f"[{valence:.4f}, {activation:.4f}, {dominance:.4f}]"
            stem = turn.file.rpartition("/")[2].removesuffix(".wav")
            text += f"[{start_s:.4f} - {end_s:.4f}]\t{stem}\t{turn.label}\t{ratings}\n"
            text += f"C-E1:\t{names[turn.label]};\t()\nC-E2:\t{names[turn.label]};\t()\n"
            text += f"A-E1:\tval {valence}; act {activation}; dom  {dominance};\t()\n\n"
            start_s = end_s + 0.5
        yield file, text


def _ravdess(plan: Plan) -> Iterator[Line]:
    classes = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
    for speaker in plan.speakers:
        for number, emotion in enumerate(classes, start=1):
            for statement in (1, 2):
                level = 1 if emotion == "neutral" else statement
                code = f"03-01-{number:02d}-{level:02d}-{statement:02d}-{statement:02d}-{speaker}"
                file = f"Actor_{speaker}/{code}.wav"
                yield Line(
                    file=file,
                    speaker=speaker,
                    emotion=emotion,
                    sentence=statement,
                    intensity=(0.9, 1.1)[level - 1],
                )


def _savee(plan: Plan) -> Iterator[Line]:
    classes = {
        "a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness",
        "su": "surprise",
    }  # fmt: skip
    for speaker in plan.speakers:
        for letters, emotion in classes.items():
            for number in range(1, 9 if emotion == "neutral" else 5):
                file = f"{speaker}_{letters}{number:02d}.wav"
                yield Line(file=file, speaker=speaker, emotion=emotion, sentence=number)


def _shemo(plan: Plan) -> Iterator[Line]:
    # Letter, class, utterances a speaker. Numbers run over ten values, so that each value, by which the
    # released protocol groups, meets every class.
    classes = (
        ("A", "anger", 3), ("N", "neutral", 3), ("S", "sadness", 2), ("H", "happiness", 1),
        ("W", "surprise", 1), ("F", "fear", 1),
    )  # fmt: skip
    for i, (speaker, sex) in enumerate(plan.speakers.items()):
        for j, (letter, emotion, n_utterances) in enumerate(classes):
            for k in range(n_utterances):
                number = (i + j + 3 * k) % 10 + 1
                file = f"{'female' if sex == 'f' else 'male'}/{speaker}{letter}{number:02d}.wav"
                yield Line(
                    file=file,
                    speaker=speaker,
                    emotion=emotion,
                    sentence=i + 4 * j + 5 * k,
                    # The real corpus mixes these two rates as well.
                    rate_hz=44_100 if i % 4 == 3 else None,
                )


_PLANS = (
    Plan(
        code="AES", name="aesdd", language="el", rate_hz=44_100, write_lines=_aesdd,
        speakers=_alternate("1", "2", "3", "4", "5", "6"),
        difficulty=Difficulty(strength=0.8, noise=0.11, weakened=0.10, mislabelled=0.08),
    ),
    Plan(
        code="CAF", name="cafe", language="fr", rate_hz=48_000, write_lines=_cafe,
        speakers=_alternate(*(f"{number:02d}" for number in range(1, 11)), first="m"),
        difficulty=Difficulty(strength=1.05, noise=0.08, weakened=0.10, mislabelled=0.05),
    ),
    Plan(
        code="CRE", name="cremad", language="en", rate_hz=16_000, write_lines=_cremad,
        # Fourteen, because ten would leave the validation part of a 70/10/20 split without a speaker.
        speakers=_alternate(
            "1001", "1002", "1003", "1004", "1005", "1007", "1008", "1009", "1010", "1011", "1012", "1014",
            "1015", "1016", first="m",
        ),
        difficulty=Difficulty(strength=1.1, noise=0.08, weakened=0.10, mislabelled=0.05),
    ),
    Plan(
        code="EMB", name="emodb", language="de", rate_hz=16_000, write_lines=_emodb,
        speakers={
            "03": "m", "08": "f", "09": "f", "10": "m", "11": "m", "12": "m", "13": "f", "14": "f", "15": "m",
            "16": "f",
        },
        difficulty=Difficulty(strength=1.4, noise=0.04, weakened=0.03, mislabelled=0.03),
    ),
    Plan(
        code="EMV", name="emovo", language="it", rate_hz=48_000, n_channels=2, write_lines=_emovo,
        speakers={"f1": "f", "f2": "f", "f3": "f", "m1": "m", "m2": "m", "m3": "m"},
        difficulty=Difficulty(strength=0.65, noise=0.12, weakened=0.15, mislabelled=0.10),
    ),
    Plan(
        code="IEM", name="iemocap", language="en", rate_hz=16_000, write_lines=_iemocap,
        speakers={f"Ses{session:02d}{sex}": sex.lower() for session in range(1, 6) for sex in "FM"},
        difficulty=Difficulty(strength=0.85, noise=0.12, weakened=0.12, mislabelled=0.08),
    ),
    Plan(
        code="RAV", name="ravdess", language="en", rate_hz=48_000, write_lines=_ravdess,
        speakers=_alternate(*(f"{number:02d}" for number in range(1, 9)), first="m"),
        difficulty=Difficulty(strength=1.0, noise=0.10, weakened=0.12, mislabelled=0.06),
    ),
    Plan(
        code="SAV", name="savee", language="en", rate_hz=44_100, write_lines=_savee,
        speakers={"DC": "m", "JE": "m", "JK": "m", "KL": "m"},
        difficulty=Difficulty(strength=1.0, noise=0.09, weakened=0.10, mislabelled=0.06),
    ),
    Plan(
        code="SHE", name="shemo", language="fa", rate_hz=22_050, write_lines=_shemo,
        speakers=_alternate(*(f"{sex}{number:02d}" for number in range(1, 7) for sex in "FM")),
        difficulty=Difficulty(strength=1.55, noise=0.06, weakened=0.04, mislabelled=0.04),
    ),
)  # fmt: skip

PLANS: dict[str, Plan] = {plan.code: plan for plan in _PLANS}
