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
# (grid-says)=
# # What the grid says, and what it cannot
#
# The paper draws conclusions from 117 accuracies. Which of them do the numbers carry? This chapter puts intervals on
# the printed grid, tests differences, compares ranks over tasks, and asks the paper's own question: how far can a
# subset of the tasks mislead? Everything is computed from the printed table; simulations are seeded and say how many
# draws they take. It takes about half a minute.

# %% tags=["setup"]
# On Colab, this installs the library; where it is installed, it does nothing.
import importlib.util

if importlib.util.find_spec("serab_lib") is None:
    get_ipython().run_line_magic(
        "pip",
        "install -q 'serab-companion[demo,notebook,stats] @ git+https://github.com/serab-companion/serab-companion'",
    )

# %% tags=["parameters"]
profile: str = "demo"
n_draws: int = 500
n_resamples: int = 5000

# %% tags=["hide-input"]
from serab_lib.book.plots import grid as plots
from serab_lib.audit.tables import recover_test_sizes
from serab_lib.evaluation import rankings, significance
from serab_lib.evaluation.paper import read_accuracies, read_models
from serab_lib.book.show import record, show_figure, show_table
from serab_lib.corpora.task import PAPER_TASKS
from serab_lib.book.profile import open_profile

data = open_profile(profile)
printed, sizes = read_accuracies(), recover_test_sizes()
grid = printed[list(PAPER_TASKS)]

# %% [markdown]
# ## How sure is one accuracy?
#
# With {glue:text}`n_small` test utterances, the smallest test part, an accuracy is known to within
# {glue:text}`widest` points at 95 %. The numbers of test utterances are those that the printed accuracies give away
# ({doc}`07_audit`). Wilson's interval {cite}`wilson1927probable` takes utterances for independent. They come from one
# to five speakers in most tasks, so the truth about *other* speakers is less certain than this.

# %% tags=["hide-input"]
spans = significance.confidence_intervals(printed, sizes)
show_figure(
    plots.plot_intervals(spans),
    name="fig-intervals",
    caption="Every printed accuracy with its 95 % interval. The band is that of the best model of each task.",
    alt="Nine panels with thirteen intervals each; in most panels many intervals overlap that of the best model.",
)
record(n_small=int(sizes.min()), widest=f"{((spans['high'] - spans['low']) / 2).max():.0f}")

# %% [markdown]
# ## Which bold numbers stand out?
#
# Two models are tested on the same utterances, so what matters is who gets which one right. The paper prints only
# totals. For each task, {numref}`fig-bold` shows the whole range of p-values that an exact McNemar test
# {cite}`mcnemar1947note` could give, from the pairing that favours the best model most to the one that favours it
# least.

# %% tags=["hide-input"]
bold = significance.compare_best_with_runner_up(printed, sizes)
show_figure(
    plots.plot_bold(bold),
    name="fig-bold",
    caption="Best model against runner-up: possible p-values. In the grey area a difference can be told from chance.",
    alt="One horizontal range of p-values per task; few ranges reach below 0.05.",
)
show_table(
    bold[["task", "best", "accuracy_best", "runner_up", "accuracy_runner_up", "verdict"]],
    name="tbl-bold",
    wordy=True,
    caption="Best and runner-up of each task, and whether their difference can be told from chance.",
    index=False,
)
record(n_clear=int((bold["verdict"] == "distinguishable").sum()))

# %% [markdown]
# Of the nine best numbers, {glue:text}`n_clear` can be told from the runner-up under every pairing, and that before
# any correction for the number of tasks.
#
# ## Over all tasks
#
# Friedman's test asks whether thirteen models rank alike over nine tasks; Nemenyi's critical difference says how far
# two mean ranks must lie apart {cite}`demsar2006statistical`.

# %% tags=["hide-input"]
ranks = rankings.compare_ranks(grid)
show_figure(
    plots.plot_critical_difference(ranks),
    name="fig-critical",
    caption="Mean ranks over nine tasks, 1 is best. Models under one bar cannot be told apart.",
    alt="A critical-difference diagram; one bar joins all BYOL-derived models, and openSMILE and TRILL with most of them.",
)
record(critical=f"{ranks.critical_difference:.1f}", p_friedman=f"{ranks.p_friedman:.1g}")

# %% [markdown]
# The models do not all rank alike (p = {glue:text}`p_friedman`), but it takes {glue:text}`critical` ranks of
# difference to tell two of them apart. A Bayesian signed-rank test {cite}`benavoli2017time` says the same in another
# way: how probable is it that on a new task one model is better than its neighbour by more than a point?

# %% tags=["hide-input"]
bayes = rankings.compare_neighbours(grid)
for column in ("first_better", "alike", "second_better"):
    bayes[column] = 100 * bayes[column]
show_table(
    bayes,
    name="tbl-bayes",
    caption=f"Neighbours in the order of UM: mean difference in points, and probabilities in percent ({rankings.N_BAYESIAN_DRAWS:,} draws).",
    index=False,
)

# %% [markdown]
# Where the mean difference is small and the probability is not, one task pulls the mean one way while most of the
# others point the other way: signed ranks follow the majority.

# %% [markdown]
# ## Can a few tasks mislead?
#
# The paper says that some tasks differ so much between models that using a subset could bias an evaluation. All 511
# subsets of the nine tasks answer this: how close is the ranking by UM on a subset to that on all?

# %%
every_subset = rankings.rank_subsets(grid)
by_size = rankings.summarise_sizes(every_subset)
redrawn = rankings.bootstrap_subsets(grid, sizes, n_draws=n_draws)

