"""`serab tasks`, `serab models` and `serab check`: what there is, and whether it is whole."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from serab_lib.cli.app import AsJson, Data, Weights, command, output, print_rows, progress
from serab_lib.core import SerabError


@command
def tasks(data: Data = None, as_json: AsJson = False) -> None:
    """List the tasks: their language, access, licence and what is on disk."""
    from serab_lib.corpora.corpus import find_corpus
    from serab_lib.corpora.task import TASKS

    rows = []
    for task in TASKS.values():
        row = {
            "code": task.code,
            "name": task.name,
            "language": task.language,
            "classes": len(set(task.emotions.values())),
            "access": task.access,
            "licence": task.licence,
            "on_disk": "no",
            "utterances": 0,
            "source": task.source,
        }
        try:
            corpus = find_corpus(task, data)
        except SerabError as error:
            row["problem"] = str(error)
        else:
            row["on_disk"] = "complete" if corpus.complete else "incomplete"
            row["on_disk"] += ", synthetic" if corpus.synthetic else ""
            row["utterances"] = len(corpus.utterances)
        rows.append(row)
    shown = ("code", "name", "language", "classes", "access", "on_disk", "utterances", "licence")
    print_rows(rows, shown, as_json)


@command
def models(weights: Weights = None, as_json: AsJson = False) -> None:
    """List the extractors: parameters, embedding size, and whether their weights are at hand."""
    from serab_lib.extractors.registry import EXTRACTORS

    rows = []
    for entry in EXTRACTORS.values():
        checkpoint = next(iter(entry.checkpoints), None)
        rows.append(
            {
                "name": entry.name,
                "title": entry.title,
                "embedding_size": entry.embedding_size,
                "n_parameters": entry.n_parameters,
                "sample_rate": entry.sample_rate,
                "licence": entry.licence,
                "trained_on": entry.trained_on,
                "weights": entry.weights_state(weights),
                "file": checkpoint.file if checkpoint else None,
                "source": checkpoint.url if checkpoint else None,
            }
        )
    print_rows(rows, ("name", "embedding_size", "n_parameters", "weights", "licence"), as_json)


@command
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK]...", help="Codes or names. All on disk if none.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Decode every file of a corpus and name what is missing, broken, there twice or not what was released."""
    from serab_lib.corpora.check import check_corpus
    from serab_lib.corpora.corpus import find_data
    from serab_lib.corpora.task import TASKS, get_task

    folder = find_data(data)
    chosen = [get_task(name) for name in names or []]
    chosen = chosen or [task for task in TASKS.values() if (folder / task.name).is_dir()]
    if not chosen:
        raise SerabError(f"no corpus in {folder}: pass --data DIR with one folder per corpus, such as DIR/ravdess")
    reports = {}
    for task in chosen:
        with progress() as tell:
            report = check_corpus(task, data, progress=functools.partial(tell, f"{task.code}: decoding"))
        reports[task.code] = report
        if not as_json:
            _print_report(task.code, report)
    if as_json:
        output.print_json(json.dumps([{"task": code, **dataclasses.asdict(each)} for code, each in reports.items()]))
    if any(problem.affects_result for report in reports.values() for problem in report.problems):
        raise typer.Exit(1)


def _print_report(code: str, report: Any) -> None:
    """Print what a corpus is and what is wrong with it, one line a kind."""
    from serab_lib.corpora.check import summarise

    is_fit = not any(each.affects_result for each in report.problems)
    verdict = "complete and decodable" if is_fit else "not fit for a comparable result"
    if report.n_originals is not None:
        verdict = f"{report.n_originals:,} of {report.n_utterances:,} recordings as released; {verdict}"
    output.print(f"[bold]{code}[/]: {verdict}{', with these remarks' if report.problems else ''}")
    for line in summarise(report.problems):
        output.print(f"  {escape(line)}", soft_wrap=True)
    if len(report.problems) > len(summarise(report.problems)):
        output.print("  `serab check --json` lists every file")
