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
# # What the grid says, and what it cannot say
#
# The paper draws its conclusions about models from 117 accuracies. {doc}`06_claims` gives each conclusion a verdict; here
# are the methods and the figures behind them. This chapter puts intervals on the printed grid, tests the contrasts that
# the paper makes, compares ranks over tasks, and asks the paper's own question: how far can a subset of the tasks
# mislead? All of it but the last section is computed from the printed table; simulations are seeded and say how many
# draws they take.

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
n_draws: int = 2000

# %% tags=["hide-input"]
from itertools import combinations, zip_longest

import pandas as pd

from serab_lib.book.plots import grid as plots, name_rows, new_figure, put_legend_above
from serab_lib.audit.measurements import read_measurement
from serab_lib.audit.tables import check_means, recover_test_sizes
from serab_lib.evaluation import rankings, significance
from serab_lib.evaluation.paper import read_accuracies, read_models
from serab_lib.book.show import record, show_figure, show_table
from serab_lib.book.tables import TITLES
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import cut_folds
from serab_lib.corpora.task import PAPER_TASKS, TASKS, get_task
from serab_lib.book.profile import open_profile

# %% tags=["hide-input"]
data = open_profile(profile)
printed, sizes = read_accuracies(), recover_test_sizes()
grid = printed[list(PAPER_TASKS)]
means = check_means(printed, sizes).pivot(index="model", columns="mean", values="computed")[["UM", "WM", "GM"]]
byol = list(grid.index[grid.index.str.startswith("BYOL")])

# %% [markdown]
# ## How sure is one accuracy?
#
# With {glue:text}`n_small` test utterances, the smallest test set, an accuracy is known to within
# {glue:text}`narrowest` to {glue:text}`widest` points at 95 %. The numbers of test utterances are those that the printed accuracies imply
# ({doc}`09_audit`). Wilson's interval {cite}`wilson1927probable` takes utterances for independent. They come from one
# to five speakers in most tasks, so the truth about *other* speakers is less certain than this. Two intervals that
# overlap do not make two models equal, either: both were tested on the same utterances, and what is hard for one is
# often hard for the other. That asks for a paired test.

# %% tags=["hide-input"]
spans = significance.confidence_intervals(printed, sizes)
show_figure(
    plots.plot_intervals(spans),
    name="fig-intervals",
    caption="Every printed accuracy with its 95 % interval. The band is that of the best model of each task.",
    alt="Nine panels with thirteen intervals each; in most panels many intervals overlap that of the best model.",
)
small = spans[spans["n"] == sizes.min()]
widths = (small["high"] - small["low"]) / 2
record(n_small=int(sizes.min()), narrowest=f"{widths.min():.0f}", widest=f"{widths.max():.0f}")

# %% [markdown]
# ## Which bold numbers stand out?
#
# In a paired test it matters who gets which utterance right. The paper prints only totals. For each task,
# {numref}`fig-bold` shows the whole range of p-values that an exact McNemar test {cite}`mcnemar1947note` could give,
# from the pairing of right answers that favours the better model most to the one that favours it least.

# %% tags=["hide-input"]
bold = significance.compare_best(printed, sizes).replace(" and ", "; ", regex=True)
show_figure(
    plots.plot_bold(bold),
    name="fig-bold",
    caption="Best model against runner-up: possible p-values. In the grey area a difference can be told from chance. Orange: Fisher's test, as if each model had been tested on other utterances.",
    alt="One horizontal range of p-values per task; one range reaches below 0.05.",
)

# %% tags=["hide-input"]
show_table(
    bold[["task", "best", "accuracy_best", "other", "accuracy_other", "verdict"]].set_axis(
        ["task", "best", "accuracy", "runner-up", "its accuracy", "verdict"], axis=1
    ),
    name="tbl-bold",
    wordy=True,
    caption="Best and runner-up of each task, and whether their difference can be told from chance.",
    index=False,
)

# %% tags=["hide-input"]
rivals = significance.compare_best(printed.loc[[*byol, "openSMILE"]], sizes, rival="openSMILE")
show_figure(
    plots.plot_bold(rivals),
    name="fig-rivals",
    caption="The best BYOL-derived model of each task against openSMILE: possible p-values, as in the figure before.",
    alt="One range of p-values per task; those of CREMA-D and ShEMO lie below 0.05 as a whole, that of EmoDB above.",
)
verdicts = {"n_clear": (bold, "distinguishable"), "clear_rivals": (rivals, "distinguishable")}
verdicts |= {"pairing": (bold, "depends on the pairing"), "pairing_rivals": (rivals, "depends on the pairing")}
tasks = {name: table["task"][table["verdict"] == verdict].tolist() for name, (table, verdict) in verdicts.items()}
emb = rivals.set_index("task").loc["EMB"]
record(**{name: ", ".join(found) or "none" for name, found in tasks.items()})
record(n_pairing=len(tasks["pairing_rivals"]), emb_lead=int(emb["k_other"] - emb["k_best"]), emb_n=int(emb["n"]))

