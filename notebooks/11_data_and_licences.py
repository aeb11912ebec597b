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
# (licences)=
# # Data and licences
#
# The code of this book is MIT. The corpora and the weights are not ours: each has terms of its own, and none is part
# of the repository or passed on by it. The tables are made from the library's records, which `serab tasks`,
# `serab models` and `serab fetch` show, too.


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
from serab_lib.book import tables
from serab_lib.book.show import show_table

# %% [markdown]
# ## Corpora
#
# *Open* means that anyone can download a corpus from its source; it does not mean that it may be passed on.
# IEMOCAP and SAVEE are available on request only, and the library never fetches them on its own.

# %% tags=["hide-input"]
show_table(
    tables.list_corpus_licences(),
    name="tbl-corpus-licences",
    wordy=True,
    caption="The corpora, their terms, and how to get them.",
)

# %% [markdown]
# ## Weights
#
# NTT's BYOL-A checkpoints are under an evaluation licence: they may be used to evaluate the method, not passed on.
# `serab fetch` shows that licence and asks for `--accept-licence` before it downloads them.

# %% tags=["hide-input"]
show_table(
    tables.list_weight_licences(),
    name="tbl-weight-licences",
    wordy=True,
    caption="The checkpoints, under the names of their released files.",
)

# %% [markdown]
# openSMILE's binary is free for research and other non-commercial use only. eSpeak NG, which speaks the demo's
# corpora, is GPLv3; it is an optional extra, and nothing but the demo uses it.