# %% tags=["hide-input"]
show_figure(
    plots.plot_subsets(by_size, redrawn),
    name="fig-subsets",
    caption=f"Agreement of rankings on subsets with that on all nine tasks, also for {n_draws:,} redrawn grids, and how often the best model stays best.",
    alt="Kendall's tau rises with the number of tasks; the band of redrawn test parts lies below it.",
)
record(
    best_kept=f"{100 * every_subset['same_best'].mean():.0f}",
    one_task=f"{by_size.set_index('n_tasks').loc[1, 'tau_mean']:.2f}",
    enough=str(rankings.find_enough_tasks(by_size)),
    noise=f"{redrawn['low'].iloc[-1]:.2f} to {redrawn['high'].iloc[-1]:.2f}",
)

# %% [markdown]
# A single task gives a ranking with a Kendall tau of {glue:text}`one_task` to that on all nine, on average. From
# {glue:text}`enough` tasks on, the mean tau is above 0.9. The best model stays best in {glue:text}`best_kept` % of the
# subsets. But the noise of the test parts is larger than what subsets add: if each accuracy is redrawn with its number
# of utterances, even all nine tasks agree with their own printed ranking only to {glue:text}`noise`.

# %% tags=["hide-input"]
weights = rankings.weigh_tasks(every_subset)
show_figure(
    plots.plot_task_information(weights),
    name="fig-information",
    caption="How much each task tells about the ranking on all: mean tau of subsets with it and without it.",
    alt="One row per task; the tasks differ in how much they add.",
)

# %% [markdown]
# ## Does size help?
#
# The paper finds that larger models and embeddings do better. Over the table as a whole, size goes with family and
# training data; within a family only the size differs, but a family has three members.

# %% tags=["hide-input"]
joined = rankings.join_sizes(printed, read_models(), sizes)
show_figure(
    plots.plot_model_sizes(joined),
    name="fig-sizes",
    caption="UM against parameters and embedding size; lines join a family, bars are 95 % intervals.",
    alt="Two scatter plots. Within families lines rise slowly; intervals overlap.",
)
correlations = rankings.correlate_sizes(joined[joined["family"] != "other"], n_draws=n_resamples)
show_table(
    correlations.round(2).astype({"n_models": int}).map(str),
    name="tbl-sizes",
    caption=f"BYOL-derived models alone: Spearman's correlation of UM with size, 95 % bootstrap and permutation p ({n_resamples:,} draws).",
    index=False,
)
record(n_sure=int((correlations["low"] > 0).sum()))

# %% [markdown]
# Of the two correlations in {numref}`tbl-sizes`, {glue:text}`n_sure` have an interval above zero: with nine models, a
# trend has to be strong to be told from chance.
#
# ## With predictions at hand
#
# For cells that were measured here, predictions are kept, and more can be said. {numref}`tbl-doubt` has three intervals
# of each accuracy. Wilson's and the bootstrap over utterances agree, since both take utterances for independent. The
# bootstrap over speakers asks how it would go with other voices; with so few to draw from it is a lower bound of the
# doubt.

# %% tags=["hide-input"]
measured = data.read_measured()
if len(measured):
    doubt = significance.score_cells(data.measured, n_draws=n_resamples)
    spans = {"low": "Wilson", "low_utterances": "utterances", "low_speakers": "speakers"}
    for low, title in spans.items():
        high = doubt[low.replace("low", "high")]
        doubt[title] = [f"{low:.1f}–{high:.1f}" for low, high in zip(doubt[low], high, strict=True)]
    columns = ["task", "model", "protocol", "accuracy", *spans.values(), "uar"]
    show_table(
        doubt[columns].rename(columns={"uar": "UAR"}),
        name="tbl-doubt",
        caption=f"Every measured cell: accuracy with three 95 % intervals (bootstraps of {n_resamples:,} draws), and unweighted average recall; percent.",
        index=False,
    )

# %% [markdown]
# Differences are tested on the same utterances, with intervals over utterances and over speakers, and Holm's
# correction {cite}`holm1979simple` over the pairs.

# %% tags=["hide-input"]
for task in measured["task"].unique():
    pairs = significance.compare_models(data.measured, task, "described", n_draws=n_resamples)
    pairs["p, Holm"] = pairs["p_holm"].map("{:.2g}".format)
    show_table(
        pairs[["first", "second", "difference", "low", "high", "low_speakers", "high_speakers", "p, Holm"]],
        name=f"tbl-pairs-{task.lower()}",
        caption=f"Measured on {task}, `described`: differences in points, 95 % intervals over utterances and speakers.",
        index=False,
    )

# %% [markdown]
# An accuracy hides which emotions are heard. What is taken for what, and the recall of each emotion, for every
# measured model:

# %% tags=["hide-input"]
for task in measured["task"].unique():
    confusions = significance.confuse_cells(data.measured, task, "described")
    show_figure(
        plots.plot_confusions(confusions),
        name=f"fig-measured-confusions-{task.lower()}",
        caption=f"What is taken for what on {task}, protocol `described`; percent of each true emotion.",
        alt="Confusion matrices, one a model; their diagonals are dark where an emotion is recognised.",
    )
    show_table(
        significance.tabulate_recalls(confusions).round().astype("Int64").reset_index(),
        name=f"tbl-recalls-{task.lower()}",
        caption=f"Recall of each emotion on {task}, protocol `described`, and its mean, the UAR; percent.",
        index=False,
    )
