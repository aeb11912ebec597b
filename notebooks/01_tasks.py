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
# What do the nine corpora hold, who speaks in them, and how are they split into training, validation and test sets?
# This chapter recomputes the paper's table 1 from the lists of the corpora's files, which come with the package, and
# shows the splits of both protocols. It needs no audio.

# %% tags=["setup"]
# On Colab, this installs the library; where it is installed, it does nothing.
import importlib.util
import sys

if importlib.util.find_spec("serab_lib") is None:
    source = "git+https://github.com/serab-companion/serab-companion"
    get_ipython().run_line_magic("pip", f"install -q 'serab-companion[demo,notebook] @ {source}'")
    importlib.invalidate_caches()
    if importlib.util.find_spec("serab_lib") is None:
        sys.exit("serab-companion was not installed: pip's lines above say why. It needs Python 3.11 or later.")

# %% tags=["parameters"]
profile: str = "demo"

# %% tags=["hide-input"]
import pandas as pd

from serab_lib.book import tables
from serab_lib.book.plots import PART_COLOURS, emotion_colours, name_rows, new_figure, put_legend_above
from serab_lib.book.plots.tasks import plot_shared_speakers
from serab_lib.corpora.corpus import list_utterances
from serab_lib.book.show import record, show_figure, show_table
from serab_lib.corpora.task import TASKS

# %% [markdown]
# ## Nine tasks in six languages
#
# Every number in the columns *lists* is counted here: utterances and speakers from the names of the files,
# durations from a list of their lengths. IEM4's names may not be published, so only counts are known of it, and no
# durations.

# %% tags=["hide-input"]
tasks = tables.describe_tasks()
show_table(
    tasks,
    name="tbl-tasks",
    caption="The paper's table 1, beside what the file lists say. Durations in seconds, totals in hours; – where they are not all known.",
    sortable=True,
)
totals = tasks[["utterances, lists", "speakers, lists"]].sum()
share = 100 * tasks.loc["CRE", totals.index] / totals
record(
    n_utterances=f"{int(totals.iloc[0]):,}",
    n_speakers=int(totals.iloc[1]),
    cremad=f"{share.iloc[0]:.0f} % of the utterances and {share.iloc[1]:.0f} % of the speakers",
)

# %% [markdown]
# All in all, the nine tasks have {glue:text}`n_utterances` utterances of {glue:text}`n_speakers` speakers. CREMA-D alone
# contributes {glue:text}`cremad`. {numref}`tbl-task-differences` has every value that differs from the paper's after
# rounding.

# %% tags=["hide-input"]
compared = ["classes", "utterances", "speakers", "mean s", "total h"]
sides = {
    side: tasks[[f"{what}, {side}" for what in compared]].set_axis(compared, axis=1).astype(float).round(1).stack()
    for side in ("paper", "lists")
}
both = pd.DataFrame(sides).dropna().rename_axis(["task", "what"])
differing = both[both["paper"] != both["lists"]].reset_index()
is_count = ~differing["what"].isin(["mean s", "total h"])
for side in sides:
    differing[side] = differing[side].map("{:,.0f}".format).where(is_count, differing[side].map("{:.1f}".format))

# %% tags=["hide-input"]
show_table(
    differing,
    name="tbl-task-differences",
    caption="Where the lists differ from the paper's table 1.",
    index=False,
)

# %% tags=["hide-input"]
cafe, durations = list_utterances("CAF"), {code: list_utterances(code)["duration_s"] for code in TASKS}
without_neutral = cafe[cafe["emotion"] != "neutral"]["duration_s"]
shemo = durations["SHE"]
record(
    n_cafe=len(cafe),
    n_cafe_left=len(without_neutral),
    cafe_left=f"{without_neutral.mean():.1f} s and {without_neutral.sum() / 3600:.1f} h",
    n_shemo_known=f"{shemo.count():,}",
    n_shemo_unknown=int(shemo.isna().sum()),
    shemo_known=f"{shemo.sum() / 3600:.1f}",
    shemo_all=f"{shemo.mean() * len(shemo) / 3600:.1f}",
)

