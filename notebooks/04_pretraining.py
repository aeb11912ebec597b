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
# (pretraining)=
# # Pre-training
#
# BYOL-S, the paper's own model, comes out of a training recipe. This chapter shows what the recipe does, runs it at a
# small size, and says what the full run takes.
#
# ```{figure} ../book/_static/byol.svg
# :name: fig-byol
# :alt: Two distorted views of one crop pass through an online and a target network; a predictor on the online side has to predict the target's output; the target follows the online network by a moving average.
# :width: 100%
#
# Bootstrap your own latent, for audio. No labels are used.
# ```
#
# Two views are made of one crop of 0.95 s. The online network has to predict what the target network makes of the
# other view. The target is not trained: it follows the online network slowly {cite}`grill2020bootstrap`. BYOL-A brings this
# to log-mel spectrograms {cite}`niizumi2021byol`. BYOL-S is trained on speech alone, and by a recipe that differs from
# BYOL-A's in other things, too: a window of 400 samples for 1,024, AdamW for Adam, and another library for the
# spectrograms ({ref}`byol-a-window`).

# %% tags=["setup"]
# On Colab, this installs the library; where it is installed, it does nothing.
import importlib.util
import sys

if importlib.util.find_spec("serab_lib") is None:
    source = "git+https://github.com/serab-companion/serab-companion"
    get_ipython().run_line_magic("pip", f"install -q 'serab-companion[demo,notebook,pretrain] @ {source}'")
    importlib.invalidate_caches()
    if importlib.util.find_spec("serab_lib") is None:
        sys.exit("serab-companion was not installed: pip's lines above say why. It needs Python 3.11 or later.")

# %% tags=["parameters"]
profile: str = "demo"
model: str = "byol-s-512"
epochs: int = 4
batch_size: int = 32
hidden_size: int = 512

# %% tags=["hide-input"]
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

# %% tags=["hide-input"]
from serab_lib.book.plots import PALETTE, PAPER_COLOUR, explain, new_figure
from serab_lib.book.plots.pretraining import plot_augmentations
from serab_lib.audio import load_audio
from serab_lib.pretraining.config import PretrainConfig
from serab_lib.pretraining.run import read_probe
from serab_lib.pretraining.train import pretrain
from serab_lib.pretraining.augmentations import illustrate
from serab_lib.pretraining.clips import find_training_part
from serab_lib.evaluation.significance import ALPHA, compare_models, t_interval
from serab_lib.book.show import record, show_figure, show_table
from serab_lib.book.tables import TITLES
from serab_lib.book.profile import open_profile

# %% tags=["hide-input"]
data = open_profile(profile)
corpus = data.find_corpus("EMV")
data.show_origin()

# %% [markdown]
# ## Two views of one sound
#
# First an earlier sound is mixed in with a weight drawn between 0 and 0.4, so that the network learns to attend to what
# stands out. What is mixed are exponentials of the standardised log-mel spectrograms, so the weight is not a share of
# energy. Then the mixture is laid on an empty canvas one and a half times as long, and a random piece of the canvas is
# cut out and resized to the length of the crop. The example is spoken by eSpeak NG.

# %%
waveforms = [load_audio(path) for path in corpus.utterances["path"].iloc[[0, -1]]]
crops, views = illustrate(*waveforms)

# %% tags=["hide-input"]
show_figure(
    plot_augmentations(crops, views),
    name="fig-augmentations",
    caption="A crop and its partner, the earlier sound that is mixed in; the mixtures on their canvas with what is cut out (dashed); and the two views.",
    alt="Six log-mel spectrograms: crop and partner, two mixtures with a dashed rectangle, two resized views.",
    vector=False,
)

# %% [markdown]
# ## A small run
#
# Only recordings of training speakers are used.

# %%
config = PretrainConfig(model=model, epochs=epochs, batch_size=batch_size, hidden_size=hidden_size, device="cpu")
if data.synthetic:
    files = []
    for code in ("EMB", "EMV", "RAV", "SAV"):
        files += find_training_part(code, data.find_corpus(code).root.parent)
    with TemporaryDirectory() as folder:
        logs = {"this run": pretrain(files, folder, config, probe="EMV", data=corpus.root.parent)}
        probe = read_probe(folder)