# %% [markdown]
# Tasks whose best number can be told from the runner-up's under every pairing: {glue:text}`n_clear`. In
# {glue:text}`pairing` it depends on the pairing; all others cannot be told apart, and that before any correction for
# the number of tasks. The runner-up is nearly always another BYOL-derived model, so this is the hardest contrast to
# win. Against openSMILE ({numref}`fig-rivals`), the best BYOL-derived model stands out under every pairing in
# {glue:text}`clear_rivals`, and in {glue:text}`n_pairing` more tasks under some pairings. In EmoDB openSMILE leads, by
# {glue:text}`emb_lead` of {glue:text}`emb_n` utterances, which is nothing. Here the best of nine was picked, which
# favours the BYOL-derived models.
#
# ## Does training on speech help?
#
# The paper's central claim is that BYOL-S consistently improves on BYOL-A. Like for like, at equal sizes of the
# embedding, task by task and by the three means over tasks (UM, unweighted; WM, weighted by the number of test
# utterances; GM, geometric):

# %% tags=["hide-input"]
like = {str(size): (f"BYOL-S, {size}", f"BYOL-A, {size}") for size in (512, 1024, 2048)}
contrasts = rankings.compare_pairs(grid, means, [*like.values(), ("BYOL-S, 2048", "BYOL-S/CvT, 2048")])
titles = [
    f"{int(size):,} (UM {step:+.1f})".replace("-", "−") for size, step in zip(like, contrasts["UM"], strict=False)
]
show_figure(
    plots.plot_contrasts(grid, dict(zip(titles, like.values(), strict=True))),
    name="fig-like",
    caption="BYOL-S minus BYOL-A at equal sizes of the embedding, task by task.",
    alt="Three panels of nine differences each; at 512 and 2,048 most are above 0, at 1,024 half of them.",
)

# %% tags=["hide-input"]
show_table(
    contrasts.assign(p=contrasts["p"].map("{:.3f}".format), **contrasts[["UM", "WM", "GM"]].map("{:+.2f}".format)),
    name="tbl-contrasts",
    caption="The first minus the second: means over tasks in points, recomputed from the nine accuracies; tasks up, down and equal; p of the exact Wilcoxon test; and how much of the Bayesian posterior is for *better* by more than a point, *alike*, and *worse*, in percent.",
    index=False,
)

# %% tags=["hide-input"]
steps = contrasts[["UM", "WM", "GM"]].map("{:+.2f}".format)
record(**{f"like_{size}": steps["UM"][row] for row, size in enumerate(like)})
record(like_wm=", ".join(steps["WM"][:3]), like_gm=", ".join(steps["GM"][:3]))
record(**{f"like_{name}": int(contrasts[name][:3].sum()) for name in ("up", "down", "equal")})
record(like_p=", ".join(contrasts["p"][:3].map("{:.2f}".format)), cvt_p=f"{contrasts['p'][3]:.2f}")
record(like_most=f"{contrasts[['UM', 'WM', 'GM']][:3].max(axis=None):.1f}", cvt_gain=f"{-contrasts['UM'][3]:+.2f}")
record(cvt=", ".join(f"{step} of {mean}" for mean, step in steps.iloc[3].items()))

# %% [markdown]
# **Not consistently.** By UM the steps from BYOL-A to BYOL-S are {glue:text}`like_512`, {glue:text}`like_1024` and
# {glue:text}`like_2048` points at 512, 1,024 and 2,048; by WM {glue:text}`like_wm`; by GM {glue:text}`like_gm`.
# BYOL-S is ahead in {glue:text}`like_up` of the 27 pairs of cells and behind in {glue:text}`like_down`
# ({glue:text}`like_equal` are equal). Over nine tasks the differences have p = {glue:text}`like_p`. So by WM BYOL-S
# is ahead at every size, and by UM and GM at 512 and 2,048 but not at 1,024. The paper's conclusion speaks of almost 3 %;
# the largest step is {glue:text}`like_most` points. What puts BYOL-S ahead need not be the speech: the released code also
# gives BYOL-A spectrograms through another window than it was trained with ({ref}`byol-a-window`).
#
# BYOL-S 2048, which the paper calls the best, is first by all three means. It leads the largest CvT by {glue:text}`cvt`
# points (p = {glue:text}`cvt_p`). So CvT brings no clear gain, as the paper says, and which of the two would be ahead on
# other tasks is open.
#
# The last three columns are posterior means of a Bayesian signed-rank test {cite}`benavoli2017time`. It compares the
# averages of any two tasks, with a point of difference counting as practically equivalent. They are shares of such
# comparisons, not the probability of a win on a new task. The prior weighs as half a task on which both models are
# equal; every task counts alike, whatever the size of its test set.
#
# ## Does size help?
#
# The paper says that larger embeddings and models improve the proposed approaches, as a rule. These are BYOL-S and
# BYOL-S/CvT, in three sizes each; {numref}`tbl-sizes` has every step up, and those of BYOL-A for comparison.

