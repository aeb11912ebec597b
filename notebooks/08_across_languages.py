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
# (across)=
# # Across languages
#
# A benchmark in six languages invites a question that the paper does not ask: does what was learnt in one of them help
# in another? Here one corpus teaches and another one is tested.

# %% tags=["setup"]
# On Colab, this installs the library; where it is installed, it does nothing.
import importlib.util
import sys

if importlib.util.find_spec("serab_lib") is None:
    source = "git+https://github.com/serab-companion/serab-companion"
    get_ipython().run_line_magic("pip", f"install -q 'serab-companion[demo,notebook,stats] @ {source}'")
    importlib.invalidate_caches()
    if importlib.util.find_spec("serab_lib") is None:
        sys.exit("serab-companion was not installed: pip's lines above say why. It needs Python 3.11 or later.")

# %% tags=["parameters"]
profile: str = "demo"

# %% tags=["hide-input"]
from itertools import zip_longest

import pandas as pd
import seaborn as sns

from serab_lib.benchmark.grid import Settings
from serab_lib.benchmark.transfer import COMMON_EMOTIONS, read_transfer, run_transfer
from serab_lib.book.plots import new_figure
from serab_lib.book.profile import open_profile
from serab_lib.book.show import record, show_figure, show_table
from serab_lib.book.tables import TITLES
from serab_lib.corpora.task import PAPER_TASKS, get_task

data = open_profile(profile)
data.show_origin()

# %% [markdown]
# The corpora share no set of classes, and three emotions are in all nine: anger, happiness and sadness. The main view
# is on these. The training and validation speakers of a corpus's fixed split (`described`) teach; the validation
# speakers choose hyperparameters and classifier; then *all* speakers of the other corpus are tested. On the diagonal a
# corpus tests itself, every speaker once ({ref}`rotated`), on the same three emotions. The score is the unweighted
# average recall (UAR), whose chance level is a third. Log-mel statistics are each corpus's own.
#
# ```console
# serab transfer --train RAV --test EMV,EMB --models opensmile
# ```

# %% tags=["hide-input"]
if data.synthetic:
    settings = Settings(out=data.results.folder, data=data.data, n_jobs=1)
    for code in [data.find_corpus(code).task.code for code in PAPER_TASKS]:
        run_transfer(code, PAPER_TASKS, ["logmel-stats"], settings, classifiers=("LDA", "SVC"))
rows = read_transfer((data.results if data.synthetic else data.measured).folder)
common = rows[rows["emotions"] == " ".join(COMMON_EMOTIONS)]
own = common[common["normalised"] == "speaker"]
chance = 100 / len(COMMON_EMOTIONS)
known = [get_task(code) for code in own["train"].unique()]
order = [code for _, _, code in sorted((each.language_family, each.language, each.code) for each in known)]
languages = [f"{each.code} {each.language} ({each.language_family})" for each in map(get_task, order)]
style = {"annot": True, "fmt": ".0f", "cmap": "Blues", "vmin": chance, "vmax": 100, "cbar": False}

