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
# (grid)=
# # The accuracy grid
#
# How well does each extractor do on each task?

# %% [markdown] tags=["real"]
# The paper's table 3 has thirteen extractors on nine tasks. This chapter prints it with the means over tasks recomputed,
# puts our own measurements beside it, and says for every empty cell why it is empty.

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

from serab_lib.book import tables
from serab_lib.book.plots import grid as plots
from serab_lib.book.show import record, show_downloads, show_figure, show_markdown, show_table
from serab_lib.book.profile import open_profile
from serab_lib.corpora.corpus import list_utterances
from serab_lib.corpora.splits import split
from serab_lib.corpora.task import PAPER_TASKS, get_task

data = open_profile(profile)
data.show_origin()

# %% tags=["hide-input"]
if not data.synthetic and data.results.folder != data.measured.folder:
    show_markdown(
        f"Measured cells on this page are those of `{data.results.folder.name}`. It holds cells alone; so the other "
        "chapters conclude from the cells of the published book."
    )

# %% tags=["hide-input"]
levels = (100 * tables.describe_splits()["majority"]).unstack("task").assign(model="Majority level")
levels = levels.set_index("model", append=True)
kind = "synthetic speech: this is the demo" if data.synthetic else "real recordings"
record(site=f"Profile {profile}: the accuracies measured for it come from {kind}.")
real = data.read_measured() if data.synthetic else data.read_cells()
beside = tables.compare_with_paper(real[~real["synthetic"].astype(bool)], "released")
record(n_recomputed=f"{beside['ours'].notna().sum():,}")

# %% [markdown] tags=["real"]
# ## What the paper prints
#
# {numref}`tbl-paper` has the paper's accuracies as printed, with the three means computed anew: UM is the mean over
# tasks, WM weighs them by the number of test utterances, GM is the geometric mean. The means of one row of the
# original differ; {doc}`09_audit` shows which. The first row is the majority level: what naming the most frequent emotion
# of each test set would give ({ref}`tasks`).

# %% tags=["hide-input", "real"]
if not data.synthetic:
    printed = tables.recompute_paper_grid()
    show_table(
        tables.mark_best(pd.concat([levels.loc["released"][list(PAPER_TASKS)], printed]).rename_axis("model")),
        name="tbl-paper",
        caption="The paper's table 3, means recomputed. Accuracy on test in percent; the best of each column in bold.",
        sortable=True,
    )
    best = printed.iloc[-1][list(PAPER_TASKS)]
    record(low=f"{best.min():.0f} % ({best.idxmin()})", high=f"{best.max():.0f} % ({best.idxmax()})", best=best.name)

# %% [markdown] tags=["real"]
# The three means average over very different tasks: {glue:text}`best`, first by UM, has between {glue:text}`low` and
# {glue:text}`high`. A point of UM is nine points on one task, or one on each; WM is dominated by the largest test sets.
# A mean says which model is better on the whole, and little about any single language or corpus.

# %% [markdown]
# ## What was measured here
#
# The means over tasks are given where every row has the same tasks. Under `described` the classifier is chosen on the
# validation set, and this is what a new model should report. Under `released` it is chosen on the test set, as in the
# authors' code, which makes accuracies optimistic; {ref}`departures` says where `released` still differs from that code.

# %% tags=["hide-input"]
cells = data.read_cells()
for protocol in ("described", "released"):
    grid = tables.accuracy_grid(cells, protocol)
    level = levels.loc[protocol].reindex(columns=grid.columns) if not data.synthetic else grid[:0]
    show_table(
        tables.mark_best(pd.concat([level, grid]).rename_axis("model")),
        name=f"tbl-measured-{protocol}",
        caption=f"Accuracy on test in percent, protocol `{protocol}`. {data.origin}",
        sortable=True,
    )

# %% [markdown] tags=["real"]
# Log-mel statistics, the mean and standard deviation of each mel band without any network, might be expected to be the
# floor of such a grid. They are not: YAMNet, one of the paper's baselines, is below them in
# {glue:text}`below_described` tasks measured for this book under `described` and in {glue:text}`below_released` under
# `released`. Averaged over these tasks, YAMNet minus log-mel statistics is {glue:text}`gap_described` and
# {glue:text}`gap_released` points.
# {doc}`07_what_the_grid_says` tests which of these differences are more than chance.

# %% tags=["hide-input", "real"]
for protocol in ("described", "released") if not data.synthetic else ():
    grid = tables.accuracy_grid(data.read_measured(), protocol)
    rows = grid.reindex(["YAMNet", "Log-mel statistics"])[[code for code in PAPER_TASKS if code in grid]]
    gaps = (rows.loc["YAMNet"] - rows.loc["Log-mel statistics"]).dropna()
    record(**{f"below_{protocol}": f"{(gaps < 0).sum() or 'none'} of {len(gaps)}"})
    record(**{f"gap_{protocol}": f"{gaps.mean():+.1f}"})

# %% [markdown]
# With so few test speakers an accuracy is known only roughly. {numref}`tbl-cells` has intervals (Wilson, 95 %), the
# unweighted average recall (UAR) and macro-F1, the classifier of each cell, and how many of its recordings are as they were released,
# judged by their content.

# %% tags=["hide-input"]
measured = tables.list_measured(cells)
show_table(
    measured,
    name="tbl-cells",
    caption=f"Every measured cell. Percent. {data.origin}",
    sortable=True,
    index=False,
)
record(n_cells=len(measured))
copies = tables.list_copies(data.results.read_provenance())
if copies and not data.synthetic:
    show_markdown("What was measured was not always what was released:\n\n" + "\n".join(copies))