# %% tags=["hide-input"]
families = {"BYOL-S": (512, 1024, 2048), "BYOL-S/CvT": (256, 512, 2048), "BYOL-A": (512, 1024, 2048)}
ladder = [
    (f"{family}, {larger}", f"{family}, {smaller}")
    for family, own in families.items()
    for smaller, larger in combinations(own, 2)
]
climb = rankings.compare_pairs(grid, means, ladder)
show_table(
    climb[["first", "second", "UM", "WM", "GM", "up", "down", "equal"]]
    .rename(columns={"first": "larger", "second": "smaller"})
    .assign(**{name: climb[name].map("{:+.2f}".format) for name in ("UM", "WM", "GM")}),
    name="tbl-sizes",
    caption="The larger minus the smaller: means over tasks in points, and tasks up, down and equal.",
    index=False,
)

# %% tags=["hide-input"]
proposed = climb[climb["first"].str.startswith("BYOL-S")]
show_figure(
    plots.plot_model_sizes(rankings.join_sizes(printed, read_models(), sizes)),
    name="fig-sizes",
    caption="UM against parameters and size of the embedding; lines join a family, bars are 95 % intervals.",
    alt="Two scatter plots. The lines of BYOL-S and BYOL-S/CvT rise, that of BYOL-A rises and falls; intervals overlap.",
)
record(all_rise="rise" if (proposed[["UM", "WM", "GM"]] > 0).all(axis=None) else "do not all rise")
record(steps_up=int(proposed["up"].sum()), steps_down=int(proposed["down"].sum()), n_steps=9 * len(proposed))
record(first_step=f"{climb['UM'][0]:.2f}", last_step=f"{climb['UM'][2]:.2f}", byol_a_step=f"{climb['UM'][8]:+.2f}")

# %% [markdown]
# For the proposed models the claim holds in the table: UM, WM and GM {glue:text}`all_rise` with size in both families,
# and {glue:text}`steps_up` of {glue:text}`n_steps` pairs of cells go up, {glue:text}`steps_down` down. If all orders
# were equally likely, two families of three would both come out in order once in 36 times. The steps are unequal,
# though: from 512 to 1,024 BYOL-S gains {glue:text}`first_step` points of UM, which is nothing, and from 1,024 to 2,048
# {glue:text}`last_step`. For BYOL-A, which the paper did not train, it does not hold: from 1,024 to 2,048 UM changes by
# {glue:text}`byol_a_step`. And size does not come alone: by the names of the released checkpoints
# ([SERAB/checkpoints](https://github.com/Neclow/SERAB/tree/main/SERAB/checkpoints)), two of the three CvTs were trained
# with batches of 512, the largest one with 256.
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
    caption="Mean ranks over nine tasks, 1 is best. Models under one bar are not separated by Nemenyi's test.",
    alt="A critical-difference diagram; one bar joins all BYOL-derived models, and openSMILE and TRILL with most of them.",
)
separated = ranks.p_pairs.loc[byol, grid.index.difference(byol)] < ranks.alpha
record(
    critical=f"{ranks.critical_difference:.1f}",
    p_friedman="< 0.001" if ranks.p_friedman < 0.001 else f"= {ranks.p_friedman:.3f}",
)
record(n_separated=int(separated.to_numpy().sum()), n_cross=separated.size)
record(**{f"from_{name.split(',')[0].lower()}": int(n) for name, n in separated.sum().items()})
record(from_none=" and ".join(separated.index[~separated.any(axis=1)]))

