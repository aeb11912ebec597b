"""`serab tasks`, `fetch`, `check` and `synthesise`: the corpora, from their sources to a whole folder."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from serab_lib.cli import app
from serab_lib.core import SerabError, printable


@app.command
def tasks(data: app.Data = None, as_json: app.AsJson = False) -> None:
    """List the tasks: their language, access, licence and what is on disk."""
    from serab_lib.corpora.corpus import find_corpus, find_root
    from serab_lib.corpora.task import TASKS

    rows = []
    for task in TASKS.values():
        row = {name: getattr(task, name) for name in ("code", "name", "language", "access", "licence", "source")}
        row |= {"classes": len(set(task.emotions.values())), "on_disk": "no", "utterances": 0}
        try:
            corpus = find_corpus(task, data)
        except SerabError as error:
            row |= {"problem": str(error), "on_disk": "unusable" if find_root(task, data).exists() else "no"}
        else:
            row["on_disk"] = "complete" if corpus.complete else "incomplete"
            row["on_disk"] += ", synthetic" if corpus.synthetic else ""
            row["utterances"] = len(corpus.utterances)
        rows.append(row)
    shown = ("code", "name", "language", "classes", "access", "on_disk", "utterances", "licence")
    app.print_rows(rows, shown, as_json)
    for row in rows:
        if row["on_disk"] == "unusable" and not as_json:
            app.output.print(f"{row['code']}: {escape(row['problem'])}", soft_wrap=True)


@app.command
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Corpora by code or name, checkpoints by their extractor; `corpora`, `checkpoints`, or `all` for "
            "every open corpus. Without names: the list of what there is.",
        ),
    ] = None,
    data: app.Data = None,
    weights: app.Weights = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder to put it into, in place of those of --data and --weights.")
    ] = None,
    archive: Annotated[
        list[Path] | None,
        typer.Option(help="The corpus's archive as it was delivered; again for each if there are several."),
    ] = None,
    accept_licence: app.AcceptLicence = False,
    jobs: Annotated[
        int, typer.Option(min=1, max=32, help="Downloads at once, for a corpus that comes file by file.")
    ] = 8,
    as_json: app.AsJson = False,
) -> None:
    """Fetch corpora and checkpoints from their own sources: resumed, verified, safely unpacked."""
    from serab_lib.download.fetch import Options
    from serab_lib.download.sources import resolve_names

    data, weights, archives = to or data, to or weights, tuple(archive or ())
    if not names:
        if archives:
            raise SerabError("--archive needs the name of its corpus: serab fetch NAME --archive FILE")
        _print_offers(data, weights, as_json)
        return
    wanted, withheld = resolve_names(names)
    if archives and (len(wanted) != 1 or withheld):
        raise SerabError(f"--archive belongs to one corpus, {len(wanted)} are named: fetch one at a time")
    if accept_licence:
        wanted += [source for source in withheld if source.needs_consent]
        withheld = [source for source in withheld if not source.needs_consent]
    options = Options(
        data=data,
        weights=weights,
        archives=archives,
        accept_licence=accept_licence,
        n_workers=jobs,
        announce=announce_source,
    )
    rows = [_fetch_one(source, options) for source in wanted] + [_leave_out(source, options) for source in withheld]
    if as_json:
        app.print_json(rows)
    else:
        for row in rows:
            _print_outcome(row)
    if any(row["state"] == "failed" for row in rows):
        raise typer.Exit(1)


def _fetch_one(source: Any, options: Any) -> dict[str, Any]:
    """What came of fetching from one source."""
    from serab_lib.corpora.check import summarise
    from serab_lib.download.fetch import fetch as get

    try:
        with app.progress() as tell:
            made = get(source, dataclasses.replace(options, progress=tell))
    except SerabError as error:
        return {"name": source.name, "state": "failed", "message": str(error)}
    return dataclasses.asdict(made) | {"path": printable(made.path), "summary": summarise(made.problems)}


def _leave_out(source: Any, options: Any) -> dict[str, Any]:
    """Why one source is not fetched from, and what to do about it."""
    from serab_lib.download.fetch import write_advice

    if source.needs_consent:
        message = f"licence to accept: read {source.licence_url}, then add --accept-licence"
    else:
        message = f"{source.access}: {write_advice(source, options)}"
    return {"name": source.name, "state": "left out", "message": message}


def announce_source(source: Any) -> None:
    """Show what is about to be downloaded: source, size, licence, citation."""
    from serab_lib.download.sources import describe_source

    app.errors.print(f"[bold]{escape(source.title)}[/]", soft_wrap=True)
    for name, value in describe_source(source).items():
        app.errors.print(f"  {name}: {escape(value)}", soft_wrap=True)


def _print_outcome(row: dict[str, Any]) -> None:
    """Print what came of one source."""
    if row["state"] == "failed":
        app.complain([row["message"]])
    elif row["state"] == "left out":
        app.output.print(f"[bold]{row['name']}[/]: left out, {escape(row['message'])}")
    else:
        did = "is there already" if row["state"] == "present" else "fetched"
        app.output.print(f"[bold]{row['name']}[/]: {did}, {escape(row['path'])}, verified {row['verified']}")
        for line in (*row["notes"], *row["summary"]):
            app.output.print(f"  {escape(line)}")


def _print_offers(data: Path | None, weights: Path | None, as_json: bool) -> None:
    """Print what can be fetched and what is there."""
    from serab_lib.download.fetch import survey
    from serab_lib.download.sources import describe_source, write_size

    rows = []
    for offer in survey(data, weights):
        source, facts = offer.source, describe_source(offer.source)
        row = {name: getattr(source, name) for name in ("name", "kind", "licence", "page", "citation")}
        row |= {"state": offer.state, "size": write_size(source.download_size), "note": offer.note}
        rows.append(row | {"source": facts["source"], "verified": facts["verified"]})
    app.print_rows(rows, ("name", "kind", "state", "size", "licence"), as_json)
    if not as_json:
        app.output.print(
            "\n`serab fetch NAME...` fetches; `serab fetch NAME --archive FILE` takes an archive that you have."
        )


@app.command
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Codes or names. All on disk if none.")
    ] = None,
    data: app.Data = None,
    as_json: app.AsJson = False,
) -> None:
    """Decode every file of a corpus and name what is missing, broken, there twice or not what was released."""
    from serab_lib.corpora.check import check_corpus
    from serab_lib.corpora.corpus import find_data, find_root
    from serab_lib.corpora.task import TASKS, get_task

    folder = find_data(data)
    chosen = [get_task(name) for name in names or []]
    chosen = chosen or [task for task in TASKS.values() if find_root(task, data).is_dir()]
    if not chosen:
        raise SerabError(
            f"no corpus in {printable(folder)}: pass --data DIR with one folder per corpus, such as DIR/ravdess"
        )
    reports = {}
    for task in chosen:
        with app.progress() as tell:
            report = check_corpus(task, data, progress=functools.partial(tell, f"{task.code}: decoding"))
        reports[task.code] = report
        if not as_json:
            _print_report(task.code, report)
    if as_json:
        app.print_json([{"task": code, **dataclasses.asdict(each)} for code, each in reports.items()])
    if any(problem.affects_result for report in reports.values() for problem in report.problems):
        raise typer.Exit(1)


def _print_report(code: str, report: Any) -> None:
    """Print what a corpus is and what is wrong with it, one line a kind."""
    from serab_lib.corpora.check import summarise

    is_fit = not any(each.affects_result for each in report.problems)
    verdict = "complete and decodable" if is_fit else "not fit for a comparable result"
    if report.n_originals is not None:
        verdict = f"{report.n_originals:,} of {report.n_utterances:,} recordings as released; {verdict}"
    app.output.print(f"[bold]{code}[/]: {verdict}{', with these remarks' if report.problems else ''}")
    lines = summarise(report.problems)
    for line in lines:
        app.output.print(f"  {escape(line)}")
    if len(report.problems) > len(lines):
        app.output.print("  `serab check --json` lists every file")


@app.command
def synthesise(
    data: Annotated[Path, typer.Option(help="Folder to write the corpora into, one folder each.")],
    tasks: Annotated[str, typer.Option(help="Codes or names, comma-separated; `all` for the paper's nine.")] = "all",
    seed: Annotated[int, typer.Option(min=0, help="Seed; the same seed gives the same files.")] = 0,
) -> None:
    """Speak nine small corpora with eSpeak NG: they test the pipeline and say nothing about people."""
    from serab_lib.corpora.synthetic import generate

    chosen = None if tasks == "all" else app.split_names(tasks, "--tasks")
    with app.progress() as tell:
        generate(data, tasks=chosen, seed=seed, progress=functools.partial(tell, "speaking"))
    app.output.print(f"synthetic corpora in {data}")