# %% tags=["hide-input"]
models = own["model"].unique()
n_rows = -(-len(models) // 2)
figure, panels = new_figure(n_rows, 2, height=n_rows * (0.34 * len(order) + 0.9), squeeze=False)
for axes, model in zip_longest(panels.flat, models):
    matrix = own[own["model"] == model].pivot_table("test_uar", "train", "test").reindex(index=order, columns=order)
    sns.heatmap(100 * matrix.astype(float), ax=axes, **style) if model else axes.set_visible(False)
    axes.set(title=TITLES.get(model), xlabel="tested on", ylabel="trained on")
    axes.tick_params(axis="y", rotation=0)
show_figure(
    figure,
    name="fig-transfer",
    caption=f"UAR in percent on anger, happiness and sadness: rows teach, columns are tested; on the diagonal a corpus tests itself (`rotated`). White is chance, {chance:.0f}. {', '.join(languages)}. {data.origin}",
    alt=f"Matrices of {len(order)} corpora, one for each extractor; diagonals are darkest.",
)

# %% tags=["hide-input"]
is_other = own["train"] != own["test"]
others, same = own[is_other], own[~is_other]
percent = 100 * others["test_uar"]
record(n_pairs=len(others), others=f"{percent.mean():.0f}", same=f"{100 * same['test_uar'].mean():.0f}")
record(n_above=int((others["low"] > 1 / 3).sum()), n_models=own["model"].nunique())
pairs = percent.groupby([others["train"], others["test"]]).mean().sort_values()
ends = [f"{' to '.join(pair)} ({value:.0f})" for pair, value in pairs.iloc[[0, -1]].items()]
record(worst=ends[0], easiest=ends[1])
for name, side in (("teachers", "train"), ("tested", "test")):
    means = percent.groupby(others[side]).mean().sort_values(ascending=False)
    record(**{name: ", ".join(f"{code} {value:.0f}" for code, value in means.items())})

# %% tags=["hide-input"]
family = {code: get_task(code).language_family for code in set(own["train"])}
related = others["train"].map(family) == others["test"].map(family)
record(related=f"{percent[related].mean():.0f}", foreign=f"{percent[~related].mean():.0f}")
ranks = {"others": percent.groupby(others["model"]).mean(), "same": 100 * same.groupby("model")["test_uar"].mean()}
ranks = pd.DataFrame(ranks).sort_values("others", ascending=False).rename(index=TITLES)
record(models=", ".join(f"{name} {row['others']:.0f} ({row['same']:.0f})" for name, row in ranks.iterrows()))

# %% [markdown]
# Across corpora the UAR is {glue:text}`others` % on average, where chance is 33 %, and {glue:text}`same` % within them.
# Of {glue:text}`n_pairs` pairs of different corpora with an extractor, {glue:text}`n_above` have a 95 % interval over the
# tested speakers that is above chance. From one corpus to another it is lowest from {glue:text}`worst` and highest from
# {glue:text}`easiest`, averaged over {glue:text}`n_models` extractors. By corpus that teaches: {glue:text}`teachers`; by
# corpus that is tested: {glue:text}`tested`. By extractor, in brackets within a corpus: {glue:text}`models`.
# {numref}`tbl-transfer` has every number with its interval.

# %% tags=["hide-input"]
table = common.assign(model=common["model"].replace(TITLES), UAR=100 * common["test_uar"])
ends = [(100 * table[name]).map("{:.1f}".format) for name in ("low", "high")]
table["interval"], table["macro-F1"] = ends[0] + "–" + ends[1], 100 * table["test_macro_f1"]
columns = ["train", "test", "model", "normalised", "UAR", "interval", "macro-F1", "classifier", "n_speakers", "seconds"]
show_table(
    table[columns].rename(columns={"normalised": "normalised by", "n_speakers": "speakers"}),
    name="tbl-transfer",
    caption=f"Every pair of corpora, extractor and normalisation: UAR in percent with Student's 95 % interval over the tested speakers, and the classifier that validation chose; seconds for all corpora that were tested at once. {data.origin}",
    sortable=True,
    index=False,
)

# %% [markdown]
# ## How much of it does speaker normalisation carry?
#
# The protocols standardise each speaker's embeddings with that speaker's own mean and deviation, which takes a good part
# of what differs between corpora out: microphones, rooms, voices. It needs several recordings of each new speaker. The
# second panel is without it: mean and deviation are those of the training part, for everyone.

# %% tags=["hide-input"]
keys = ["train", "test", "model"]
gains = 100 * common.pivot(index=keys, columns="normalised", values="test_uar")
is_within = gains.index.get_level_values("train") == gains.index.get_level_values("test")
gain, average = gains["speaker"] - gains["training"], gains[~is_within].mean()
record(gain_within=f"{gain[is_within].mean():+.1f}", gain_across=f"{gain[~is_within].mean():+.1f}")
record(n_gains=f"{(gain[~is_within] > 0).sum()} of {(~is_within).sum()}")

# %% tags=["hide-input"]
figure, panels = new_figure(1, 2, height=0.34 * len(order) + 1.1, sharey=True)
for axes, (way, each) in zip(panels, common.groupby("normalised"), strict=True):
    matrix = each.pivot_table("test_uar", "train", "test").reindex(index=order, columns=order)
    sns.heatmap(100 * matrix.astype(float), ax=axes, **style)
    axes.set(title=f"normalised by {way}", xlabel="tested on", ylabel="trained on")
    axes.tick_params(axis="y", rotation=0)
show_figure(
    figure,
    name="fig-normalisation",
    caption=f"The same, mean over the extractors, with speaker normalisation as in the protocols and without it. {data.origin}",
    alt=f"Two matrices; off the diagonal the mean is {average['speaker']:.0f} % with speaker normalisation and {average['training']:.0f} % without.",
)

# %% [markdown]
# Speaker normalisation changes the UAR by {glue:text}`gain_across` points across corpora and by
# {glue:text}`gain_within` within them; it helps in {glue:text}`n_gains` pairs of different corpora with an extractor.
#
# ## All that two corpora share

# %% tags=["hide-input"]
shared = rows[(rows["emotions"] != " ".join(COMMON_EMOTIONS)) & (rows["normalised"] == "speaker")]
wide = shared.groupby(["train", "test", "emotions"])["test_uar"].agg(["mean", "min", "max"]).reset_index()
wide["classes"] = wide["emotions"].str.split().str.len()
wide["chance"] = 100.0 / wide["classes"]
for name in ("mean", "min", "max"):
    wide[name] *= 100
if len(wide):
    show_table(
        wide[["train", "test", "classes", "chance", "mean", "min", "max", "emotions"]],
        name="tbl-shared",
        caption="UAR in percent on all classes that two corpora share, with speaker normalisation: mean, lowest and highest of the extractors.",
        index=False,
    )

# %% [markdown]
# The fewer classes, the higher chance; rows with different sets of classes cannot be compared. A corpus that tests
# itself on all of its classes is the grid itself, under `rotated`.

# %% [markdown] tags=["real"]
# ## What this says, and what four corpora cannot
#
# What is learnt of anger, happiness and sadness in one corpus is worth something in another, and much less than what is
# learnt from other speakers of the same one. It does not tell what *language* costs. Each language is here one corpus,
# with its own actors, sentences, microphones and idea of how anger sounds; only two corpora of one language could
# take these apart, and the benchmark's other English ones must be asked for or fetched. The two Germanic corpora teach each
# other with {glue:text}`related` %, all other pairs with {glue:text}`foreign` %: one pair, two directions. The
# {glue:text}`n_pairs` cells are no independent trials, since they share corpora and extractors; the intervals are over
# the tested speakers alone, not over who taught. All of it is acted, and three emotions that differ in loudness and
# pitch are the easiest that could be chosen.