# %% tags=["hide-input"]
against = rankings.compare_pairs(grid, means, [(model, "openSMILE") for model in byol[::-1]])
signed = against.assign(**{name: against[name].map("{:+.2f}".format) for name in ("UM", "WM", "GM")})
show_table(
    signed.assign(p=against["p"].map("{:.3f}".format)).drop(columns="second").rename(columns={"first": "model"}),
    name="tbl-opensmile",
    caption="Each BYOL-derived model minus openSMILE; columns as in the table of BYOL-S minus BYOL-A.",
    index=False,
)
record(n_wilcoxon=int((against["p"] < significance.ALPHA).sum()), least_wm=signed["WM"][against["WM"].idxmin()])
record(n_ahead=int((against[["UM", "WM", "GM"]] > 0).all(axis=1).sum()))

# %% tags=["hide-input"]
baselines = grid.index.difference([*byol, "openSMILE"])
others = rankings.compare_pairs(grid, means, [(model, baseline) for baseline in baselines for model in byol])
least = others.groupby(others["second"].str.split(",").str[0].str.lower())["UM"].min()
record(**{f"least_{name}": f"{lead:.1f}" for name, lead in least.items()})
record(others_up=int(others["up"].sum()), others_down=int(others["down"].sum()), others_n=9 * len(others))
record(others_ahead="are" if (others[["UM", "WM", "GM"]] > 0).all(axis=None) else "are not all")

# %% [markdown]
# The models do not all rank alike (p {glue:text}`p_friedman`), but it takes {glue:text}`critical` ranks of
# difference to separate two of them. Of the {glue:text}`n_cross` pairs of a BYOL-derived model and another one,
# {glue:text}`n_separated` are: {glue:text}`from_yamnet` of the 9 from YAMNet, {glue:text}`from_vggish` from VGGish,
# {glue:text}`from_trill` from TRILL and {glue:text}`from_opensmile` from openSMILE; {glue:text}`from_none` from none.
# That is not equality. Nine tasks have little power for 78 pairs, and in ranks CaFE's 216 test utterances weigh as much
# as CREMA-D's 1,556.
#
# By the means the paper's statement holds: all nine {glue:text}`others_ahead` above TRILL, VGGish and YAMNet by UM, WM
# and GM. By UM they are at least {glue:text}`least_trill`, {glue:text}`least_vggish` and {glue:text}`least_yamnet`
# points ahead; of {glue:text}`others_n` pairs of cells {glue:text}`others_up` go up and {glue:text}`others_down` down.
#
# The paper's own contrast with openSMILE needs no such correction for pairs that nobody asked about
# ({numref}`tbl-opensmile`). {glue:text}`n_ahead` of the 9 BYOL-derived models lead it by all three means, the least by
# {glue:text}`least_wm` points of WM; for {glue:text}`n_wilcoxon` of them Wilcoxon's test over the nine tasks stays
# below 0.05.

# %% [markdown]
# ## Can a few tasks mislead?
#
# The paper says that some tasks differ so much between models that using a subset could bias an evaluation. All 511
# subsets of the nine tasks answer this. A subset is part of the whole, so that its ranking by UM has to approach the
# one on all nine as it grows. The fair question is how well it agrees with the tasks that were *left out*.

# %%
models = {"all models": list(grid.index), "BYOL-derived": byol}
subsets = {name: rankings.rank_subsets(grid.loc[own]) for name, own in models.items()}
by_size = {name: rankings.summarise_sizes(table) for name, table in subsets.items()}
redrawn = rankings.redraw_rankings(grid, sizes, n_draws=n_draws)

# %% tags=["hide-input"]
show_figure(
    plots.plot_subsets(by_size, redrawn),
    name="fig-subsets",
    caption=f"Mean agreement of rankings on subsets with those on the other tasks and on all, and how often the best model stays best. Square: {n_draws:,} redrawn grids, whose mistakes are correlated by {rankings.CORRELATION} between models.",
    alt="Kendall's tau to the tasks left out is flat, near 0.6 for all models and near 0.2 for the BYOL-derived ones; tau to all tasks rises to 1.",
)
rest = {name: table.set_index("n_tasks")["tau_rest"] for name, table in by_size.items()}
record(rest_one=f"{rest['all models'][1]:.2f}", rest_four=f"{rest['all models'][4]:.2f}")
record(rest_eight=f"{rest['all models'][8]:.2f}", halves=f"{rest['BYOL-derived'][4]:.2f}")
record(best_kept=f"{100 * subsets['all models']['same_best'].mean():.0f}")
low, high = pd.Series(redrawn).quantile([0.025, 0.975])
record(noise=f"{redrawn.mean():.2f} ({low:.2f} to {high:.2f})", correlation=rankings.CORRELATION)