# %% [markdown]
# - **CaFE** has {glue:text}`n_cafe` utterances in seven classes. The paper's table names seven classes, too, but counts
#   {glue:text}`n_cafe_left`: as many as there are without the neutral class. Its mean and total duration are also those
#   of these ({glue:text}`cafe_left`). The release's loader of November 2021
#   [did not find the neutral recordings](https://github.com/Neclow/SERAB/blob/8023cb75dc6f32a6f211bfbc83efe9491c41d8b7/tensorflow_datasets/cafe/cafe.py#L156);
#   the authors [corrected it](https://github.com/Neclow/SERAB/commit/a02f11ca03eecb2069737fa14554984dbdf832bd) in
#   January 2022. The protocol `released` follows the code of November 2021, because the paper's numbers fit it
#   ({doc}`09_audit`).
# - **CREMA-D**: of its 7,442 files, the split in TensorFlow Datasets that the release uses leaves out four.
# - **ShEMO**: the list lacks a duration for {glue:text}`n_shemo_unknown` files, so it gives a mean but no total. The
#   {glue:text}`n_shemo_known` known durations add up to {glue:text}`shemo_known` h; at their mean, all files would make
#   {glue:text}`shemo_all` h. That the paper prints {glue:text}`shemo_known` h is no confirmation.
#
# ## Classes
#
# The corpora were recorded with different sets of emotions, and some are far from balanced: ShEMO has
# {glue:text}`n_fear` utterances of fear among 3,000.

# %% tags=["hide-input"]
counts = tables.count_classes()
record(n_fear=int(counts.loc["fear", "SHE"]))
shares, colours = 100 * (counts / counts.sum()).T, emotion_colours(list(counts.index))
figure, axes = new_figure(height=0.34 * len(shares))
shares.plot.barh(stacked=True, width=0.8, color=colours, edgecolor="white", legend=False, grid=True, ax=axes)
name_rows(axes, list(shares.index))
axes.set(xlabel="share of the utterances (%)", ylabel="", xlim=(0, 100))
put_legend_above(figure, n_columns=5)
show_figure(
    figure,
    name="fig-classes",
    caption="Share of each emotion in each task. SUB is SUBESCO, which is in the release but not in the paper's grid.",
    alt="One bar per task, divided by emotion. ShEMO and IEM4 are unbalanced, the acted corpora nearly even.",
)

# %%
show_table(counts.T, name="tbl-classes", caption="Utterances of each emotion in each task.")

# %% [markdown]
# ## Durations
#
# An extractor makes one vector of an utterance, whatever its length. Most utterances last two to five seconds.

# %% tags=["hide-input"]
known = pd.DataFrame(durations).dropna(axis="columns", how="all")
low, first, median, third, high = known.quantile([0.05, 0.25, 0.5, 0.75, 0.95]).to_numpy()
figure, axes = new_figure(height=3.2)
rows = range(known.shape[1])
axes.hlines(rows, low, high, color="0.6", zorder=2)
axes.barh(rows, third - first, left=first, height=0.5, color=PART_COLOURS["train"], zorder=3)
axes.scatter(median, rows, color="white", marker="|", s=140, linewidths=2, zorder=4)
name_rows(axes, list(known))
axes.set(xlabel="duration of an utterance (s)", xlim=(0, None))
show_figure(
    figure,
    name="fig-durations",
    caption="Durations: the white mark is the median, the bar holds the middle half, the line 5 to 95 %.",
    alt="Box summaries of utterance durations per task; most lie between two and five seconds, ShEMO spreads widest.",
)

# %% [markdown]
# ## Training, validation and test sets
#
# The paper splits each data set 60/20/20 (CREMA-D 70/10/20), with no speaker in two of the three sets. The release
# puts utterances into groups, meant to be speakers, shuffles the groups with a fixed seed, and cuts the list. CREMA-D
# and SAVEE come with their splits from TensorFlow Datasets; the paper takes CREMA-D's from NOSS
# {cite}`shor2020learning`, the *non-semantic speech* benchmark, which introduced both as tasks for frozen embeddings.
# The [normalisation by speaker](https://github.com/Neclow/SERAB/blob/cc0ebd74014c19ce4fad752afe5dfd374fc7fdb2/SERAB/utils.py#L282)
# is adapted from NOSS, too. Under the protocol `described`, groups are the true speakers.

# %% tags=["hide-input"]
splits = tables.describe_splits()
sizes = splits[["train", "validation", "test"]]
shares = 100 * sizes.div(sizes.sum(axis=1), axis=0)
described, shown = (table.xs("described", level="protocol") for table in (splits, shares))
figure, axes = new_figure(height=0.34 * len(shown))
shown.plot.barh(stacked=True, width=0.8, color=PART_COLOURS, edgecolor="white", legend=False, grid=True, ax=axes)
for bars, part in zip(axes.containers, shown, strict=True):
    axes.bar_label(bars, described[f"{part} speakers"].astype(str), label_type="center", color="white", size=9)
