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
# (pipeline)=
# # The pipeline, step by step
#
# From a folder of recordings to one accuracy, on one task and with one extractor. Each step is one call of the
# library.
#
# ```{figure} ../book/_static/pipeline.svg
# :name: fig-pipeline
# :alt: From an utterance to an accuracy: resampling, log-mel spectrogram, frozen extractor, one vector, normalisation by speaker, five classifiers with a grid search, test accuracy.
# :width: 100%
#
# The whole way. Only the classifiers are trained.
# ```

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
task: str = "SAV"
model: str = "opensmile"
protocol: str = "described"

# %% tags=["hide-input"]
import numpy as np

from serab_lib import evaluate, load_extractor, split
from serab_lib.book import tables
from serab_lib.book.plots import PALETTE, PART_COLOURS, emotion_colours, explain, new_figure
from serab_lib.book.plots.grid import plot_confusions
from serab_lib.book.plots.tasks import project_2d
from serab_lib.audio import SAMPLE_RATE_HZ, load_audio, log_mel
from serab_lib.benchmark.embeddings import extract_corpus
from serab_lib.evaluation.protocol import normalise_speakers
from serab_lib.evaluation.significance import confuse
from serab_lib.book.show import record, show_audio, show_figure, show_table
from serab_lib.corpora.splits import PARTS
from serab_lib.book.profile import open_profile

# %% tags=["hide-input"]
data = open_profile(profile)
corpus = data.find_corpus(task)
data.show_origin(corpus)

# %% [markdown]
# ## The recordings
#
# A corpus is a folder. The names of its files say who speaks and which emotion is meant; the library reads them into
# a table with one row per utterance.

# %%
utterances = corpus.utterances
show_table(utterances.drop(columns="path").head(4), name="tbl-utterances", caption="The first utterances.", index=False)

# %% [markdown]
# (hear)=
# ### One voice, one sentence, several emotions
#
# No recording of the real corpora is part of this book ({doc}`11_data_and_licences`). The demo's own small corpora are
# spoken by eSpeak NG, and published rules of emotional prosody {cite}`schroder2001emotional` make the emotions. This is
# what the classifiers below have to tell apart.

# %% tags=["hide-input"]
spoken = open_profile("demo").find_corpus(task).utterances
voice = spoken[spoken["speaker"] == spoken["speaker"].iloc[0]].drop_duplicates("emotion")
show_audio(dict(zip(voice["emotion"], voice["path"], strict=True)))

# %% [markdown]
# ## From sound to a picture of it
#
# Every file is decoded, mixed down to one channel, and resampled to 16 kHz. The BYOL family looks at the logarithm
# of a mel spectrogram: 64 bands between 60 and 7,800 Hz, every 10 ms.

# %%
waveform = load_audio(utterances["path"].iloc[0])
spectrogram = log_mel(waveform)

# %% tags=["hide-input"]
figure, (upper, lower) = new_figure(2, 1, height=4.2, sharex=True, height_ratios=(1, 1.6))
upper.plot(np.arange(len(waveform)) / SAMPLE_RATE_HZ, waveform.numpy(), c=PALETTE[0], lw=0.4, rasterized=True)
upper.set_ylabel("amplitude")
extent = (0, spectrogram.shape[-1] * 0.01, 0, spectrogram.shape[-2])  # a column every 10 ms
image = lower.imshow(spectrogram.numpy(), origin="lower", aspect="auto", extent=extent, cmap="magma")
lower.set(xlabel="time (s)", ylabel="mel band")
lower.grid(visible=False)
figure.colorbar(image, ax=lower, label="log power")
show_figure(
    figure,
    name="fig-audio",
    caption="The first utterance: its waveform, and its log-mel spectrogram.",
    alt="A waveform above a spectrogram with 64 mel bands; harmonics of the voice show as bright stripes.",
    vector=False,
)

# %% [markdown]
# ## One vector per utterance
#
# The extractor is frozen: it was made elsewhere and is not trained here. Whatever an utterance's length, one vector
# comes out. If a simple classifier can read the emotion from that vector, the extractor has represented it; testing
# frozen representations this way is called *linear probing*, though only some of the five classifiers below are linear.
# {doc}`03_baselines` has the list of extractors.
#
# Networks of the BYOL family first standardise the spectrogram with one mean and one standard deviation per task. For
# the paper's corpora these are the constants in the release, which hold for its window of 400 samples. For other
# corpora, such as the synthetic ones, and for another window, they are measured on the training speakers.

# %%
extractor = load_extractor(model)
embeddings = extract_corpus(corpus, extractor).matrix
record(n_utterances=len(embeddings), embedding_size=extractor.embedding_size, extractor=extractor.title)

# %% [markdown]
# *{glue:text}`extractor`* gave {glue:text}`n_utterances` vectors of {glue:text}`embedding_size` numbers.
#
# ## Three sets, no speaker in two of them
#
# The training set fits the classifiers, the validation set chooses among settings, and the test set is for the result.

# %%
parts = split(utterances, corpus.task, protocol)
show_table(
    parts.groupby("part")
    .agg(utterances=("stem", "size"), speakers=("speaker", "nunique"))
    .loc[list(PARTS)]
    .rename_axis("set"),
    name="tbl-parts",
    caption=f"The three sets under the protocol `{protocol}`.",
)

# %% [markdown]
# ## Normalisation by speaker
#
# Pitch, timbre and recording conditions differ between speakers, and a vector describes them along with the emotion.
# What the classifiers learn about the training speakers then fits the test speakers badly. The benchmark reduces this
# difference: it standardises each speaker's embeddings with that speaker's own mean and standard deviation, within each
# set. This uses the test speakers' unlabelled recordings, so it assumes that many utterances of a new speaker are at
# hand, with all emotions among them.