# %% [markdown]
# It does not rise at all: Kendall's tau to the tasks left out is {glue:text}`rest_one` for one task,
# {glue:text}`rest_four` for four and {glue:text}`rest_eight` for eight. Most of that is due to VGGish and YAMNet, which
# are last nearly everywhere. Among the nine BYOL-derived models, two halves of the tasks, four and five, agree with a
# tau of {glue:text}`halves`. So the paper's warning is right, and it concerns all nine tasks, too: they separate groups
# of models, but nine other tasks need not order the BYOL-derived ones in the same way. The best model is best, alone or
# with another, on {glue:text}`best_kept` % of the subsets.
#
# {numref}`tbl-subset` is for trying it out. On the site, tasks can be left out, and the models take their places by what
# remains: on the tasks in English alone, for instance.

# %% tags=["hide-input"]
ranking = pd.DataFrame({"rank": means["UM"].rank(ascending=False).astype(int), "UM": means["UM"]}).sort_values("rank")
show_table(
    ranking.join(grid),
    name="tbl-subset",
    caption="The models by UM, the mean over the chosen tasks, which are all nine at first; percent, as printed.",
)

# %% [markdown]
# Other test utterances would change the ranking as well. If every accuracy is redrawn with its number of utterances,
# and mistakes that are correlated between models by {glue:text}`correlation` (near what is measured in
# {doc}`09_audit`), the ranking on all nine tasks agrees with the printed one with a tau of {glue:text}`noise`.
#
# The paper names EMOVO, SAVEE and EmoDB as the tasks on which models differ much. Some of that is noise: on a small test
# set equal models differ, too. {numref}`fig-spread` has both for the BYOL-derived models.

# %% tags=["hide-input"]
spread = rankings.measure_spread(grid.loc[byol], sizes)
show_figure(
    plots.plot_task_spread(spread),
    name="fig-spread",
    caption=f"How much the nine BYOL-derived models differ, and how much equal ones would from chance alone, with mistakes that are independent or correlated by {rankings.CORRELATION}.",
    alt="One row per task. For CREMA-D and EMOVO the models differ by more than chance; for the others they do not.",
)
record(**{f"spread_{task.lower()}": f"{value:.1f}" for task, value in spread["spread"].items()})
record(
    **{f"noise_{row.Index.lower()}": f"{row.correlated:.1f} to {row.independent:.1f}" for row in spread.itertuples()}
)
record(more_than_chance=" and ".join(spread.index[spread["spread"] > spread["independent"]]))

# %% [markdown]
# Only in {glue:text}`more_than_chance` do they clearly differ by more than chance gives. EMOVO has a
# standard deviation of {glue:text}`spread_emv` points, where chance gives {glue:text}`noise_emv`. Those of SAVEE, {glue:text}`spread_sav`, and
# EmoDB, {glue:text}`spread_emb`, are what equal models would show ({glue:text}`noise_sav` and
# {glue:text}`noise_emb`). CREMA-D, which the paper does not name, has {glue:text}`spread_cre` where chance gives
# {glue:text}`noise_cre`.
#
# ## With predictions at hand
#
# For cells that were measured here, predictions are kept, and more can be said: how would it go with *other speakers*?
# What varies is then the speaker, and there are few. {numref}`tbl-coverage` simulates three intervals of an accuracy
# whose speakers differ by 8 points (standard deviation). Wilson's takes all utterances for independent. The usual
# bootstrap over speakers is too narrow for so few. Student's t-interval over the speakers' own accuracies keeps its
# word.

# %% tags=["hide-input"]
show_table(
    (100 * significance.read_coverage()).round().astype(int),
    name="tbl-coverage",
    caption=f"How many of the 95 % intervals contain the accuracy over endless speakers; percent, {significance.N_SIMULATED:,} simulated test sets of 300 utterances.",
)

# %% [markdown]
# So {numref}`tbl-doubt` has Wilson's and Student's interval. From one speaker nothing can be said about others. With
# two, Student's interval is mostly as wide as the scale, but shrinks to a point where both happen to have the same
# accuracy. So it contains the truth as often as it should, and still tells nothing about a single cell; it is shown
# from three speakers on.

# %% tags=["hide-input"]
measured, doubt = data.read_measured(), significance.score_cells(data.measured).replace({"model": TITLES})
for title, suffix in (("Wilson", ""), ("Student", "_speakers")):
    low, high = doubt["low" + suffix], doubt["high" + suffix]
    doubt[title] = [f"{low:.1f}–{high:.1f}" for low, high in zip(low, high, strict=True)]
doubt["Student"] = doubt["Student"].where(doubt["n_speakers"] > 2, "–")

