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
# (claims)=
# # The paper's claims, one by one
#
# What does the paper conclude, and do its numbers bear it out? This chapter goes through {glue:text}`n_claims` claims, in
# words of our own, and gives each a verdict: {glue:text}`n_holds` hold, {glue:text}`n_in_part` hold in part,
# {glue:text}`n_unknown` cannot be told and {glue:text}`n_fails` do not hold. The claims about models come first, those
# about the procedure and the corpora after them.

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

# %% tags=["hide-input"]
import pandas as pd

from serab_lib.audit.claims import VERDICTS, judge_claims
from serab_lib.book.profile import open_profile
from serab_lib.book.show import record, show_markdown, show_table

data = open_profile(profile)
claims = judge_claims(results=data.measured.folder)
counts = [sum(claim.verdict == verdict for claim in claims) for verdict in VERDICTS]
marks = dict(zip(VERDICTS, "●◐?○", strict=True))
names = ("n_holds", "n_in_part", "n_unknown", "n_fails")
record(n_claims=len(claims), **dict(zip(names, counts, strict=True)))

# %% tags=["hide-input"]
meanings = [
    "all that it states is so",
    "some of what it states is so, and some is not",
    "nothing that was published or measured tests it",
    "what it states is not so, or it is said of all and there is an exception",
]
show_table(
    pd.DataFrame({"verdict": [f"{marks[each]} {each}" for each in VERDICTS], "claims": counts, "it_means": meanings}),
    name="tbl-verdicts",
    caption="The verdicts, and how many claims have each.",
    index=False,
)

# %% tags=["hide-input"]
verdicts = [f"{marks[claim.verdict]} {claim.verdict}" for claim in claims]
titles = [f"[{number}. {claim.title}](#claim-{claim.name})" for number, claim in enumerate(claims, start=1)]
show_table(
    pd.DataFrame({"verdict": verdicts, "claim": titles}),
    name="tbl-claims",
    caption="The claims at a glance. Each has its section below.",
    index=False,
)

# %% [markdown]
# ## How a verdict comes about
#
# No verdict is typed. Each claim names a table (of the printed grid, of the file lists, or of what was measured here on
# real recordings) and what it states of its rows, such as *UM > 0* of a contrast of two models. Code evaluates these
# statements, and the verdict follows from how many of them are true. *BYOL-S improves on BYOL-A* is nine of them, three
# sizes by three means. What is said of all cases is a single statement, which one exception refutes. An explanation is
# tested only where models were measured that differ in that one thing.
#
# A claim that one kind of model is better than another holds where it is so by UM, WM and GM (the unweighted, the
# weighted and the geometric mean over the tasks) and, for each of the models, beyond the chance of which tasks
# were taken (Wilcoxon's exact test over nine tasks, p < 0.05). As all of them have to pass, nothing is corrected for
# their number. A claim about the table, such as which row is first, is
# judged by the table. Whether it would last is said apart, under *Beyond the table*. There, two kinds of noise count.
# *Other test utterances* would change an accuracy by its binomial error; two models tested on the same utterances share
# part of it. *Other tasks* would favour other models. Both leave out what other speakers would change, which is
# more ({doc}`07_what_the_grid_says`).
#
# `serab claims` prints the same; `serab claims --json` adds the rows behind every verdict. Statements and words stand in
# `serab_lib/data/claims.toml`, the tables in `serab_lib/audit/claims.py`.

# %% tags=["hide-input"]
text, topic = [], ""
for number, claim in enumerate(claims, start=1):
    text += [f"## {claim.topic}"] * (claim.topic != topic)
    kind, topic = claim.verdict.replace(" ", "-"), claim.topic
    badge = f'<span class="verdict {kind}">{marks[claim.verdict]} {claim.verdict}</span>'
    words = [label.replace("fig-", "figure ").replace("tbl-", "table ").replace("-", " ") for label in claim.see]
    see = [f'<span title="{label}">{word}</span>' for label, word in zip(claim.see, words, strict=True)]
    text += [f'<a id="claim-{claim.name}"></a>', f"### {number}. {claim.title}"]
    text += [f"{badge} (the paper: {claim.place})", f"**The claim.** {claim.says}"]
    text += [f"**Evidence.** {claim.evidence}", f"**What would settle it.** {claim.settled_by}"]
    text[-1:-1] = [f"**Beyond the table.** {claim.beyond}"] if claim.beyond else []
    text += [f"**See.** {', '.join(see)}."]
show_markdown("\n\n".join(text))