else:
    kept = data.measured.folder / "pretraining"
    logs = {
        path.stem.removeprefix("log-").replace("-", " "): pd.read_csv(path) for path in sorted(kept.glob("log-*.csv"))
    }
    accuracies = pd.read_csv(kept / "ravdess.csv")

# %% tags=["hide-input"]
figure, (left, middle, right) = new_figure(1, 3, height=3.0)
for (name, log), colour, line in zip(logs.items(), PALETTE, ("-", "--", "-.", ":") * 2, strict=False):
    epochs = log.groupby("epoch")[["step", "loss"]].mean()
    mark = "o" if len(epochs) < 30 else ""
    left.plot(log["step"], log["loss"], color=colour, alpha=0.3, linewidth=0.8)
    left.plot(epochs["step"], epochs["loss"], color=colour, linestyle=line, marker=mark, markersize=3, label=name)
    middle.plot(log["step"], log["embedding_std"], color=colour)
    middle.plot(log["step"], log["projection_std"], color=colour, linestyle=":")
    right.plot(log["step"], log["agreement"], color=colour, linestyle=line)
kinds = [explain("embeddings", "0.3", line="-"), explain("projections", "0.3", line=":")]
middle.legend(handles=kinds, fontsize="small", loc="lower right", frameon=False)
_ = left.legend(fontsize="small", frameon=False)

# %% tags=["hide-input"]
left.set(xlabel="step", ylabel="loss (0 to 8)", ylim=(0, None))
middle.set(xlabel="step", ylabel="standard deviation", ylim=(0, 1.05))
right.set(xlabel="step", ylabel="mean cosine", ylim=(None, 1.02))
titles = ("loss, both directions", "spread (0: collapsed)", "target and online network")
for axis, title in zip((left, middle, right), titles, strict=True):
    axis.set_title(title, fontsize=10)
show_figure(
    figure,
    name="fig-training",
    caption=f"Loss, spread of the embeddings and of the projections (what the loss compares), and agreement of target and online network. {data.origin}",
    alt="The loss falls from step to step while the spread of the embeddings stays away from zero.",
)
record(first_loss=f"{next(iter(logs.values()))['loss'].iloc[0]:.1f}", n_steps=len(next(iter(logs.values()))))

# %% [markdown]
# The loss starts at {glue:text}`first_loss`; a run has {glue:text}`n_steps` steps. A low loss alone says little: a
# network that gives every sound the same vector has the lowest loss of all. So the spread of the embeddings is
# watched, too. If it falls to zero, the run has collapsed, as it does without the predictor {cite}`grill2020bootstrap`.

# %% tags=["hide-input"]
if data.synthetic:
    accuracy = 100 * probe.set_index("epoch")["validation_accuracy"]
    figure, axis = new_figure(height=3.0)
    axis.plot(accuracy, color=PALETTE[0], marker="o", label="this run")
    axis.axhline(accuracy[0], color=PAPER_COLOUR, linestyle="--", label="random weights")
    axis.set(xlabel="epoch", ylabel="validation accuracy on EMV (%)")
    axis.margins(y=0.15)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend(frameon=False)
    show_figure(
        figure,
        name="fig-probe",
        caption="Probe: logistic regression on frozen embeddings, validation accuracy after each epoch. SYNTHETIC corpus.",
        alt="Accuracy of the probe against epochs, with a dashed line for the random weights at the beginning.",
    )

# %% [markdown] tags=["real"]
# ## Does it help?
#
# The runs above trained {glue:text}`small_encoder` on nothing but the training speakers of RAVDESS, without labels,
# on a CPU. Each encoder is then held against the same encoder with the random weights it began with, on RAVDESS's
# test speakers, whom no run has seen. This is in-domain pre-training: same corpus, same two sentences, same
# recordings as those that the classifier learns from. The length and the batch were chosen by validation accuracy on
# another seed and on 16 kHz copies of the recordings; `results/pretraining/tried.csv` has what was tried. These runs
# took {glue:text}`took`, the authors' take 10 to 20 hours by their README, on far more speech.