# %% tags=["hide-input"]
if len(doubt):
    columns = ["task", "model", "protocol", "accuracy", "Wilson", "n_speakers", "Student", "uar"]
    show_table(
        doubt[columns].rename(columns={"uar": "UAR", "n_speakers": "speakers"}),
        name="tbl-doubt",
        caption="Every measured cell: accuracy with two 95 % intervals, over utterances and over speakers, and unweighted average recall; percent.",
        sortable=True,
        index=False,
    )

# %% [markdown]
# Differences are tested on the same utterances, with t-intervals over utterances and, from three speakers on, over
# speakers. The p-values are of McNemar's test with Holm's correction {cite}`holm1979simple` over the pairs. They take
# utterances for independent, so they are about these speakers, not about other ones.

# %% tags=["hide-input"]
for task in measured["task"].unique():
    pairs = significance.compare_models(data.measured, task, "described").replace({"first": TITLES, "second": TITLES})
    pairs["p, Holm"] = pairs["p_holm"].map("{:.3f}".format).replace("0.000", "< 0.001")
    columns = ["first", "second", "difference", "low", "high"]
    if doubt.query("task == @task")["n_speakers"].min() > 2:
        columns += ["low_speakers", "high_speakers"]
    show_table(
        pairs[[*columns, "p, Holm"]].rename(columns={f"{end}_speakers": f"{end}, speakers" for end in ("low", "high")}),
        name=f"tbl-pairs-{task.lower()}",
        caption=f"Measured on {task}, `described`: differences in points, with their 95 % intervals over utterances, and over speakers where there are three.",
        index=False,
    )

# %% [markdown]
# An accuracy hides which emotions are recognised. The confusions and the recall of each emotion, for every measured
# model:

# %% tags=["hide-input"]
for task in measured["task"].unique():
    confusions = significance.confuse_cells(data.measured, task, "described")
    confusions = {TITLES.get(model, model): table for model, table in confusions.items()}
    show_figure(
        plots.plot_confusions(confusions),
        name=f"fig-measured-confusions-{task.lower()}",
        caption=f"Confusions on {task}, protocol `described`; percent of each true emotion.",
        alt="Confusion matrices, one a model; their diagonals are dark where an emotion is recognised.",
    )
    show_table(
        significance.tabulate_recalls(confusions).round().astype("Int64").reset_index(),
        name=f"tbl-recalls-{task.lower()}",
        caption=f"Recall of each emotion on {task}, protocol `described`, and its mean, the UAR; percent.",
        index=False,
    )

# %% [markdown]
# (rotated)=
# ## Every speaker tested
#
# On the fixed split a few speakers happen to be the test set: two in most tasks, five in RAVDESS. The protocol `rotated`
# goes beyond the paper and tests every speaker once. It cuts the speakers, in the released order of shuffling, into
# five folds, or as many as there are speakers; each fold is tested in turn, the next one chooses hyperparameters and
# classifier, and all others train. What the classifiers chosen so answer is counted together. The last fold tests the
# speakers of `described`. Log-mel statistics stay those of the fixed split. {numref}`tbl-folds` names the folds, which
# `serab_lib/data/manifests/folds.csv` has as a file.

# %% tags=["hide-input"]
folds = {code: cut_folds(list_utterances(code)["speaker"]) for code in TASKS}
names = [(code, n, ", ".join(own)) for code, cut in folds.items() for n, own in enumerate(cut, start=1)]
show_table(
    pd.DataFrame(names, columns=["task", "fold", "speakers"]),
    name="tbl-folds",
    caption="Who is tested in each fold, in the released order of shuffling; all ten tasks of the release.",
    sortable=True,
    index=False,
)

# %% tags=["hide-input"]
splits, half = ["described", "rotated"], (doubt["high_speakers"] - doubt["low_speakers"]) / 2
keys = {"index": ["task", "model"], "columns": "protocol"}
accuracy = doubt.pivot(**keys, values="accuracy").reindex(columns=splits).dropna()
half, tested = (
    doubt.assign(half=half).pivot(**keys, values=name).reindex(columns=splits).loc[accuracy.index]
    for name in ("half", "n_speakers")
)
move, many = accuracy["rotated"] - accuracy["described"], tested["described"] > 2
by_model, by_task = move.groupby("model").mean(), move.groupby("task").mean()
record(n_rotated=len(move), move=f"{move.abs().mean():.1f}", far=f"{move.abs().max():.1f}")
record(move_models="; ".join(f"{value:+.1f} ({name})" for name, value in by_model.items()))
record(move_tasks="; ".join(f"{value:+.1f} ({name})" for name, value in by_task.items()))
record(apart_tasks=f"{by_task.std():.1f}", apart_models=f"{by_model.std():.1f}")

