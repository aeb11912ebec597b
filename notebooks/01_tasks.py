# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# (tasks)=
# # The tasks
#
# What do the nine corpora hold, who speaks in them, and how are they cut into train, validation and test? This
# chapter recomputes the paper's table 1 from the lists of the corpora's files, which come with the package, and
# shows the splits of both protocols. It needs no audio and takes a few seconds.

# %% tags=["setup"]
# On Colab, this installs the library; where it is installed, it does nothing.
import importlib.util

if importlib.util.find_spec("serab_lib") is None:
    get_ipython().run_line_magic(
        "pip", "install -q 'serab-companion[demo,notebook] @ git+https://github.com/serab-companion/serab-companion'"
    )

# %% tags=["parameters"]
profile: str = "demo"

# %% tags=["hide-input"]
from serab_lib.book import tables
from serab_lib.book.plots import tasks as plots
from serab_lib.corpora.corpus import list_utterances
from serab_lib.book.show import record, show_audio, show_banner, show_figure, show_table
from serab_lib.corpora.task import TASKS
from serab_lib.book.profile import speak_samples

# %% [markdown]
# ## Nine tasks in six languages
#
# Every number in the columns *lists* is counted here: utterances and speakers from the names of the files,
# durations from a list of their lengths. IEM4's names may not be published, so only counts are known of it, and no
# durations. {numref}`tbl-tasks` differs from the paper in three places. CaFE has seven classes and 936 utterances;
# the paper says seven classes and 864, which is the count without the neutral one. CREMA-D has 7,442 files, of which
# the split that the release uses leaves out four. And ShEMO's list lacks a duration for 162 files.

# %% tags=["hide-input"]
tasks = tables.describe_tasks()
show_table(
    tasks,
    name="tbl-tasks",
    caption="The paper's table 1, beside what the file lists say. Durations in seconds, totals in hours.",
    sortable=True,
)
record(n_utterances=int(tasks["utterances, lists"].sum()), n_speakers=int(tasks["speakers, lists"].sum()))

# %% [markdown]
# All in all, the nine tasks have {glue:text}`n_utterances` utterances of {glue:text}`n_speakers` speakers. Half of
# both come from CREMA-D alone.
#
# ## Classes
#
# The corpora were recorded with different sets of emotions, and some are far from balanced: ShEMO has 38 utterances
# of fear among 3,000.

# %% tags=["hide-input"]
counts = tables.count_classes()
show_figure(
    plots.plot_class_balance(counts),
    name="fig-classes",
    caption="Share of each emotion in each task. SUB is SUBESCO, which the release has and the paper's grid has not.",
    alt="One bar per task, divided by emotion. ShEMO and IEM4 are unbalanced, the acted corpora nearly even.",
)

# %%
show_table(counts.T, name="tbl-classes", caption="Utterances of each emotion in each task.")

# %% [markdown]
# ## Durations

# %% tags=["hide-input"]
durations = {code: list_utterances(code)["duration_s"] for code in TASKS}
show_figure(
    plots.plot_durations(durations),
    name="fig-durations",
    caption="Durations: the white mark is the median, the bar holds the middle half, the line 5 to 95 %.",
    alt="Box summaries of utterance durations per task; most lie between two and five seconds, ShEMO spreads widest.",
)

# %% [markdown]
# ## Train, validation, test
#
# The paper asks for 60 / 20 / 20 % of the speakers (CREMA-D: 70 / 10 / 20 %), with no speaker in two parts. The
# release shuffles groups with a fixed seed and cuts the list. Under the protocol `described`, groups are the true
# speakers. Test parts are small: a handful of speakers, sometimes one.

# %% tags=["hide-input"]
splits = tables.describe_splits()
show_figure(
    plots.plot_parts(splits, "described"),
    name="fig-parts",
    caption="The split of the protocol `described`. Figures in the bars are numbers of speakers.",
    alt="One bar per task, cut into train, validation and test, with the number of speakers in each.",
)

# %% [markdown]
# The release does not always group by speaker. For ShEMO it takes two other characters of the file name, the number
# of the utterance; for IEM4 the prefix of the dialogue, in which both actors of a session speak. Under `released`,
# which exists to match the paper's grid, every test utterance of these two tasks comes from a speaker that the
# classifiers were trained on ({numref}`fig-shared`). {doc}`07_audit` follows this up.

# %% tags=["hide-input"]
show_figure(
    plots.plot_shared_speakers(splits.reset_index().rename(columns={"test speakers": "n_speakers"})),
    name="fig-shared",
    caption="Share of test utterances whose speaker is in train or validation too; the numbers at the bars are the test speakers.",
    alt="Bars are zero for all tasks but IEM and SHE under the released protocol, where they are at 100 percent.",
)

# %%
show_table(
    splits.drop(columns="shared"),
    name="tbl-splits",
    caption="Utterances and speakers of each part, under both protocols.",
    sortable=True,
)

# %% [markdown]
# ## What the demo's corpora sound like
#
# Recordings of the real corpora may not be passed on, so none can be heard here. The demo of this book speaks its own
# small corpora instead, with eSpeak NG and published rules of emotional prosody {cite}`schroder2001emotional`. They
# exist to test the pipeline.

# %% tags=["hide-input"]
show_banner("Synthetic speech", "What you hear is a machine following rules. It says nothing about people.")
show_audio(speak_samples())

# %% [markdown]
# Which corpora are open, which must be asked for, and under what terms: {doc}`09_data_and_licences`.