# %% tags=["hide-input", "real"]
if not data.synthetic:
    cells = data.read_measured().query("selected")
    floor = 100 * cells.query("task == 'RAV' and model == 'logmel-stats'").set_index("protocol")["test_accuracy"]
    runs = accuracies.query("condition != 'gain'").replace({"model": TITLES})
    took = accuracies["seconds"].dropna() / 60
    record(small_encoder=" and ".join(runs["model"].unique()), took=f"{took.min():.0f} to {took.max():.0f} minutes")

# %% tags=["hide-input", "real"]
if not data.synthetic:
    figure, axis = new_figure(height=3.2)
    conditions = {"random": ("random weights", PAPER_COLOUR, "s"), "pretrained": ("pre-trained", PALETTE[0], "o")}
    for condition, (label, colour, marker) in conditions.items():
        own = runs.query("condition == @condition and protocol == 'described'")
        low, middle, high = (100 * own[name] for name in ("low", "accuracy", "high"))
        places = np.arange(len(own)) + (0.08 if condition == "pretrained" else -0.08)
        style = {"fmt": marker, "color": colour, "capsize": 2, "label": label}
        axis.errorbar(places, middle, (middle - low, high - middle), **style)
    axis.axhline(floor["described"], color="0.2", linewidth=1.5, linestyle="--", label="log-mel statistics")
    axis.set_xticks(range(len(own)), own["model"] + "\nseed " + own["seed"].astype(str))
    axis.set(xlim=(-0.5, len(own) - 0.5), ylabel="test accuracy (%)", xlabel="encoder and run")
    axis.grid(axis="x", visible=False)
    axis.legend(frameon=False)

# %% tags=["hide-input", "real"]
if not data.synthetic:
    show_figure(
        figure,
        name="fig-gain",
        caption="Test accuracy on RAVDESS of pre-trained and of random encoders, with 95 % bootstrap intervals over utterances; `described`. Dashed: log-mel statistics.",
        alt="For each seed, the accuracy of the pre-trained and of the random encoder; all random ones lie below the dashed line, the pre-trained ones about it.",
    )

# %% tags=["hide-input", "real"]
if not data.synthetic:
    table = 100 * runs.pivot(index=["protocol", "seed"], columns="condition", values="accuracy")
    table = table[["random", "pretrained"]].rename(columns={"pretrained": "pre-trained"})
    table["gain"] = table["pre-trained"] - table["random"]
    table["log-mel statistics"] = floor.reindex(table.index.get_level_values("protocol")).to_numpy()
    show_table(
        table,
        name="tbl-gain",
        caption="Pre-trained against random weights, by seed, and log-mel statistics on RAVDESS's test speakers; percent and points.",
    )

# %% tags=["hide-input", "real"]
if not data.synthetic:
    record(random_below=int((table["random"] < table["log-mel statistics"]).sum()), n_random=len(table))
    for protocol, own in table.groupby(level="protocol"):
        low, high = t_interval(own["gain"])
        record(**{f"gain_{protocol}": f"{own['gain'].mean():.1f} points ({low:.1f} to {high:.1f})"})
        record(
            **{f"reached_{protocol}": f"{own['pre-trained'].mean():.1f}", f"floor_{protocol}": f"{floor[protocol]:.1f}"}
        )

# %% [markdown] tags=["real"]
# On average over the seeds, pre-training gains {glue:text}`gain_described` under `described` and
# {glue:text}`gain_released` under `released`. The intervals are Student's over three seeds; if one contains 0, or
# touches it, the gain cannot be told from chance. And what is gained is small beside the simplest alternative: the mean
# and standard deviation of each mel band, without any network, give {glue:text}`floor_described` and
# {glue:text}`floor_released` %. The pre-trained encoders reach {glue:text}`reached_described` and
# {glue:text}`reached_released` % on average; {glue:text}`random_below` of {glue:text}`n_random` random encoders of this
# small network stay below the statistics.

# %% [markdown] tags=["real"]
# ## What the released weights are worth
#
# The same can be asked of the checkpoint that the authors released: what does its network give with the random weights
# that training begins with? {numref}`tbl-random` has both beside the mean and standard deviation of each mel band, and
# YAMNet, one of the paper's baselines, on every corpus measured here.

