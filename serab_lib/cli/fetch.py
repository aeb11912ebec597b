"""`serab fetch`: corpora and checkpoints from their own sources."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from serab_lib.cli.app import AsJson, Data, Weights, command, errors, output, print_rows, progress
from serab_lib.core import SerabError, printable


@command
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Corpora by code or name, checkpoints by their extractor; `corpora`, `checkpoints`, or `all` for "
            "every open corpus. Without names: the list of what there is.",
        ),
    ] = None,
    data: Data = None,
    weights: Weights = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder to put it into, in place of those of --data and --weights.")
    ] = None,
    archive: Annotated[
        list[Path] | None,
        typer.Option(help="The corpus's archive as it was delivered; again for each if there are several."),
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept the licence of a checkpoint that asks for it.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, max=32, help="Downloads at once, for a corpus that comes file by file.")
    ] = 8,
    as_json: AsJson = False,
) -> None:
    """Fetch corpora and checkpoints from their own sources: resumed, verified, safely unpacked."""
    from serab_lib.download.fetch import Options
    from serab_lib.download.sources import resolve_names

    data, weights = to or data, to or weights
    if not names:
        if archive:
            raise SerabError("--archive needs the name of its corpus: serab fetch NAME --archive FILE")
        _print_list(data, weights, as_json)
        return
    wanted, withheld = resolve_names(names)
    if archive and (len(wanted) != 1 or withheld):
        raise SerabError(f"--archive belongs to one corpus, {len(wanted)} are named: fetch one at a time")
    options = Options(
        data=data,
        weights=weights,
        archives=tuple(archive or ()),
        accept_licence=accept_licence,
        n_workers=jobs,
        announce=announce_source,
    )
    if accept_licence:
        wanted += [source for source in withheld if source.needs_consent]
        withheld = [source for source in withheld if not source.needs_consent]
    rows = [_fetch_one(source, options) for source in wanted]
    rows += [_leave_out(source, options) for source in withheld]
    if as_json:
        output.print_json(json.dumps(rows, ensure_ascii=False))
    else:
        _print_outcome(rows)
    if any(row["state"] == "failed" for row in rows):
        raise typer.Exit(1)


def _fetch_one(source: Any, options: Any) -> dict[str, Any]:
    from serab_lib.corpora.check import summarise
    from serab_lib.download.fetch import fetch as get

    try:
        with progress() as tell:
            made = get(source, dataclasses.replace(options, progress=tell))
    except SerabError as error:
        return {"name": source.name, "state": "failed", "message": str(error)}
    return {
        "name": made.name,
        "state": made.state,
        "path": printable(made.path),
        "verified": made.verified,
        "problems": [dataclasses.asdict(each) for each in made.problems],
        "summary": summarise(made.problems),
        "notes": list(made.notes),
    }


def _leave_out(source: Any, options: Any) -> dict[str, Any]:
    from serab_lib.download.fetch import write_advice

    if source.needs_consent:
        message = f"licence to accept: read {source.licence_url}, then add --accept-licence"
    else:
        message = f"{source.access}: {write_advice(source, options)}"
    return {"name": source.name, "state": "left out", "message": message}


def announce_source(source: Any) -> None:
    """Show what is about to be downloaded: source, size, licence, citation."""
    from serab_lib.download.sources import describe_source

    errors.print(f"[bold]{escape(source.title)}[/]", soft_wrap=True)
    for name, value in describe_source(source).items():
        errors.print(f"  {name}: {escape(value)}", soft_wrap=True)


def _print_outcome(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        name = f"[bold]{row['name']}[/]"
        if row["state"] == "failed":
            errors.print(f"[bold red]error:[/] {escape(row['message'])}", soft_wrap=True)
            continue
        if row["state"] == "left out":
            output.print(f"{name}: left out, {escape(row['message'])}", soft_wrap=True)
            continue
        did = "is there already" if row["state"] == "present" else "fetched"
        output.print(f"{name}: {did}, {escape(row['path'])}, verified {row['verified']}", soft_wrap=True)
        for note in row["notes"]:
            output.print(f"  {escape(note)}", soft_wrap=True)
        for line in row["summary"]:
            output.print(f"  {escape(line)}", soft_wrap=True)


def _print_list(data: Path | None, weights: Path | None, as_json: bool) -> None:
    from serab_lib.download.fetch import survey
    from serab_lib.download.sources import describe_source, write_size

    rows = []
    for offer in survey(data, weights):
        facts = describe_source(offer.source)
        rows.append(
            {
                "name": offer.source.name,
                "kind": offer.source.kind,
                "state": offer.state,
                "size": write_size(offer.source.download_size),
                "licence": offer.source.licence,
                "note": offer.note,
                "page": offer.source.page,
                "source": facts["source"],
                "verified": facts["verified"],
                "citation": offer.source.citation,
            }
        )
    print_rows(rows, ("name", "kind", "state", "size", "licence"), as_json)
    if not as_json:
        output.print(
            "\n`serab fetch NAME...` fetches; `serab fetch NAME --archive FILE` takes an archive that you have.",
            soft_wrap=True,
        )