name_rows(axes, list(shown.index))
axes.set(xlabel="share of the utterances (%); numbers in the bars count speakers", ylabel="", xlim=(0, 100))
put_legend_above(figure)

# %% tags=["hide-input"]
show_figure(
    figure,
    name="fig-parts",
    caption="The split of the protocol `described`. Numbers in the bars count speakers.",
    alt="One bar per task, cut into training, validation and test set, with the number of speakers in each.",
)

# %% tags=["hide-input"]
described = described.drop("SUB")
others = shares.xs("described", level="protocol").loc[described.index].drop("CRE")
fewest = {part: described[f"{part} speakers"] for part in sizes}
record(
    least_train=f"{others['train'].min():.0f} % ({others['train'].idxmin()})",
    most_train=f"{others['train'].max():.0f} % ({others['train'].idxmax()})",
    least_test=f"{others['test'].min():.0f} % ({others['test'].idxmin()})",
    most_test=f"{others['test'].max():.0f} % ({others['test'].idxmax()})",
    one_test=", ".join(fewest["test"].index[fewest["test"] == 1]),
    two_test=", ".join(fewest["test"].index[fewest["test"] == 2]),
    one_validation=", ".join(fewest["validation"].index[fewest["validation"] == 1]),
)

# %% [markdown]
# Whole speakers are assigned to a set, and most corpora have few, so the shares are often far from 60/20/20: apart from
# CREMA-D, the training sets hold {glue:text}`least_train` to {glue:text}`most_train` of the utterances, the test sets
# {glue:text}`least_test` to {glue:text}`most_test`.
#
# Most test sets contain few speakers: one in {glue:text}`one_test`, two in {glue:text}`two_test`. The same is true of the
# validation set, on which hyperparameters are chosen and, under `described`, the classifier. Where it is a single speaker
# ({glue:text}`one_validation`), the choice is the one that suits that speaker best.
#
# The release does not always group by speaker. For ShEMO it takes two other characters of the file name, the number
# of the utterance; for IEM4 the prefix of the dialogue, in which both actors of a session speak. Under `released`,
# which exists to match the paper's grid, every test utterance of these two tasks comes from a seen speaker, one that
# is also in the training set ({numref}`fig-shared`). {doc}`09_audit` follows this up.

# %% tags=["hide-input"]
show_figure(
    plot_shared_speakers(splits.reset_index().rename(columns={"test speakers": "n_speakers"})),
    name="fig-shared",
    caption="Share of test utterances by seen speakers (also in the training or validation set); at the bars, the number of test speakers.",
    alt="Bars are zero for all tasks but IEM and SHE under the released protocol, where they are at 100 percent.",
)

# %%
percent = shares.round().astype(int).astype(str)
show_table(
    splits.drop(columns=["shared", "majority"]).assign(
        **{"shares, %": percent["train"] + "/" + percent["validation"] + "/" + percent["test"]}
    ),
    name="tbl-splits",
    caption="Utterances and speakers of each set, and its share of the utterances, under both protocols.",
    sortable=True,
)

# %% [markdown]
# ## What an accuracy has to beat
#
# A classifier that always gives the same answer reaches, at best, the share of the most frequent emotion. This *majority
# level* differs so much between tasks that accuracies cannot be compared across them without it. Unweighted average
# recall (UAR) of such a classifier is one over the number of classes.

# %% tags=["hide-input"]
levels = (100 * splits["majority"]).unstack().add_prefix("majority level, ")
n_classes = counts.gt(0).sum().loc[levels.index]
levels.insert(0, "UAR of one answer", 100 / n_classes)
levels.insert(0, "classes", n_classes)
show_table(
    levels,
    name="tbl-majority",
    caption="What always giving the same answer reaches on each test set, in percent: UAR with all classes, and accuracy.",
)
released = levels["majority level, released"]
record(
    lowest_level=f"{released.min():.0f} % ({released.idxmin()})",
    highest_level=f"{released.max():.0f} % ({released.idxmax()})",
)

# %% [markdown]
# Under `released` the majority level lies between {glue:text}`lowest_level` and {glue:text}`highest_level`.
#
# {ref}`hear` plays one sentence of the demo's voices in each emotion of a task. Which corpora are open, which are
# available on request only, and under what terms: {doc}`11_data_and_licences`.
