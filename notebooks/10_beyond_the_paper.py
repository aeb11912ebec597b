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
# grid, from the first line to the accuracy.

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
# `name` is the folder below `--data`; `code` is what tables call it. Now both run together, beside the two extractors
# that need no weights.

# %%
cells = data.run("path:mine.toml", ["hear:loudness", "logmel-stats", "opensmile"])

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
# ## More corpora, more models
#
# SUBESCO, 7,000 utterances in Bangla, is in the authors' release and not in the paper: `--tasks SUB`. Models of today
# are one name away, and `--layer` reads another layer than the last:
#
# ```console
# serab fetch wavlm-base-plus
# serab run --tasks SUB --models wavlm-base-plus,hubert-base --layer 9
# ```
