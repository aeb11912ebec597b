"""`serab audit`: what does not add up in the paper's tables and its released procedure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from serab_lib.cli.app import AsJson, command, output
from serab_lib.core import SerabError


@command
def audit(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of corpora: also looks in their sound for recordings that are twice there."),
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder that `serab run --out` wrote: also measures selection on test in it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute the paper's inconsistencies, and say how sure each is; no data is needed."""
    from serab_lib.audit.findings import Sources
    from serab_lib.audit.findings import audit as find_all
    from serab_lib.benchmark.results import Results

    if data is not None and not data.is_dir():
        raise SerabError(f"no folder {data} to read corpora from: pass --data DIR, or leave it out")
    if results is not None and Results(results).read_cells().empty:
        raise SerabError(f"there are no results in {results}: make some with `serab run --out {results}`")
    sources = Sources.read(data=data, results=results)
    findings = find_all(sources)
    if as_json:
        content = {"findings": [each.as_dict() for each in findings], **_tabulate(sources)}
        output.print_json(json.dumps(content, default=_plain, ensure_ascii=False))
        return
    for number, each in enumerate(findings, start=1):
        output.print(f"[bold]{number}. {escape(each.title)}[/]  [dim]{escape(each.where)}[/]", soft_wrap=True)
        output.print(f"{escape(each.as_paragraph())}\n", soft_wrap=not output.is_terminal)
    output.print(f"{len(findings)} findings; their numbers are computed anew each time")


def _tabulate(sources: Any) -> dict[str, list[dict[str, Any]]]:
    """Give the tables that the findings rest on."""
    from serab_lib.audit.arithmetic import check_counts, check_durations, check_parameters
    from serab_lib.audit.corpora import count_classes

    paper = sources.datasets, sources.utterances, sources.tasks
    tables = {
        "test_sizes": sources.comparison,
        "speakers": sources.speakers,
        "normalisation": sources.normalisation,
        "means": sources.means,
        "durations": check_durations(*paper),
        "counts": check_counts(*paper),
        "parameters": check_parameters(sources.models, sources.n_parameters),
        "classes": count_classes(sources.utterances, sources.tasks),
    }
    return {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}


def _plain(value: Any) -> Any:
    """Turn numpy's numbers into Python's."""
    return value.item() if hasattr(value, "item") else str(value)