# %% [markdown]
# On average over {glue:text}`n_rotated` measured cells the fixed split is {glue:text}`move` points from `rotated`, and up
# to {glue:text}`far`. By extractor, with all speakers tested the accuracy changes by these points on average over tasks:
# {glue:text}`move_models`. By task the changes are {glue:text}`move_tasks`. These averages differ by
# {glue:text}`apart_tasks` points (standard deviation) between tasks, whose extractors all hear the same few speakers, and
# by {glue:text}`apart_models` between extractors.

# %% tags=["hide-input"]
tasks, models = list(by_task.index), list(by_model.index)
n_rows = max(1, -(-len(tasks) // 2))
figure, panels = new_figure(n_rows, 2, height=n_rows * (0.4 * len(models) + 0.9) + 0.4, squeeze=False)
for axes, task in zip_longest(panels.flat, tasks):
    for name, shift, marker in (("described", -0.15, "o"), ("rotated", 0.15, "D")) if task else ():
        x, width = (each.loc[task].reindex(models)[name] for each in (accuracy, half.where(tested > 2)))
        y = [place + shift for place in range(len(models))]
        axes.errorbar(x, y, xerr=width, fmt=marker, elinewidth=2, label=name)
    axes.set(title=task, xlabel="accuracy (%)")
    name_rows(axes, models) if task else axes.set_visible(False)
put_legend_above(figure)

# %% tags=["hide-input"]
if len(accuracy):
    show_figure(
        figure,
        name="fig-rotated",
        caption="Accuracy on the fixed split (`described`) and with every speaker tested (`rotated`); lines: Student's 95 % interval over speakers, where at least three are tested.",
        alt=f"For {len(accuracy)} cells two marks that lie {move.abs().mean():.0f} points apart on average.",
    )

# %% tags=["hide-input"]
took = (
    measured.query("protocol == 'rotated'").replace({"model": TITLES}).groupby(["task", "model"])["seconds"].sum() / 60
)
record(took=f"{took.sum() / 60:.1f}")
if len(accuracy):
    table = accuracy.assign(difference=move).join(half.where(tested > 2).add_prefix("± "))
    table["minutes"] = took
    show_table(
        table.join(tested.astype(int).add_prefix("speakers, ")).reset_index(),
        name="tbl-rotated",
        caption="Accuracy on the fixed split and with every speaker tested, and half the width of Student's 95 % interval over speakers; percent and points. From two speakers that interval tells nothing, and it is left out. Minutes: what the classifiers of all folds took, in one process each.",
        sortable=True,
        index=False,
    )

# %% tags=["hide-input"]
shrunk = half[many]
record(before=f"{shrunk['described'].mean():.1f}", after=f"{shrunk['rotated'].mean():.1f}")
record(wide_tasks=", ".join(shrunk.index.unique("task")), half_all=f"{half['rotated'].mean():.1f}")
several = {code: own for code, own in accuracy.groupby("task") if len(own) > 2}
agree = {code: own["described"].corr(own["rotated"], method="kendall") for code, own in several.items()}
best = {code: [own[name].idxmax()[1] for name in splits] for code, own in several.items()}
record(agree=", ".join(f"{value:.2f} ({code})" for code, value in agree.items()))
changed = [f"{code} ({old}; of all speakers {new})" for code, (old, new) in best.items() if old != new]
record(changed=", ".join(changed) or "none", n_tasks=len(best))

# %% tags=["hide-input"]
everywhere = accuracy["rotated"].unstack("task").dropna(axis=1).columns
means = accuracy.loc[list(everywhere)].groupby("model").mean().sort_values("rotated", ascending=False)
record(everywhere=", ".join(everywhere))
record(order=", ".join(f"{name} {row['rotated']:.1f}" for name, row in means.iterrows()))
record(agree_means=f"{means['described'].corr(means['rotated'], method='kendall'):.2f}")

# %% [markdown]
# Half the width of Student's interval over speakers falls from {glue:text}`before` to {glue:text}`after` points where
# the fixed split has three test speakers or more ({glue:text}`wide_tasks`). Elsewhere it has two, which say nothing about
# others; now there is an interval, and half its width is {glue:text}`half_all` points on average over all cells. It
# still takes speakers for independent, though their folds share training speakers, and knows nothing of other corpora.
#
# Does the ranking change? Kendall's tau between the two orders of the extractors is {glue:text}`agree`, and
# {glue:text}`agree_means` for their means over the tasks on which all are measured ({glue:text}`everywhere`). Of
# {glue:text}`n_tasks` tasks another extractor is best on: {glue:text}`changed`. Those means are, with every speaker
# tested, {glue:text}`order`. All folds together took {glue:text}`took` hours of one process, without the extraction.

# %% [markdown]
# (heard-worse)=
# ## Who is heard worse?
#
# A classifier that is right on average can be right less often for women, or for feelings shown with restraint.
# {numref}`tbl-worse` asks the predictions that are kept, of all speakers where `rotated` was measured: by sex where
# the corpus states it, and by intensity and sentence where file names tell them. A difference has its own interval:
# speaker by speaker for what each speaker does both ways, between speakers for sex. Only emotions that occur at every
# level count; RAVDESS has no neutral of strong intensity, say.

# %% tags=["hide-input"]
worse = dict(list(read_measurement(data.measured, "heard_worse").groupby("task")))
silent = [code for code in measured["task"].unique() if code not in worse]
record(silent=f"File names and records of {' and '.join(silent)} tell nothing of it." if silent else "")

# %% tags=["hide-input"]
for code, own in worse.items():
    own = own[own["model"] == "mean"].reset_index(drop=True)
    rows = own["fact"] + " " + own["level"]
    figure, axes = new_figure(height=0.26 * len(own) + 1.3)
    ends = [own["accuracy"] - own["low"], own["high"] - own["accuracy"]]
    axes.errorbar(own["accuracy"], rows.index - 0.12, xerr=ends, fmt="o", elinewidth=2, label="accuracy")
    axes.plot(own["recall"], rows.index + 0.12, "D", label="recall, mean over emotions")
    axes.set_xlabel("mean over the extractors (%)")
    name_rows(axes, list(rows))
    put_legend_above(figure)
    caption = f"Who is heard worse on {get_task(code).title}: mean over the extractors measured, protocol `{own['protocol'][0]}`; lines: 95 % intervals over speakers."
    alt = f"Accuracy and recall by {' and '.join(own['fact'].unique())}, with intervals."
    show_figure(figure, name=f"fig-worse-{code.lower()}", caption=caption, alt=alt)

# %% tags=["hide-input"]
rows = []
for code, own in worse.items():
    for (fact, model), levels in own.groupby(["fact", "model"], sort=False):
        row, names = levels.iloc[0], list(levels["level"])
        numbers = [row[name] for name in ("difference", "difference_low", "difference_high")]
        title = "mean of all" if model == "mean" else TITLES.get(model, model)
        rows += [(code, fact, f"{names[0]} less {names[1]}", title, *numbers)] if len(names) == 2 else []
table = pd.DataFrame(rows, columns=["task", "fact", "compared", "model", "difference", "low", "high"])
clear = table[(table["low"] > 0) | (table["high"] < 0)]
record(n_worse=len(table), n_clear_worse=len(clear))
record(clear_kinds="; ".join(sorted(set(clear["task"] + ", " + clear["fact"]))) or "none")

# %% tags=["hide-input"]
if len(table):
    show_table(
        table,
        name="tbl-worse",
        caption="Differences in accuracy with their own 95 % intervals over speakers; points. RAVDESS numbers intensity (01 normal, 02 strong) and sentences.",
        sortable=True,
        index=False,
    )

# %% tags=["hide-input"]
said = []
for row in table[table["model"] == "mean of all"].itertuples():
    said += [f"{row.task}, {row.fact}, {row.compared}: {row.difference:+.1f} ({row.low:+.1f} to {row.high:+.1f})"]
record(worse_means="; ".join(said))
sentences = []
for code, own in worse.items():
    own = own[(own["model"] == "mean") & (own["fact"] == "sentence")].sort_values("accuracy")
    if len(own) > 2:
        low, high = own.iloc[0], own.iloc[-1]
        sentences += [f"{code}, {low['accuracy']:.0f} ({low['level']}) to {high['accuracy']:.0f} ({high['level']})"]
record(sentences="; ".join(sentences))

# %% [markdown]
# Averaged over the extractors, in points with the difference's interval: {glue:text}`worse_means`. Of all
# {glue:text}`n_worse` differences of single extractors and means, {glue:text}`n_clear_worse` have an interval without
# zero ({glue:text}`clear_kinds`); one in twenty would by chance. Where there are more sentences than two, accuracies lie
# apart by sentence: {glue:text}`sentences`. They are chosen as extremes and each is a few utterances a speaker, so part
# of that is chance. {glue:text}`silent`
#
# These are actors, a dozen of either sex at most. The differences are about how these recordings are heard by these
# extractors with classifiers trained on the same corpora, and not about women and men.