# %%
normalised = normalise_speakers(embeddings, parts["group"], parts["part"])
points = {"as extracted": project_2d(embeddings), "normalised": project_2d(normalised)}

# %% tags=["hide-input"]
figure, axes = new_figure(2, 2, height=6.2)
for row, kind in zip(axes, ("emotion", "speaker"), strict=True):
    names = sorted(parts[kind].unique())
    colours = emotion_colours(names) if kind == "emotion" else dict(zip(names, PALETTE * 9, strict=False))
    for panel, (title, xy) in zip(row, points.items(), strict=True):
        panel.scatter(*xy.T, s=14, c=[colours[name] for name in parts[kind]], linewidths=0)
        panel.set_title(f"{title}, by {kind}", fontsize=10)
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    handles = [explain(name, colour, "o", markersize=4) for name, colour in colours.items()]
    panel.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8, frameon=False)

# %% tags=["hide-input"]
show_figure(
    figure,
    name="fig-maps",
    caption="The embeddings in two dimensions, before and after speaker normalisation: t-SNE puts similar vectors near each other, and its axes mean nothing.",
    alt="Four scatter plots, coloured by emotion and by speaker, before and after speaker normalisation.",
)

# %% [markdown]
# ## Five classifiers
#
# Linear discriminant analysis (LDA), logistic regression (LR), quadratic discriminant analysis (QDA), a random forest
# (RF) and a support vector machine (SVC) are fitted on the training set. The hyperparameters are those that do best on
# the validation set; then each is fitted again on both. *C* says how closely LR and SVC follow the training data, the
# *kernel* of an SVC whether its boundaries are linear or curved. Balanced *class weights* give rare emotions as much
# weight as frequent ones, *max depth* and *min samples split* limit how fine the trees of a forest become, and *reg
# param* smooths what QDA estimates. Under `described` the classifier with the best
# validation accuracy is the one whose test accuracy counts. Ties go to the first in the order of {numref}`tbl-classifiers`,
# in the release as here.

# %%
result = evaluate(embeddings, parts, protocol=protocol, classes=corpus.task.classes)

# %% tags=["hide-input"]
scores = result.scores.assign(
    hyperparameters=[
        ", ".join(
            f"{name.replace('_', ' ')} {format(value, ',g') if isinstance(value, int | float) else value or 'none'}"
            for name, value in each.items()
        )
        or "–"
        for each in result.scores["best_params"]
    ],
    validation=100 * result.scores["validation_accuracy"],
    test=100 * result.scores["test_accuracy"],
    UAR=100 * result.scores["test_uar"],
)

# %% tags=["hide-input"]
figure, axes = new_figure(height=2.8)
scores.plot.bar(y=["validation", "test"], color=PART_COLOURS, width=0.76, edgecolor="white", grid=True, ax=axes)
for bars in axes.containers:
    axes.bar_label(bars, fmt="%.0f", size=8)
axes.set_xticklabels(scores["classifier"] + np.where(scores["selected"], "\n(selected)", ""), rotation=0)
axes.set(ylabel="accuracy (%)", ylim=(0, 109))
axes.grid(axis="x", visible=False)
axes.legend(loc="upper right", ncols=2, frameon=False)
show_figure(
    figure,
    name="fig-classifiers",
    caption="Accuracy of the five classifiers on the validation and the test set, in percent.",
    alt="Two bars per classifier. The selected classifier is marked below its bars.",
)

# %% tags=["hide-input"]
show_table(
    scores[["classifier", "hyperparameters", "validation", "test", "UAR", "selected"]],
    name="tbl-classifiers",
    caption="The five classifiers with their chosen hyperparameters; percent.",
    index=False,
)

# %% [markdown]
# ## Confusions
#
# Which emotions does the selected classifier take for which others?

# %%
chosen = scores.loc[scores["selected"]].iloc[0]
confusions = confuse(result.predictions, chosen["classifier"], classes=corpus.task.classes)

# %% tags=["hide-input"]
tested = parts.loc[parts["part"] == "test", "emotion"]
record(classifier=chosen["classifier"], accuracy=f"{chosen['test']:.1f}", uar=f"{chosen['UAR']:.1f}")
record(n_test=len(tested), level=f"{100 * tested.value_counts(normalize=True).iloc[0]:.1f}")
show_figure(
    plot_confusions({chosen["classifier"]: confusions}),
    name="fig-confusions",
    caption="The selected classifier's test predictions, in percent of each true emotion.",
    alt="A confusion matrix; a dark diagonal means that most utterances are recognised.",
)

# %% [markdown]
# {glue:text}`classifier` is selected and reaches {glue:text}`accuracy` % accuracy and {glue:text}`uar` % unweighted
# average recall on the test set, whose {glue:text}`n_test` utterances are by speakers whom no classifier has heard in
# training. Naming one emotion for all of them would give {glue:text}`level` %.

# %% tags=["hide-input", "real"]
real = tables.list_measured(data.read_measured()).query("protocol == @protocol").sort_values("accuracy")
if len(real):
    least, most = ("{accuracy:.0f} % ({model} on {task})".format(**row) for row in (real.iloc[0], real.iloc[-1]))
    record(least_real=least, most_real=most)

# %% [markdown] tags=["real"]
# These voices follow rules, which makes them easy to read. On real recordings, the same steps give
# {glue:text}`least_real` to {glue:text}`most_real` in the cells measured here.

# %% [markdown]
# `serab run` does all of this for every task and extractor, writes accuracies, predictions and their provenance, and
# never computes a finished cell again. {doc}`05_accuracy_grid` shows what came of it.
