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
# (beyond)=
# # Beyond the paper: your extractor, your corpus
#
# A benchmark is useful if you can add your own model to it. This chapter adds a new extractor and a new corpus to the
# grid, from the first line to the accuracy, and shows how your row gets into this book.

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

from serab_lib import check_extractor, load_extractor
from serab_lib.book import tables
from serab_lib.benchmark.embeddings import extract_corpus
from serab_lib.book.show import record, show_table
from serab_lib.book.profile import open_profile

data = open_profile(profile)
corpus = data.find_corpus("EMV")
data.show_origin(corpus)

# %% [markdown]
# ## An extractor of your own
#
# Any Python module with the HEAR API {cite}`turian2022hear` can be evaluated: it has `load_model`,
# `get_scene_embeddings`, and a model that knows its sample rate and the size of its embedding. This one uses nothing but
# loudness over time.

# %%
# %%writefile loudness.py
import torch


class Loudness(torch.nn.Module):
    sample_rate, scene_embedding_size, timestamp_embedding_size = 16_000, 5, 5


def load_model(path=""):
    return Loudness()


def get_scene_embeddings(audio, model):  # (n, samples) -> (n, 5)
    level = audio.unfold(1, 400, 160).square().mean(-1).add(1e-9).log()  # (n, frames)
    return torch.quantile(level, torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]), dim=1).T


# %%
extractor = load_extractor("hear:loudness")
check_extractor(extractor)
embeddings = extract_corpus(corpus, extractor).matrix
embeddings.shape

# %% [markdown]
# `check_extractor` raises an error where an extractor breaks a promise: an utterance must get the same vector alone and
# in any batch, today and tomorrow, and numbers must be finite on silence, on 0.1 s, on clipped and on long audio.
#
# `hear:loudness` works wherever the name of an extractor is expected, on the command line too:
#
# ```console
# serab run --tasks RAV,EMB --models hear:loudness,byol-s-512 --protocol both
# ```
#
# A package that you have installed, such as `hearbaseline` or `serab_byols`, is used by its own name, with its weights
# after an `@`. A checkpoint with the tensors of BYOL-A or BYOL-S/CvT needs no code at all: `path:encoder.pth`. For
# speed, add it to the library; `CONTRIBUTING.md` says how.
#
# ## A corpus of your own
#
# A corpus is a folder of recordings whose file names give the speaker and the emotion. Describe the names in a small
# TOML file. Here we take the folder of EMOVO as if it were new.

# %%
# %%writefile mine.toml
code = "MINE"
name = "emovo"
pattern = "(?P<emotion>[a-z]{3})-(?P<speaker>[fm]\\d)-\\w\\d"

[emotions]
rab = "anger"
gio = "happiness"
tri = "sadness"
neu = "neutral"
dis = "disgust"
sor = "surprise"
pau = "fear"

# %% [markdown]
# `name` is the folder below `--data`; `code` is what tables call it. Now both run together, beside an extractor that
# needs no weights.

# %%
cells = data.run("path:mine.toml", ["hear:loudness", "logmel-stats"])

# %% tags=["hide-input"]
show_table(
    tables.mark_best(tables.accuracy_grid(cells, "described")),
    name="tbl-mine",
    caption="A corpus and an extractor of one's own in the grid; accuracy on test in percent. SYNTHETIC corpus.",
)
listed = tables.list_measured(cells)
show_table(listed.drop(columns="protocol"), name="tbl-mine-cells", caption="The same cells in full.", index=False)
record(best=listed["model"].iloc[0], n_test=int(listed["n test"].iloc[0]))

# %% [markdown]
# Among {glue:text}`n_test` test utterances, *{glue:text}`best`* does best. What to report of a model of your own:
#
# - the protocol `described`, which chooses nothing by its result on the test set;
# - accuracy *and* unweighted average recall, with their intervals;
# - which tasks are complete, since a mean over some of the nine is not comparable ({doc}`07_what_the_grid_says`);
# - the folder that `--out` wrote: it holds predictions and provenance, so others can test differences to their model.
#
# (contribute)=
# ## Your row in the grid
#
# What you measured on the corpora as they were released can stand in this book, under your name. `serab submit` takes
# one model's cells out of the folder that `--out` wrote, and adds who measured what and what the model was trained on:
#
# ```console
# serab run --tasks RAV,EMB --models hear:loudness --protocol all --out my-results
# serab submit --results my-results --model hear-loudness --title Loudness --by Ada --source https://example.org/loudness --trained-on nothing --trained-on-source https://example.org/loudness
# ```
#
# This writes `results/contributed/hear-loudness/`, with `cells.csv`, `predictions/`, `provenance.json` and
# `contribution.toml`; a pull request adds it. `--heard RAV`, which may be repeated, says that a corpus is part of what
# the model was trained on: tables mark such cells.
#
# A row has to hold by itself. Before it is written, in the tests, and whenever this book is built,
#
# - its test utterances must be those of the published split, fold by fold under `rotated`, each predicted once;
# - their speakers and emotions must be those of the published lists;
# - every accuracy, UAR and macro-F1 must follow from the predictions, and the reported classifier from the protocol;
# - the corpora must be real and complete, and the hyperparameters searched.
#
# One altered prediction is enough to be refused, with a line that says which cell it is. The names of IEM4's utterances
# may not be published: they are left out, and speakers and emotions are counted in their place.

