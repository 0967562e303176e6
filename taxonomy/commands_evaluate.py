"""`dsvl-data evaluate judge|sheet`: questions and models' answers in; who answers better, out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsvl_data.console import console
from dsvl_data.outcome import UserError

if TYPE_CHECKING:
    from taxonomy.verdicts import Comparison

app = typer.Typer(no_args_is_help=True)

QuestionsArgument = Annotated[
    Path, typer.Argument(metavar="QUESTIONS", help="eval-set.jsonl, of `taxonomy eval-set`")
]
AnswersOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FILE", help='a model\'s answers, {"id": ..., "answer": ...} a line; repeat'
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable output")]


@app.command()
def judge(
    questions: QuestionsArgument,
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="what stands before /chat/completions")
    ],
    model: Annotated[str, typer.Option(help="the judge, as the endpoint calls it")],
    answers: AnswersOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write what the judge said, a line each")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="keep answers; a repeat costs nothing")
    ] = None,
    max_requests: Annotated[int, typer.Option(help="then stop; 0: no limit", min=0)] = 0,
    max_tokens: Annotated[int, typer.Option(help="then stop; 0: no limit", min=0)] = 0,
    parallel: Annotated[int, typer.Option(help="requests at a time", min=1)] = 8,
    key_variable: Annotated[
        str, typer.Option(help="environment variable that holds the key")
    ] = "OPENAI_API_KEY",
    no_images: Annotated[bool, typer.Option("--no-images", help="the judge sees none")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a model compare the answers of two others, each pair in both orders.

    Reports win, tie and loss of the first model per main category, and how much the position of
    an answer mattered. An answer wins that is better in both orders.
    """
    from dsvl_data import storage
    from taxonomy.endpoint_client import Endpoint
    from taxonomy.judge import compare
    from taxonomy.questions import load_answers, load_questions

    asked = load_questions(questions)
    models, missing = load_answers(answers or (), asked)
    if len(models) != 2:
        raise UserError(f"--answers is needed twice, for two models; {len(models)} are given")
    where = Endpoint(
        endpoint,
        model,
        key_variable,
        parallel,
        most_requests=max_requests,
        most_tokens=max_tokens,
    )
    one, other = models.items()
    kept = None if cache is None else str(cache)
    found, records = compare(asked, one, other, where, kept, images=not no_images)
    if out is not None:
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        storage.atomic_write(str(out), text.encode())
    _tell(found, missing, as_json)
    if not found.verdicts:
        raise UserError("nothing was judged: see the reasons above")


@app.command()
def sheet(
    questions: QuestionsArgument,
    out: Annotated[Path, typer.Option(metavar="FILE", help="the page: sheet.html")],
    answers: AnswersOption = None,
    scores: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="read raters' scores of the page instead; repeat"),
    ] = None,
    seed: Annotated[int, typer.Option(help="decides the order of the answers")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write a page on which people score models' answers; read their scores back.

    With --answers, two or more: writes FILE, to be sent to raters, and FILE.key.json, to be kept
    from them. With --scores: reads what raters have saved, and reports as `evaluate judge` does.
    """
    from taxonomy.questions import load_answers, load_questions
    from taxonomy.sheet import key_path, read_scores, write_sheet

    if bool(answers) == bool(scores):
        raise UserError("give --answers to write a sheet, or --scores to read what was saved of it")
    if scores:
        _tell(read_scores(out, scores), [], as_json)
        return
    asked = load_questions(questions)
    models, missing = load_answers(answers or (), asked)
    if len(models) < 2:
        raise UserError("--answers is needed at least twice: there is nothing to compare with")
    count = write_sheet(out, asked, models, seed)
    for line in [*missing, f"{count} questions: wrote {out}, and {key_path(out)} (not for raters)"]:
        console().print(line, highlight=False, markup=False, soft_wrap=True)


def _tell(found: Comparison, missing: list[str], as_json: bool) -> None:
    from taxonomy.verdicts import lines, tables

    said: dict[str, Any] = found.to_json()
    if as_json:
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    screen = console()
    for table in tables(said):
        screen.print(table)
    for line in [*missing, *lines(said)]:
        screen.print(line, highlight=False, markup=False, soft_wrap=True)