# %% tags=["hide-input", "real"]
if not data.synthetic:
    described = cells.query("protocol == 'described'")
    worth = (100 * described.pivot(index="task", columns="model", values="test_accuracy"))[
        ["byol-s-512", "byol-random-512", "logmel-stats", "yamnet"]
    ]
    show_table(
        worth.set_axis(["BYOL-S, 512", "Random BYOL, 512", "Log-mel statistics", "YAMNet"], axis=1),
        name="tbl-random",
        caption="BYOL-S 512 as released, the same network with random weights, log-mel statistics, and YAMNet; `described`, percent.",
    )

# %% tags=["hide-input", "real"]
if not data.synthetic:
    below = worth.index[worth["yamnet"] <= worth["logmel-stats"]]
    record(
        random_above=f"{(worth['byol-random-512'] - worth['logmel-stats']).mean():.1f}",
        yamnet_below=" and ".join(below) or "no task",
        yamnet_above=f"{(worth['yamnet'] - worth['logmel-stats']).mean():+.1f}",
    )

# %% tags=["hide-input", "real"]
for protocol in ("described", "released") if not data.synthetic else ():
    own = cells.query("protocol == @protocol").pivot(index="task", columns="model", values="test_accuracy")
    gains = 100 * (own["byol-s-512"] - own["byol-random-512"])
    pairs = pd.concat({task: compare_models(data.measured, task, protocol) for task in gains.index})
    pair = pairs[(pairs["first"] == "byol-s-512") & (pairs["second"] == "byol-random-512")]
    sure = pair.index.get_level_values(0)[pair["p_holm"] < ALPHA]
    record(
        **{
            f"worth_{protocol}": f"{gains.min():.1f} ({gains.idxmin()}) to {gains.max():.1f} ({gains.idxmax()})",
            f"sure_{protocol}": ", ".join(sure) or "no task",
        }
    )

# %% [markdown] tags=["real"]
# Pre-training on AudioSet's speech is worth {glue:text}`worth_described` points under `described`, and
# {glue:text}`worth_released` under `released`. By McNemar's test, corrected for all pairs of models as in
# {doc}`07_what_the_grid_says`, that is more than chance in {glue:text}`sure_described` under `described` and in
# {glue:text}`sure_released` under `released`. The random weights are those of one seed. A network that has learnt
# nothing lies {glue:text}`random_above` points above the log-mel statistics on average: random convolutional features
# already carry information. That holds for this network; the CvT of the small runs above lay below them. Log-mel
# statistics are no floor, either: YAMNet, here with weights that were rounded to 8 bits, is at or below them on
# {glue:text}`yamnet_below`, and differs by {glue:text}`yamnet_above` points on average. Under `released` it is ahead of
# them on average ({doc}`05_accuracy_grid`).

# %% tags=["hide-input"]
from serab_lib.extractors.registry import EXTRACTORS

released = [entry for entry in EXTRACTORS.values() if entry.name.startswith("byol-s-")]
files = pd.Series({each.title: each.checkpoints[0].file for each in released})
batches = files.str.extract(r"-bs(\d+)-", expand=False)
record(usual=batches.mode()[0], larger=" and ".join(batches.index[batches == batches.max()]), most=batches.max())

# %% [markdown]
# ## The full run
#
# The release trains for 100 epochs on the speech clips of AudioSet. Its configuration names batches of 256 and two GPUs
# ([SERAB/config.diff](https://github.com/Neclow/SERAB/blob/cc0ebd74014c19ce4fad752afe5dfd374fc7fdb2/SERAB/config.diff)),
# and its README gives 10 to 20 hours, depending on the model. By the names of the checkpoints the batches were of
# {glue:text}`usual`, but of {glue:text}`most` for {glue:text}`larger`. The list of clips is not part of the release, so
# nobody else can train exactly the same model. This command trains by the same recipe on audio of your own, on one device
# or several, and resumes where it was interrupted:
#
# ```console
# serab pretrain AUDIO_FOLDER --model byol-s-512 --out my-encoder --precision bf16 --devices 4
# serab run --tasks all --models path:my-encoder/encoder.pth
# ```
#
# `--crop-start released` cuts every clip at its start. That is what the first public version of BYOL-A does (April 2021),
# because of a reversed sign, and SERAB's checkpoints of May to July 2021 were trained on top of that version. NTT
# corrected it in November 2021 ({doc}`09_audit`). `--no-mixup`, `--no-crop` and `--momentum` are further ablations, which
# the paper does not report.