# %% [markdown] tags=["real"]
# ### An example: an encoder of voices
#
# Resemblyzer ([0.1.4](https://pypi.org/project/Resemblyzer/0.1.4/), Apache 2.0) tells speakers apart; its weights are
# inside the package. By its author's word it was trained on
# [LibriSpeech, VoxCeleb1 and VoxCeleb2](https://github.com/resemble-ai/Resemblyzer/issues/3), with a loss that brings
# the vectors of one speaker together and knows nothing of emotions {cite}`wan2018generalized`. None of the three is a
# corpus of the benchmark. The package does not speak the HEAR API;
# [a short module](https://github.com/serab-companion/serab-companion/blob/main/results/contributed/hear-resemblyzer_hear/resemblyzer_hear.py)
# does so for it. The encoder gets the audio as every extractor does, without the package's own preprocessing, which
# raises the volume and cuts pauses.
#
# ```console
# pip install librosa webrtcvad-wheels
# pip install --no-deps Resemblyzer==0.1.4
# PYTHONPATH=results/contributed/hear-resemblyzer_hear serab run --tasks RAV --models hear:resemblyzer_hear --protocol all --out my-results
# ```
#
# Unlike those above, the numbers of {numref}`tbl-guest` come from real recordings.

# %% tags=["hide-input", "real"]
measured = [tables.list_measured(data.read_measured()), tables.list_contributed(data.measured.folder)]
every = pd.concat(measured).drop_duplicates(["task", "model", "protocol"])
rows = every[every["task"] == "RAV"].pivot(index="model", columns="protocol", values="accuracy")
level = (100 * tables.describe_splits().loc[["RAV"], "majority"]).unstack("protocol")
beside = pd.concat([level.set_axis(["Majority level"]), rows]).rename_axis("model").sort_values("described")
if not data.synthetic:
    show_table(
        tables.mark_best(beside),
        name="tbl-guest",
        caption="RAVDESS as released: accuracy on test in percent, contributed rows beside those of this book. "
        "Measured on real recordings.",
    )

# %% tags=["hide-input", "real"]
guest = next((model for model in every["model"] if model.startswith("Resemblyzer")), "none")
chosen = every[every["protocol"] == "described"]
places = chosen.pivot(index="model", columns="task", values="accuracy").rank(ascending=False, method="min")
own, told = chosen[chosen["model"] == guest].set_index("task"), beside["described"].map("{:.1f} %".format).to_dict()
record(guest=told.get(guest, "not measured"), interval=own["interval"].get("RAV", "–"), level=told["Majority level"])
record(
    n_models=len(places),
    places=", ".join(f"{place:.0f} on {task}" for task, place in places.reindex([guest]).iloc[0].items()),
)
names = {"byol": "byol-s-512", "opensmile": "opensmile", "random": "byol-random-512", "statistics": "logmel-stats"}
record(**{each: told.get(tables.TITLES[name], "not measured") for each, name in names.items()})

# %% [markdown] tags=["real"]
# Under `described` the encoder of voices names the right emotion of {glue:text}`guest` of RAVDESS's test utterances (95 %
# interval {glue:text}`interval`), where the most frequent emotion makes up {glue:text}`level`. Log-mel statistics have
# {glue:text}`statistics`, a network with random weights {glue:text}`random`, openSMILE {glue:text}`opensmile`, and
# BYOL-S 512 {glue:text}`byol`. Its place by accuracy among the {glue:text}`n_models` models measured so is
# {glue:text}`places`. Vectors that were made to tell voices apart tell emotions, too; normalising them speaker by speaker
# may help, since it takes out what is constant in a voice. How well they do depends on the corpus. Which differences
# between this book's own rows are more than chance is told by {doc}`07_what_the_grid_says`; all contributed rows stand
# in {ref}`contributed`.

# %% [markdown]
# ## More corpora, more models
#
# SUBESCO, 7,000 utterances in Bangla, is in the authors' release and not in the paper: `--tasks SUB`. Models of today
# are one name away, and `--layer` reads another layer than the last:
#
# ```console
# serab fetch wavlm-base-plus
# serab run --tasks SUB --models wavlm-base-plus,hubert-base --layer 9
# ```
