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
# How well does each extractor do on each task? It takes a few seconds where results are at hand; the demo computes its
# own in two minutes.

# %% [markdown] tags=["real"]
# The paper's table 3 has thirteen extractors on nine tasks. This chapter prints it with the means over tasks recomputed,
# puts our own measurements beside it, and says for every empty cell why it is empty.

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
from serab_lib.book.show import record, show_downloads, show_markdown, show_table
from serab_lib.book.profile import open_profile

data = open_profile(profile)
data.show_origin()

# %% [markdown] tags=["real"]
# ## What the paper prints
#
# {numref}`tbl-paper` has the paper's accuracies as printed, with the three means computed anew: UM is the mean over
# tasks, WM weighs them by the number of test utterances, GM is the geometric mean. The means of one row of the
# original differ; {doc}`07_audit` shows which.

# %% tags=["hide-input", "real"]
if not data.synthetic:
    show_table(
        tables.mark_best(tables.recompute_paper_grid()),
        name="tbl-paper",
        caption="The paper's table 3, means recomputed. Accuracy on test in percent; the best of each column in bold.",
        sortable=True,
    )

# %% [markdown]
# ## What was measured here
#
# The means over tasks are given where every row has the same tasks. Under `described` the classifier is chosen on the validation part, and this is
# what a new model should report. Under `released` it is chosen on the test part, as the authors' code does.

# %% tags=["hide-input"]
cells = data.read_cells()
for protocol in ("described", "released"):
    show_table(
        tables.mark_best(tables.accuracy_grid(cells, protocol)),
        name=f"tbl-measured-{protocol}",
        caption=f"Accuracy on test in percent, protocol `{protocol}`. {data.origin}",
        sortable=True,
    )

# %% [markdown]
# With so few test speakers an accuracy is known only roughly. {numref}`tbl-cells` has intervals (Wilson, 95 %), the
# unweighted average recall, the classifier of each cell, and how many of its recordings are as they were released, known
# by what the files hold.

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
    label=f"The measured grid, protocol described ({data.origin})",
)

# %% [markdown]
# {glue:text}`n_cells` cells stand here.

# %% [markdown] tags=["real"]
# ## Cell by cell
#
# The paper's grid has 117 cells. {numref}`tbl-beside` sets the measured ones beside the paper's under `released`,
# the protocol that follows the authors' code, and says of each other one why it is empty. Sort by *difference* to see
# where we part, filter by task or model, or take the table with you as CSV. A cell can be some points off without an
# error on either side: {ref}`resampler` and {ref}`class-numbers` show how far one moves.

# %% tags=["hide-input", "real"]
if not data.synthetic:
    beside = tables.compare_with_paper(cells, "released")
    show_table(
        beside,
        name="tbl-beside",
        caption="Paper and recomputation, cell by cell, protocol `released`. Percent; intervals by Wilson, 95 %.",
        sortable=True,
        index=False,
    )

# %% tags=["hide-input", "real"]
if not data.synthetic:
    measured_here = beside.dropna(subset="difference")
    distances = measured_here["difference"].abs().groupby(measured_here["model"]).mean()
    record(
        n_beside=len(measured_here),
        n_grid=len(beside),
        distances=", ".join(f"{value:.1f} ({model})" for model, value in distances.sort_values().items()),
        farthest=f"{measured_here['difference'].abs().max():.1f}",
    )

# %% [markdown] tags=["real"]
# {glue:text}`n_beside` of the {glue:text}`n_grid` cells are measured. On average they lie {glue:text}`distances` points
# from what is printed, and none lies more than {glue:text}`farthest` points from it.

# %% tags=["hide-input", "real"]
if not data.synthetic:
    paper = tables.recompute_paper_grid()
    show_downloads(
        {"serab-paper.csv": tables.render(paper, "csv"), "serab-paper.tex": tables.render(paper, "latex")},
        label="The paper's grid",
    )

# %% [markdown]
# ## Take it with you
#
# `serab table --format latex` and `--format csv` write the same grid for a paper of your own. Each number here comes
# from `results/cells.csv`; `results/provenance.json` says for every cell which audio, weights, versions and commit
# made it, and `results/predictions/` has what was predicted for each test utterance.
