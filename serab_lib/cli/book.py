"""`serab audit`, `claims`, `book` and `reproduce`: what the book says, the book, and all that it is made of."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from serab_lib.cli import app
from serab_lib.cli.corpora import announce_source
from serab_lib.core import SerabError

Results = Annotated[Path | None, typer.Option(help="Folder that `serab run --out` wrote: its cells are evidence, too.")]
Root = Annotated[Path, typer.Option(help="The project's folder.")]


@app.command
def audit(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of corpora: also looks in their sound for recordings that are twice there."),
    ] = None,
    results: Results = None,
    as_json: app.AsJson = False,
) -> None:
    """Recompute the paper's inconsistencies, and say how sure each is; no data is needed."""
    from serab_lib.audit import findings

    if data is not None and not data.is_dir():
        raise SerabError(f"no folder {data} to read corpora from: pass --data DIR, or leave it out")
    if results is not None:
        app.read_results(results)
    found = findings.audit(data=data, results=results)
    if as_json:
        tables = {name: json.loads(table.to_json(orient="records")) for name, table in _tabulate().items()}
        app.print_json({"findings": [each.as_dict() for each in found], **tables})
        return
    for number, each in enumerate(found, start=1):
        app.output.print(f"[bold]{number}. {escape(each.title)}[/]  [dim]{escape(each.where)}[/]")
        app.output.print(f"{escape(each.as_paragraph())}\n", soft_wrap=not app.output.is_terminal)
    app.output.print(f"{len(found)} findings; what can be computed is computed anew each time")


def _tabulate() -> dict[str, Any]:
    """Give the tables that the findings rest on."""
    from serab_lib.audit import speakers, tables
    from serab_lib.evaluation.paper import read_accuracies

    found = {"test_sizes": tables.compare_test_sizes(), "speakers": speakers.compare_speakers()}
    found |= {"normalisation": speakers.describe_normalisation(), "classes": speakers.count_classes()}
    found |= {"durations": tables.check_durations(), "counts": tables.check_counts()}
    means = tables.check_means(read_accuracies(), tables.recover_test_sizes())
    return found | {"means": means, "parameters": tables.check_parameters()}


@app.command
def claims(
    results: Results = None,
    as_json: app.AsJson = False,
) -> None:
    """Judge what the paper claims, one by one; measured cells are of --results, else SERAB_RESULTS, else results/."""
    from serab_lib.audit.claims import judge_claims
    from serab_lib.book.profile import open_profile

    if results is not None:
        app.read_results(results)
    found = judge_claims(results=results or open_profile("published").results.folder)
    rows = [vars(each) | {"values": json.loads(each.values.to_json(orient="records"))} for each in found]
    app.print_rows(rows, ("title", "verdict", "evidence"), as_json)


@app.command
def book(
    profile: Annotated[
        Literal["demo", "published", "paper"], typer.Option(help="Where its numbers come from.")
    ] = "published",
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A notebook's parameter; may be repeated.")
    ] = None,
    root: Root = Path("."),
    jobs: app.Jobs = None,
) -> None:
    """Build the book: run its notebooks, then make the site in _build/<profile>/html."""
    from serab_lib.book.build import build_book

    with app.progress() as tell:
        page = build_book(profile, root=root, parameters=_parse(parameter or []), n_jobs=jobs, progress=tell)
    app.output.print(f"the book is {page}")


def _parse(texts: list[str]) -> dict[str, object]:
    """Parameters as Python literals, or as text where they are none."""
    values: dict[str, object] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.isidentifier():
            raise SerabError(f"{text!r} is no parameter: write NAME=VALUE, such as n_draws=1000")
        try:
            values[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            values[name] = value
    return values


@app.command
def reproduce(
    plan_only: Annotated[bool, typer.Option("--plan", help="Print what would be done, and do nothing.")] = False,
    data: app.Data = None,
    weights: app.Weights = None,
    out: app.Out = Path("results"),
    cache: app.Cache = None,
    device: app.Device = "cpu",
    jobs: app.Jobs = None,
    fetch: Annotated[bool, typer.Option(help="Fetch what is not there and may be fetched.")] = True,
    accept_licence: app.AcceptLicence = False,
    book: Annotated[bool, typer.Option(help="Build the book at the end.")] = True,
    root: Root = Path("."),
    as_json: app.AsJson = False,
) -> None:
    """Recompute the paper's grid: plan, fetch, 13 extractors on 9 tasks under both protocols, book."""
    from serab_lib.benchmark.grid import Settings
    from serab_lib.cli.plan import carry_out, make_plan
    from serab_lib.corpora.splits import PROTOCOLS

    folders = {"out": out, "data": data, "weights": weights, "cache": cache}
    settings = Settings(**folders, protocols=PROTOCOLS, device=device, n_jobs=jobs)
    plan = make_plan(settings, may_fetch=fetch, accept_licence=accept_licence, with_book=book)
    if as_json and plan_only:
        app.print_json(plan)
    elif not as_json:
        _print_plan(plan)
    if plan_only:
        return
    with app.progress() as tell:
        options = {"accept_licence": accept_licence, "announce": announce_source, "progress": tell}
        done = carry_out(plan, settings, root=root if book else None, **options)
    app.complain(done["failures"], warnings=done["warnings"])
    if as_json:
        app.print_json({"plan": plan, **done})
    else:
        app.output.print(f"{done['computed']} cells computed, {done['present']} were there; results in {out}")
        if done["book"]:
            app.output.print(f"the book is {done['book']}")
    if not done["computed"] + done["present"]:
        raise typer.Exit(1)


def _print_plan(plan: dict[str, Any]) -> None:
    """Print what will be done, and what is left out."""
    for kind in ("corpora", "extractors"):
        app.output.print(f"[bold]{kind}[/]")
        app.print_rows(plan[kind], ("name", "state", "computed", "download"))
        app.output.print()
    there = f", {plan['present_cells']} have a result already" if plan["present_cells"] else ""
    app.output.print(f"{plan['feasible_cells']} of {plan['cells']} cells can be computed{there}\n")
    app.print_rows(plan["stages"], ("stage", "what", "disk"))
    if plan["left_out"]:
        app.output.print("\n[bold]left out[/]")
        for line in plan["left_out"]:
            app.output.print(f"  {escape(line)}")
    app.output.print()
