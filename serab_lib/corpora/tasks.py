"""The tasks, one record each: what a corpus is, who speaks and what is felt in a file, by its name.

To add a corpus, add a record here, or describe your own in a TOML file and read it with `read_task`.
"""

from __future__ import annotations

from serab_lib.core import unknown_name
from serab_lib.corpora import iemocap
from serab_lib.corpora.task import ParsedName, Task, read_task

__all__ = ["PAPER_TASKS", "TASKS", "ParsedName", "Task", "get_task", "read_task"]

_NO_LICENCE = "no licence text found: research only, no redistribution"

# fmt: off
_RECORDS = (
    Task(
        code="AES", name="aesdd", title="AESDD",
        language="Greek", language_code="el", access="open",
        licence=_NO_LICENCE,
        source="http://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/",
        obtain="Follow the official page to the shared folder, fetch 'Acted Emotional Speech Dynamic "
        "Database.zip' and unpack it.",
        citation="Vryzas, N., Kotsakis, R., Liatsou, A., Dimoulas, C. A., & Kalliris, G. (2018). Speech "
        "emotion recognition for performance interaction. Journal of the Audio Engineering Society, 66(6), "
        "457-467. https://doi.org/10.17743/jaes.2018.0036",
        # Zeros in front of the speaker's number are left out, the letters behind it are no part of it.
        pattern=r"(?P<emotion>[adfhs])(?P<utterance>\d\d) \(0*(?P<speaker>\d+)\)(?P<take>[ab]?)",
        emotions={"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "s": "sadness"},
        examples={"a03 (3)": ("3", "anger"), "f10 (01)": ("1", "fear"), "s01 (5)b": ("5", "sadness")},
        excluded={"s05 (3)": "broken as released: it has no data chunk and cannot be decoded"},
        log_mel_statistics=(-4.1785, 4.3656),
        notes=(
            "Five names write the speaker as (01); nine of speaker 5 end in a or b.",
            "Some descriptions speak of five speakers; the file names hold six.",
        ),
    ),
    Task(
        code="CAF", name="cafe", title="CaFE",
        language="French", language_code="fr", access="open",
        licence="CC BY-NC-SA 4.0 (as third parties state it)",
        source="https://zenodo.org/records/1478765",
        obtain="Download CaFE_48k.zip from the Zenodo record and unpack it.",
        citation="Gournay, P., Lahaie, O., & Lefebvre, R. (2018). A Canadian French emotional speech "
        "dataset. Proceedings of the 9th ACM Multimedia Systems Conference, 399-402. "
        "https://doi.org/10.1145/3204949.3208121",
        pattern=r"(?P<speaker>\d\d)-(?P<emotion>[CDJNPST])-(?P<intensity>\d)-(?P<sentence>\d)",
        emotions={
            "C": "anger", "D": "disgust", "P": "fear", "J": "happiness", "T": "sadness", "S": "surprise",
            "N": "neutral"
        },
        examples={"12-P-2-5": ("12", "fear"), "01-C-1-1": ("01", "anger"), "03-N-1-4": ("03", "neutral")},
        released_without=("neutral",),
        log_mel_statistics=(-7.9732, 5.1123),
        notes=(
            "The folder names in the archive are not UTF-8: the file name is read, never the folder.",
            "The release leaves the 72 neutral utterances out: 864 in place of 936.",
        ),
    ),
    Task(
        code="CRE", name="cremad", title="CREMA-D",
        language="English", language_code="en", access="open",
        licence="ODbL 1.0 (database) and DbCL 1.0 (contents)",
        source="https://github.com/CheyneyComputerScience/CREMA-D",
        obtain="Clone the repository with Git LFS, or fetch its folder AudioWAV; the authors ask users to "
        "fill in the form that its README links to.",
        citation="Cao, H., Cooper, D. G., Keutmann, M. K., Gur, R. C., Nenkova, A., & Verma, R. (2014). "
        "CREMA-D: Crowd-sourced emotional multimodal actors dataset. IEEE Transactions on Affective "
        "Computing, 5(4), 377-390. https://doi.org/10.1109/TAFFC.2014.2336244",
        pattern=r"(?P<speaker>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>LO|MD|HI|XX)",
        emotions={
            "NEU": "neutral", "HAP": "happiness", "SAD": "sadness", "ANG": "anger", "FEA": "fear", "DIS": "disgust"
        },
        examples={"1001_DFA_ANG_XX": ("1001", "anger"), "1091_WSI_SAD_XX": ("1091", "sadness")},
        excluded={
            "1040_ITH_SAD_XX": "left out by TensorFlow Datasets, whose list the benchmark uses",
            "1040_ITH_SAD_X": "older spelling of 1040_ITH_SAD_XX, which TensorFlow Datasets leaves out",
            "1006_TIE_NEU_XX": "left out by TensorFlow Datasets; byte-identical to 1006_TIE_HAP_XX",
            "1013_WSI_DIS_XX": "left out by TensorFlow Datasets; byte-identical to 1013_WSI_SAD_XX",
            "1017_IWW_FEA_XX": "left out by TensorFlow Datasets; byte-identical to 1017_IWW_ANG_XX",
        },
        oddities={"1076_MTI_SAD_XX": "holds no speech"},
        shares=(0.7, 0.1, 0.2),
        log_mel_statistics=(-4.9937, 3.1366),
        notes=(
            "A clone without Git LFS holds text pointers in place of audio.",
            "The paper's table says 7,442 utterances; TensorFlow Datasets has 7,438.",
        ),
    ),
    Task(
        code="EMB", name="emodb", title="EmoDB",
        language="German", language_code="de", access="open",
        licence="CC0 1.0 (audb release of the 535 recordings)",
        source="http://emodb.bilderbar.info/",
        obtain="Download download.zip from the official site, or emodb from audb, and unpack it.",
        citation="Burkhardt, F., Paeschke, A., Rolfes, M., Sendlmeier, W. F., & Weiss, B. (2005). A "
        "database of German emotional speech. Proceedings of Interspeech 2005, 1517-1520. "
        "https://doi.org/10.21437/Interspeech.2005-446",
        pattern=r"(?P<speaker>\d\d)(?P<text>[a-z]\d\d)(?P<emotion>[AEFLNTW])(?P<version>[a-z])",
        emotions={
            "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness",
            "N": "neutral"
        },
        examples={"03a01Fa": ("03", "happiness"), "16b10Wb": ("16", "anger"), "08a01Na": ("08", "neutral")},
        # Version 2.0 has the laryngograms of all recordings under the same names.
        ignored_folders=("laryngo*", "Laryngo*"),
        other_files={r"\d\d[a-z]\d\d(?![AEFLNTW][a-z]$).+": "came with version 2.0: the task is on the first release"},
        log_mel_statistics=(-2.6927, 4.1031),
        notes=("Version 2.0 on Zenodo holds 816 clips; the task uses the 535 of the first release.",),
    ),
    Task(
        code="EMV", name="emovo", title="EMOVO",
        language="Italian", language_code="it", access="open",
        licence=_NO_LICENCE,
        source="http://voice.fub.it/activities/corpora/emovo/",
        obtain="Download emovo.zip from the official page and unpack it.",
        citation="Costantini, G., Iaderola, I., Paoloni, A., & Todisco, M. (2014). EMOVO corpus: an Italian "
        "emotional speech database. Proceedings of the Ninth International Conference on Language Resources "
        "and Evaluation (LREC 2014), 3501-3504.",
        pattern=r"(?P<emotion>[a-z]{3})-(?P<speaker>[fm]\d)-(?P<sentence>[a-z]\d)",
        emotions={
            "rab": "anger", "dis": "disgust", "pau": "fear", "gio": "happiness", "tri": "sadness",
            "sor": "surprise", "neu": "neutral"
        },
        examples={"dis-f1-b1": ("f1", "disgust"), "sor-m3-n5": ("m3", "surprise")},
        log_mel_statistics=(-6.7016, 4.6194),
        notes=("All but one recording are stereo.",),
    ),
    Task(
        code="IEM", name="iemocap", title="IEM4",
        language="English", language_code="en", access="restricted",
        licence="by agreement with the University of Southern California: research only, no redistribution",
        source="https://sail.usc.edu/iemocap/",
        obtain="Ask for it with the release form at https://sail.usc.edu/iemocap/ (signed by your "
        "institution), then unpack the full release.",
        citation="Busso, C., Bulut, M., Lee, C.-C., Kazemzadeh, A., Mower, E., Kim, S., Chang, J. N., Lee, "
        "S., & Narayanan, S. S. (2008). IEMOCAP: interactive emotional dyadic motion capture database. "
        "Language Resources and Evaluation, 42(4), 335-359. https://doi.org/10.1007/s10579-008-9076-6",
        # The F or M behind the session names who wears the markers; the speaker's stands in the last field.
        pattern=r"Ses(?P<prefix>(?P<session>\d\d)[FM])_(?P<dialogue>(?:impro|script)\w+)"
        r"_(?P<letter>[FM])[\dX]{3}",
        speaker_format="Ses{session}{letter}",
        emotions={"ang": "anger", "hap": "happiness", "exc": "happiness", "sad": "sadness", "neu": "neutral"},
        examples={
            "Ses01F_impro01_M003": ("Ses01M", None),
            "Ses05M_script03_2_F021": ("Ses05F", None),
            "Ses03M_impro05a_M000": ("Ses03M", None),
        },
        labels=iemocap.read_labels,
        counts="iem4_counts.csv",
        released_group="prefix",
        other_files={
            r"Ses\d\d[FM]_(?:impro|script)[\da-z_]+": "a whole dialogue: the task uses its utterances",
            r"Ses\d\d[FM]_\w+_X+\d*": "speech that belongs to neither actor",
        },
        ignored_folders=("MOCAP*", "ForcedAlignment", "avi"),
        log_mel_statistics=(-5.7522, 3.4033),
        notes=(
            "The four-class subset: excitement counts as happiness, all other labels are left out.",
            "The release groups by dialogue prefix (01F), and both actors speak in each dialogue.",
        ),
    ),
    Task(
        code="RAV", name="ravdess", title="RAVDESS",
        language="English", language_code="en", access="open",
        licence="CC BY-NC-SA 4.0",
        source="https://zenodo.org/records/1188976",
        obtain="Download Audio_Speech_Actors_01-24.zip from the Zenodo record and unpack it.",
        citation="Livingstone, S. R., & Russo, F. A. (2018). The Ryerson Audio-Visual Database of Emotional "
        "Speech and Song (RAVDESS): A dynamic, multimodal set of facial and vocal expressions in North "
        "American English. PLoS ONE, 13(5), e0196391. https://doi.org/10.1371/journal.pone.0196391",
        pattern=r"03-01-(?P<emotion>0[1-8])-(?P<intensity>\d\d)-(?P<statement>\d\d)-(?P<repetition>\d\d)"
        r"-(?P<speaker>\d\d)",
        emotions={
            "05": "anger", "07": "disgust", "06": "fear", "03": "happiness", "04": "sadness", "08": "surprise",
            "01": "neutral", "02": "calm"
        },
        examples={"03-01-05-01-02-01-01": ("01", "anger"), "03-01-06-01-02-01-12": ("12", "fear")},
        other_files={
            r"\d\d-02(?:-\d\d){5}": "sung: the task is on the spoken recordings",
            r"0[12]-01(?:-\d\d){5}": "the sound of a video: the task is on the audio-only recordings",
        },
        oddities={"03-01-03-01-02-02-07": "byte-identical to 03-01-03-01-02-01-07"},
        log_mel_statistics=(-10.3203, 4.9996),
        notes=("Five of the recordings are stereo, with equal channels.",),
    ),
    Task(
        code="SAV", name="savee", title="SAVEE",
        language="English", language_code="en", access="restricted",
        licence="research only after registration, no redistribution",
        source="http://personal.ee.surrey.ac.uk/Personal/P.Jackson/SAVEE/",
        obtain="Register at http://personal.ee.surrey.ac.uk/Personal/P.Jackson/SAVEE/Register.html, then "
        "download AudioData.zip with the password you are sent and unpack it.",
        citation="Haq, S., & Jackson, P. J. B. (2010). Multimodal emotion recognition. In W. Wang (Ed.), "
        "Machine Audition: Principles, Algorithms and Systems (pp. 398-423). IGI Global. "
        "https://doi.org/10.4018/978-1-61520-919-4.ch017",
        pattern=r"(?P<speaker>[A-Z]{2})_(?P<emotion>[a-z]{1,2})(?P<sentence>\d\d)",
        folder_prefix=True,
        emotions={
            "a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "sa": "sadness", "su": "surprise",
            "n": "neutral"
        },
        examples={"DC_a01": ("DC", "anger"), "JK_sa15": ("JK", "sadness"), "KL_su03": ("KL", "surprise")},
        log_mel_statistics=(-7.3621, 4.7177),
        notes=("The archive has DC/a01.wav, other copies DC_a01.wav; both are read as DC_a01.",),
    ),
    Task(
        code="SHE", name="shemo", title="ShEMO",
        language="Persian", language_code="fa", access="open",
        licence="no licence file; its README allows academic use free of charge: research only, "
        "no redistribution",
        source="https://github.com/mansourehk/ShEMO",
        obtain="Fetch female.zip and male.zip from the repository (Git LFS) and unpack both.",
        citation="Mohamad Nezami, O., Jamshid Lou, P., & Karami, M. (2019). ShEMO: a large-scale validated "
        "database for Persian speech emotion detection. Language Resources and Evaluation, 53(1), 1-16. "
        "https://doi.org/10.1007/s10579-018-9427-x",
        pattern=r"(?P<speaker>[FM]\d\d)(?P<emotion>[AFHSWN])(?P<number>\d\d)",
        emotions={
            "A": "anger", "F": "fear", "H": "happiness", "S": "sadness", "W": "surprise", "N": "neutral"
        },
        examples={"F03S02": ("F03", "sadness"), "F01A01": ("F01", "anger"), "M03F01": ("M03", "fear")},
        released_group="number",
        log_mel_statistics=(-3.5332, 4.0279),
        notes=(
            "The release groups by the utterance number (characters 5 and 6), not by the speaker.",
            "About 4% of the recordings are sampled at 22.05 kHz, the others at 44.1 kHz.",
        ),
    ),
    Task(
        code="SUB", name="subesco", title="SUBESCO",
        language="Bangla", language_code="bn", access="open",
        licence="CC BY 4.0",
        source="https://zenodo.org/records/4526477",
        obtain="Download SUBESCO.zip from the Zenodo record and unpack it.",
        citation="Sultana, S., Rahman, M. S., Selim, M. R., & Iqbal, M. Z. (2021). SUST Bangla Emotional "
        "Speech Corpus (SUBESCO): An audio-only emotional speech corpus for Bangla. PLoS ONE, 16(4), "
        "e0250173. https://doi.org/10.1371/journal.pone.0250173",
        # One name of the release ends in a stray bracket.
        pattern=r"[FM]_\d\d_(?P<speaker>[A-Z]+)_S_(?P<sentence>\d+)_(?P<emotion>[A-Z]+)_(?P<take>\d)\]?",
        emotions={
            "ANGRY": "anger", "DISGUST": "disgust", "FEAR": "fear", "HAPPY": "happiness", "SAD": "sadness",
            "SURPRISE": "surprise", "NEUTRAL": "neutral"
        },
        examples={
            "F_01_OISHI_S_10_ANGRY_1": ("OISHI", "anger"),
            "F_02_MONIKA_S_2_SURPRISE_3]": ("MONIKA", "surprise"),
        },
        in_paper=False,
        notes=(
            "In the release as a tenth task, outside the paper's grid.",
            "4,555 recordings are at 44.1 kHz and 2,445 at 48 kHz; the release takes all for 44.1 kHz.",
        ),
    ),
)
# fmt: on

TASKS: dict[str, Task] = {record.code: record for record in _RECORDS}
PAPER_TASKS: tuple[str, ...] = tuple(record.code for record in _RECORDS if record.in_paper)


def get_task(name: str | Task) -> Task:
    """Find a task by its code or its name, in upper or lower case.

    Parameters
    ----------
    name : str or Task
        ``RAV`` or ``ravdess``, or ``path:FILE`` for a corpus of one's own that a TOML file describes; a `Task`
        is handed back as it is.

    Returns
    -------
    Task
        The record.

    Raises
    ------
    UnknownNameError
        If there is none; the message has the nearest names.

    Examples
    --------
    >>> get_task("ravdess").title
    'RAVDESS'
    """
    if isinstance(name, Task):
        return name
    if name.strip().startswith("path:"):
        return read_task(name.strip().removeprefix("path:"))
    folded = name.strip().casefold()
    for task in TASKS.values():
        if folded in (task.code.casefold(), task.name.casefold()):
            return task
    known = [known for task in TASKS.values() for known in (task.code, task.name)]
    raise unknown_name("task", name, known, listing="serab tasks")
