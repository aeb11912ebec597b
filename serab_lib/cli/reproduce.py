"""`serab reproduce`: everything, planned first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from serab_lib.cli.app import AsJson, Data, Jobs, Weights, command, errors, output, print_rows, progress
from serab_lib.cli.fetch import announce_source


@command
def reproduce(
    plan_only: Annotated[bool, typer.Option("--plan", help="Print what would be done, and do nothing.")] = False,
    data: Data = None,
    weights: Weights = None,
    out: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results"),
    cache: Annotated[Path | None, typer.Option(help="Folder of caches. Default: SERAB_CACHE, then the user's.")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    jobs: Jobs = None,
    fetch: Annotated[bool, typer.Option(help="Fetch what is not there and may be fetched.")] = True,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licences of checkpoints that ask for it.")
    ] = False,
    book: Annotated[bool, typer.Option(help="Build the book at the end.")] = True,
    root: Annotated[Path, typer.Option(help="The project's folder, for the book.")] = Path("."),
    as_json: AsJson = False,
) -> None:
    """Recompute the paper's grid: plan, fetch, 13 extractors on 9 tasks under both protocols, book."""
    from serab_lib.cli.reproduction import Settings, make_plan
    from serab_lib.cli.reproduction import reproduce as work

    settings = Settings(
        data=data,
        weights=weights,
        cache=cache,
        out=out,
        root=root,
        device=device,
        n_jobs=jobs,
        may_fetch=fetch,
        accept_licence=accept_licence,
        with_book=book,
    )
    plan = make_plan(settings)
    rows = _to_rows(plan)
    if as_json and plan_only:
        output.print_json(json.dumps(rows, ensure_ascii=False))
    elif not as_json:
        _print_plan(rows)
    if plan_only:
        return
    with progress() as tell:
        outcome = work(plan, settings, announce=announce_source, progress=tell)
    summary = outcome.summary
    for warning in summary.warnings if summary else ():
        errors.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    for failure in outcome.failures:
        errors.print(f"[bold red]error:[/] {escape(failure)}", soft_wrap=True)
    n_computed, n_present = (len(summary.computed), len(summary.present)) if summary else (0, 0)
    if as_json:
        done = {
            "plan": rows,
            "fetched": outcome.fetched,
            "computed": n_computed,
            "present": n_present,
            "failures": outcome.failures,
            "book": str(outcome.book) if outcome.book else None,
        }
        output.print_json(json.dumps(done, ensure_ascii=False))
    else:
        output.print(f"{n_computed} cells computed, {n_present} were there; results in {out}", soft_wrap=True)
        if outcome.book:
            output.print(f"the book is {outcome.book}", soft_wrap=True)
    if not n_computed + n_present:
        raise typer.Exit(1)


def _to_rows(plan: Any) -> dict[str, Any]:
    from serab_lib.download.sources import write_size

    def describe(item: Any) -> dict[str, Any]:
        size = write_size(item.n_bytes) if item.n_bytes else ""
        return {
            "name": item.name,
            "title": item.title,
            "state": item.state,
            "computed": "yes" if item.is_feasible else "no",
            "download": size,
            "bytes": item.n_bytes,
            "note": item.note,
        }

    return {
        "corpora": [describe(item) for item in plan.corpora],
        "extractors": [describe(item) for item in plan.extractors],
        "cells": plan.n_cells,
        "feasible_cells": plan.n_feasible,
        "present_cells": plan.n_present,
        "stages": [
            {
                "stage": stage.name,
                "what": stage.what,
                "disk": write_size(stage.n_bytes) if stage.n_bytes else "–",
                "bytes": stage.n_bytes,
            }
            for stage in plan.stages
        ],
        "left_out": plan.left_out,
    }


def _print_plan(rows: dict[str, Any]) -> None:
    for kind in ("corpora", "extractors"):
        output.print(f"[bold]{kind}[/]")
        print_rows(rows[kind], ("name", "state", "computed", "download"), False)
        output.print()
    there = f", {rows['present_cells']} have a result already" if rows["present_cells"] else ""
    output.print(f"{rows['feasible_cells']} of {rows['cells']} cells can be computed{there}\n")
    print_rows(rows["stages"], ("stage", "what", "disk"), False)
    if rows["left_out"]:
        output.print("\n[bold]left out[/]")
        for line in rows["left_out"]:
            output.print(f"  {escape(line)}", soft_wrap=True)
    output.print()
