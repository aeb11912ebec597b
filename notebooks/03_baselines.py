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
# (baselines)=
# # The baselines
#
# Thirteen extractors stand in the paper's grid. They differ in what they see, in how they were trained, and in how
# large their vectors are. This chapter says what each one is and recomputes the paper's table 2 from the networks.
# It takes a few seconds.
#
# ```{figure} ../book/_static/extractors.svg
# :name: fig-extractors
# :alt: The families of extractors: openSMILE functionals, VGGish and YAMNet on spectrogram patches, TRILL, the convolutional BYOL encoder, CvT, log-mel statistics, and transformers on the waveform.
# :width: 100%
#
# The families of extractors. All give one vector per utterance.
# ```
#
# openSMILE
# : No network: 6,373 statistics of pitch, loudness, spectrum and voice quality over time, the ComParE 2016 set
#   {cite}`eyben2010opensmile`. The strongest of the paper's older baselines.
#
# VGGish and YAMNet
# : Convolutional networks trained to name sounds in YouTube videos. They see patches of 0.96 s; the vectors of an
#   utterance's patches are averaged.
#
# TRILL
# : Trained on speech in AudioSet so that neighbouring moments get similar vectors {cite}`shor2020learning`. Layer 19
#   is used, with 12,288 numbers.
#
# BYOL-A
# : A small convolutional network trained without labels: two distorted views of one sound shall get the same vector
#   {cite}`niizumi2021byol`. Mean plus maximum over time make one vector of an utterance.
#
# BYOL-S
# : The paper's own. By the paper, the same recipe on AudioSet's speech alone; {ref}`byol-a-window` says what else differs,
#   and {doc}`04_pretraining` is about it.
#
# BYOL-S/CvT
# : The same again with a convolutional transformer {cite}`wu2021cvt` in place of the convolutional network.
#
# Three more are not in the paper. They need no weights, so each chapter has them:
#
# eGeMAPS
# : 88 functionals of openSMILE's, chosen by hand for voice and emotion {cite}`eyben2016geneva`. The baseline that is
#   used most in the field.
#
# Random BYOL
# : The network of BYOL-S 512 with the random weights that pre-training begins with, from a fixed seed: what
#   pre-training has to beat.
#
# Log-mel statistics
# : Mean and standard deviation of each mel band, without any network.

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
from serab_lib.book.show import record, show_table

# %% [markdown]
# ## Parameters and sizes
#
# The paper prints parameters in millions. Here they are counted in the networks themselves; a test holds each
# number against the instantiated network. Differences above rounding are in VGGish, whose published network has more
# than the paper says, and in YAMNet, of which the benchmark uses everything but the last layer.

# %% tags=["hide-input"]
extractors = tables.describe_extractors()
show_table(
    extractors.set_index("title").drop(columns="licence"),
    name="tbl-extractors",
    caption="The paper's table 2, beside what the networks measure.",
    sortable=True,
)
record(
    vggish=f"{extractors.loc['vggish', 'parameters (M), measured']:.1f}",
    yamnet=f"{extractors.loc['yamnet', 'parameters (M), measured']:.1f}",
)

# %% [markdown]
# VGGish has {glue:text}`vggish` million parameters and YAMNet's trunk {glue:text}`yamnet` million. TRILL's network
# comes as a TensorFlow model; its count appears once the model is loaded. openSMILE has nothing to train.
#
# ## Beyond the paper
#
# Beside the three that need no weights, the library reads more recent models. They were trained on far more speech, and
# are up to five hundred times as large as BYOL-S 512.

# %% tags=["hide-input"]
show_table(
    tables.describe_modern_extractors(),
    name="tbl-modern",
    caption="Extractors that the paper does not have.",
)

# %% [markdown]
# `serab models` lists all of them with what each needs, and `hear:MODULE` runs any package that speaks the HEAR API.
# Licences of the weights are in {doc}`09_data_and_licences`.