# %% tags=["hide-input"]
grid = tables.accuracy_grid(cells, "described")
show_downloads(
    {"serab-described.csv": tables.render(grid, "csv"), "serab-described.tex": tables.render(grid, "latex")},
    label=f"The measured grid, protocol described. {data.origin.rstrip('.')}",
)

# %% [markdown]
# {glue:text}`n_cells` cells are measured, counting all protocols and models that the paper does not have. The
# release computes UAR, too, and the paper does not print it. The release averages over all emotions among the labels
# *and predictions* of a test set ([SERAB/clf_benchmark.py, line 298](https://github.com/Neclow/SERAB/blob/cc0ebd74014c19ce4fad752afe5dfd374fc7fdb2/SERAB/clf_benchmark.py#L298)),
# so one that is only predicted counts as a recall of zero; here only emotions of the test set count. The two differ where
# a test set lacks an emotion of its task. Of the paper's tasks these are, under `released`: {glue:text}`lacking`.

# %% tags=["hide-input"]
lacking = []
for code in PAPER_TASKS:
    parts = split(list_utterances(code), get_task(code), "released")
    gone = set(parts["emotion"]) - set(parts["emotion"][parts["part"] == "test"])
    lacking += [f"{code} ({', '.join(sorted(gone))})"] if gone else []
record(lacking=", ".join(lacking) or "none")

# %% [markdown] tags=["real"]
# ## Cell by cell
#
# The paper's grid has {glue:text}`n_grid` cells, of which {glue:text}`n_beside` are measured under `released`, the protocol
# that follows the authors' code. {numref}`fig-coverage` is the map: what is measured, what anyone can measure, and for
# what a corpus must be asked for or a licence accepted.

# %% tags=["hide-input", "real"]
known = beside.dropna(subset="difference")
waiting = beside["ours"].isna() & beside["state"].str.contains(";")
record(n_grid=len(beside), n_beside=len(known), n_waiting=int(waiting.sum()))
if not data.synthetic:
    show_figure(
        plots.plot_coverage(beside),
        name="fig-coverage",
        caption="The paper's grid: recomputed accuracy (percent, protocol `released`) where there is one.",
        alt=f"{len(known)} of {len(beside)} cells are measured; {waiting.sum()} others need permission, the rest none.",
    )

# %% [markdown] tags=["real"]
# {numref}`fig-agreement` sets the measured cells against the printed ones. A cell can be some points off without an error
# on either side: {ref}`resampler` and {ref}`class-numbers` show how much a cell can change.

# %% tags=["hide-input", "real"]
if not data.synthetic:
    spans = known["ours, 95 %"].str.extract(r"(.+)–(.+)").astype(float)
    n_reached = int(known["paper"].between(spans[0], spans[1]).sum())
    alt = f"{len(known)} points near the diagonal; the intervals of {n_reached} of them reach it."
    record(alt=alt, n_reached=n_reached)
    record(median=f"{known['difference'].abs().median():.1f} points" if len(known) else "none measured")
    show_figure(
        plots.plot_agreement(beside),
        name="fig-agreement",
        caption="Each recomputed accuracy against the printed one, protocol `released`; bars: Wilson's 95 % intervals.",
        alt=alt,
    )

# %% [markdown] tags=["real"]
# {numref}`tbl-beside` has the numbers, and says of each other cell why it is empty. Sort by *difference* to see where the
# two differ most, filter by task or model, show the rows that are empty, or save the table as CSV.

# %% tags=["hide-input", "real"]
if not data.synthetic:
    show_table(
        beside,
        name="tbl-beside",
        caption="Paper and recomputation, cell by cell, protocol `released`. Percent; intervals by Wilson, 95 %.",
        sortable=True,
        index=False,
    )
    distances = known["difference"].abs().groupby(known["model"]).mean().sort_values()
    record(
        distances=", ".join(f"{value:.1f} ({model})" for model, value in distances.items()) or "none measured",
        farthest=f"{known['difference'].abs().max():.1f} points from it" if len(known) else "farther: none is measured",
    )

# %% [markdown] tags=["real"]
# On average over tasks the measured cells lie from what is printed by this many points: {glue:text}`distances`. None
# lies more than {glue:text}`farthest`.

# %% tags=["hide-input", "real"]
if not data.synthetic:
    paper = tables.recompute_paper_grid()
    show_downloads(
        {"serab-paper.csv": tables.render(paper, "csv"), "serab-paper.tex": tables.render(paper, "latex")},
        label="The paper's grid",
    )

# %% [markdown] tags=["real"]
# (contributed)=
# ## Contributed rows
#
# Rows that others measured, or of models that are not part of the library, stand apart. Each is held to the published
# splits, and its accuracies to its predictions, whenever this page is made; {ref}`contribute` says how, and how yours
# gets here.

# %% tags=["hide-input", "real"]
contributed = tables.list_contributed(data.measured.folder)
if len(contributed) and not data.synthetic:
    show_table(
        contributed,
        name="tbl-contributed",
        caption="Contributed cells, with their source and who measured them. Percent. Measured on real recordings.",
        sortable=True,
        index=False,
    )
record(n_contributed=f"{len(contributed)} cells are" if len(contributed) else "No cell is")

# %% [markdown] tags=["real"]
# {glue:text}`n_contributed` contributed so far.

# %% [markdown]
# ## Take it with you
#
# `serab table --format latex` and `--format csv` write the same grid for a paper of your own. Each number here comes
# from `results/cells.csv`; `results/provenance.json` says for every cell which audio, weights, versions and commit
# made it, and `results/predictions/` has what was predicted for each test utterance.
