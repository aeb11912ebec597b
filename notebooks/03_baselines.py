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
# The paper's grid has thirteen extractors. They differ in their input, in how they were trained, and in the size of their
# vectors. This chapter says what each one is and recomputes the paper's table 2 from the networks.
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
# : No network. Pitch, loudness, spectrum and voice quality are followed over the whole utterance; *functionals*, such as
#   means, percentiles and slopes over time, then sum up each of these curves. The ComParE 2016 set has 6,373 of them
#   {cite}`eyben2010opensmile,schuller2016compare`. By its mean accuracy over the tasks (UM), it is the best of the
#   paper's baselines that are not BYOL-A.
#
# VGGish and YAMNet
# : Convolutional networks trained to name sounds in YouTube videos {cite}`hershey2017cnn,yamnet`. They see patches of
#   0.96 s, which follow one another in VGGish and overlap by half in YAMNet; the vectors of an utterance's patches are
#   averaged.
#
# TRILL
# : Trained on the speech in AudioSet, a large collection of labelled sounds from YouTube {cite}`gemmeke2017audio`, so
#   that neighbouring moments get similar vectors {cite}`shor2020learning`. It comes with NOSS, the benchmark of
#   non-semantic speech from which SERAB takes two tasks and the normalisation by speaker. Layer 19 is used, with
#   12,288 numbers.
#
# BYOL-A
# : From researchers of NTT: a small convolutional network trained without labels to give the same vector to two
#   distorted views of one sound {cite}`niizumi2021byol`. The mean over time plus the maximum over time is the vector
#   of an utterance.
#
# BYOL-S
# : The paper's own. The paper describes it as BYOL-A trained on AudioSet's speech alone. In the code more differs: the
#   window of the spectrogram, the optimiser, and the library that computed the spectrograms ({ref}`byol-a-window`). So a
#   difference between the two need not be due to speech. {doc}`04_pretraining` is about the recipe.
#
# BYOL-S/CvT
# : The same recipe with a convolutional transformer {cite}`wu2021cvt` in place of the convolutional network. Two of the
#   three were trained with batches of 512, all other BYOL-S models with 256 ({doc}`04_pretraining`).
#
# Three more are not in the paper. They need no weights, so anyone can run them:
#
# eGeMAPS
# : 88 functionals of openSMILE's, chosen by hand for voice and emotion {cite}`eyben2016geneva`. A common baseline
#   in the field.
#
# Random BYOL
# : The network of BYOL-S 512 with the random weights that pre-training begins with, from a fixed seed: what
#   pre-training has to beat.
#
# Log-mel statistics
# : Mean and standard deviation of each mel band, without any network. A simple reference, but no floor:
#   {doc}`05_accuracy_grid` shows where YAMNet is below it.
#
# NTT's BYOL-A weights were trained through a window of 1,024 samples, and the released evaluation makes all spectrograms
# through 400. Under `released`, BYOL-A is therefore run through 400, with the release's statistics, and under `described`
# through 1,024, with statistics measured through that window on the training speakers. The release's statistics hold for
# 400 samples only.

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
# comes as a TensorFlow model and was not counted. openSMILE has nothing to train.
#
# Has any of them heard the test recordings before? Those that are trained, are trained on sounds of YouTube videos or on
# read speech, by the papers and pages that the tables link to; none of these names one of the corpora here, and a cell
# whose corpus a model is known to have heard would be marked. That is not proof: the clips that BYOL-S was trained on
# are not published, and nobody has compared AudioSet's clips with the corpora.
#
# ## More recent extractors
#
# Besides the three that need no weights, the library runs more recent models. The largest has {glue:text}`largest` times
# as many parameters as BYOL-S 512.

# %% tags=["hide-input"]
modern = tables.describe_modern_extractors()
show_table(modern, name="tbl-modern", caption="Extractors that the paper does not have.")
record(largest=f"{modern['parameters (M)'].max() / extractors.loc['byol-s-512', 'parameters (M), measured']:.0f}")

# %% [markdown]
# `serab models` lists all of them with what each needs, and `hear:MODULE` runs any package that speaks the HEAR API.
# Licences of the weights are in {doc}`11_data_and_licences`.
