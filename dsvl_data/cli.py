"""`dsvl-data`, the door: a command line in; what it asks for out, and exit code 0 if all is well.

The other rooms are imported inside the command that needs them, so that `--help` is quick and
a part that is missing hurts only itself. Errors that a user can mend are told in one line
(`UserError`); a stack trace is for `--debug`.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from dsvl_data.console import console
from dsvl_data.outcome import Reason, UserError
from dsvl_data.shards.cli import app as shards

if TYPE_CHECKING:
    from dsvl_data.corpus_build import Means
    from dsvl_data.engine.run import Result

app = typer.Typer(
    help="Builds training data for vision-language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
corpus = typer.Typer(help="Turn raw material into shards.", no_args_is_help=True)
app.add_typer(corpus, name="corpus")
app.add_typer(shards, name="shards")


class _TaxonomyGroup(typer.core.TyperGroup):
    """The taxonomy's commands, whose room is imported only when one of them is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return self._room().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self._room().get_command(ctx, cmd_name)

    def _room(self) -> typer.core.TyperGroup:
        from taxonomy.commands import app as room

        group = typer.main.get_command(room)
        assert isinstance(group, typer.core.TyperGroup)
        return group


app.add_typer(
    typer.Typer(
        help="Use cases: the tree, classifying conversations, balancing them.",
        cls=_TaxonomyGroup,
        no_args_is_help=True,
    ),
    name="taxonomy",
)


class _EvaluateGroup(_TaxonomyGroup):
    """The same for comparing models' answers, and for scoring a model, in the trainer's room."""

    def list_commands(self, ctx: Any) -> list[str]:
        return ["model", *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name != "model":
            return super().get_command(ctx, cmd_name)
        from train.commands import evaluate

        return typer.main.get_command(evaluate)

    def _room(self) -> typer.core.TyperGroup:
        from taxonomy.commands_evaluate import app as room

        group = typer.main.get_command(room)
        assert isinstance(group, typer.core.TyperGroup)
        return group


app.add_typer(
    typer.Typer(
        help="Score models: by perplexities, by another model, by people.",
        cls=_EvaluateGroup,
        no_args_is_help=True,
    ),
    name="evaluate",
)

out_console = console()
error_console = console(stderr=True)


class Executor(StrEnum):
    """Where the work is done."""

    RAY = "ray"
    LOCAL = "local"


RecipeArgument = Annotated[Path, typer.Argument(help="recipe (YAML)")]
OutArgument = Annotated[str, typer.Argument(metavar="DIR", help="output folder of a build")]
ExecutorOption = Annotated[
    Executor, typer.Option(help="ray: this machine or RAY_ADDRESS; local: in this process")
]
WorkersOption = Annotated[int | None, typer.Option(help="workers; one a CPU by default")]
JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable output")]


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option(help="show stack traces of errors")] = False,
) -> None:
    """Options of every command."""
    context.obj = debug


@corpus.command("build")
def corpus_build(
    recipe_path: RecipeArgument,
    out: Annotated[str, typer.Option(metavar="DIR", help="output folder, local or s3://...")] = "",
    executor: ExecutorOption = Executor.RAY,
    workers: WorkersOption = None,
    rebuild: Annotated[
        list[str] | None, typer.Option(metavar="PIPELINE", help="discard its earlier work first")
    ] = None,
    show_recipe: Annotated[
        bool, typer.Option(help="print the recipe with every default, and stop")
    ] = False,
) -> None:
    """Convert documents, curate, cut shards; called again, do only what is missing."""
    from dsvl_data import recipe
    from dsvl_data.corpus_build import build
    from pipelines import PIPELINES

    plan = recipe.load(recipe_path, PIPELINES)
    if show_recipe:
        typer.echo(recipe.show(plan), nl=False)
        return
    if not out:
        raise UserError("say where the corpus goes: --out DIR")
    result = build(plan, recipe_path, out, _means(executor, workers), rebuild=rebuild or ())
    _conclude(result, out)


@corpus.command("retry")
def corpus_retry(
    out: OutArgument,
    reason: Annotated[list[str], typer.Option(help="convert again what failed for this reason")],
    seconds: Annotated[
        float | None, typer.Option(help="another time limit a document", min=0.001)
    ] = None,
    memory_mb: Annotated[int | None, typer.Option(help="another memory limit", min=1)] = None,
    executor: ExecutorOption = Executor.RAY,
    workers: WorkersOption = None,
) -> None:
    """Convert again just the documents that failed for some reason; then cut the shards anew."""
    from dsvl_data.corpus_build import retry

    means = _means(executor, workers)
    _conclude(retry(out, reason, means, seconds=seconds, memory_mb=memory_mb), out)


@corpus.command("status")
def corpus_status(out: OutArgument, as_json: JsonOption = False) -> None:
    """Say what became of every document. Exits with 1 while documents are pending."""
    from dsvl_data.corpus_status import read_status, show, show_problems

    status = read_status(out)
    if as_json:
        typer.echo(json.dumps(status.to_json(), indent=2, ensure_ascii=False))
        show_problems(status, error_console)
    else:
        show(status, out_console, error_console)
    if not status.is_done:
        raise typer.Exit(1)


@corpus.command("explain")
def corpus_explain(
    out: OutArgument,
    name: Annotated[str, typer.Argument(metavar="ID", help="document id or sample key")],
    as_json: JsonOption = False,
) -> None:
    """Say all that is known of a document or sample: origin, outcome, scores, rules, shard."""
    from dsvl_data.curate.accounts import is_curated
    from dsvl_data.curate.chosen import without_use
    from dsvl_data.display import explain_lines
    from dsvl_data.engine.ledger import explain
    from dsvl_data.engine.preflight import absolute

    records = explain(absolute(out), without_use(name))
    if not records:
        raise UserError(
            f"{out} knows no document or sample {name!r}; ids look like DATASET:PATH, keys like "
            "0123456789abcdef0123-00000"
        )
    if is_curated(absolute(out)):
        from dsvl_data.curate.explain import add_curation

        add_curation(absolute(out), records)
    if as_json:
        typer.echo(json.dumps(records, indent=2, ensure_ascii=False))
        return
    for record in records:
        for line in explain_lines(record):
            typer.echo(line)


@corpus.command("train-quality")
def corpus_train_quality(
    good: Annotated[str, typer.Argument(help="file, folder or glob of good texts")],
    bad: Annotated[str, typer.Argument(help="the same of bad texts")],
    out: Annotated[str, typer.Option(metavar="MODEL", help="where the model goes")],
    held_out: Annotated[
        float, typer.Option(help="share of documents to test on", min=0.01, max=0.5)
    ] = 0.1,
    epochs: Annotated[int, typer.Option(help="passes over the texts", min=1)] = 25,
    seed: Annotated[int, typer.Option(help="decides what is held out")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Train a classifier (fastText) of good and bad text; test it on documents held out.

    A recipe names the model as `curation: {text: {model: {classifier: MODEL}}}`.
    """
    from dataclasses import asdict

    from dsvl_data.curate.quality_model import Settings, train
    from dsvl_data.curate.quality_reading import Texts
    from pipelines import PIPELINES

    sides = {name: Texts(path, PIPELINES["text"]) for name, path in (("good", good), ("bad", bad))}
    settings = Settings(held_out=held_out, epochs=epochs, seed=seed)
    report = train(sides["good"], sides["bad"], out, settings)
    for name, texts in sides.items():
        for reason, count in texts.unread.items():
            error_console.print(f"{count} {name} documents not read: {reason}", highlight=False)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
        return
    out_console.print(
        f"trained on {report.good} good and {report.bad} bad texts ({report.left_out} left out: "
        "repeated, on both sides, or without prose); "
        f"held out: {report.held_out_good} good, {report.held_out_bad} bad",
        highlight=False,
    )
    for side, precision, recall in (
        ("good", report.precision, report.recall),
        ("bad ", report.bad_precision, report.bad_recall),
    ):
        out_console.print(
            f"{side}  precision {precision:.3f}  recall {recall:.3f}", highlight=False
        )
    out_console.print(f"wrote {escape(out)} and {escape(out)}.json", highlight=False)


@corpus.command("reasons")
def corpus_reasons() -> None:
    """List every reason for which a document or item is not kept."""
    width = max(len(str(reason)) for reason in Reason)
    for reason in Reason:
        typer.echo(f"{reason!s:<{width}} {reason.outcome:<12} {reason.meaning}")


@app.command()
def train(
    recipe_path: Annotated[Path, typer.Argument(metavar="RECIPE", help="training recipe (YAML)")],
    stage: Annotated[
        int | None, typer.Option(help="this stage alone; all three by default", min=1, max=3)
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="STAGES",
            help="begin with the weights of 1, 2 or 1+2, or with the recipe's own (0), for "
            "ablations; by default with those of all stages before",
        ),
    ] = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="on a Ray cluster: this machine or RAY_ADDRESS")
    ] = False,
) -> None:
    """Train a model on shards, in three stages; called again, go on from the last checkpoint.

    On several GPUs of one machine: `torchrun --nproc-per-node 8 --no-python dsvl-data train ...`.
    """
    from train.commands import train_command

    train_command(recipe_path, stage, after, ray=ray)


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Say what this machine has, what it lacks, and what the lack costs."""
    from dataclasses import asdict

    from dsvl_data.doctor import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if as_json:
            continue
        mark = "[green]ok     [/]" if finding.present else "[red]missing[/]"
        out_console.print(f"{mark} {finding.name}: {escape(finding.detail)}", highlight=False)
        if not finding.present:
            out_console.print(f"        without it: {escape(finding.cost)}", highlight=False)
            out_console.print(f"        to mend it: {escape(finding.cure)}", highlight=False)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    if any(finding.needed and not finding.present for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; the process's exit code says whether all is well."""
    debug = "--debug" in sys.argv[1:]
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        if debug:
            raise
        _fail(str(error))
    except (typer.Abort, KeyboardInterrupt):
        error_console.print("interrupted; the same command goes on from here")
        sys.exit(130)
    except Exception as error:  # the last resort: whatever it is, tell it in one line
        if debug:
            raise
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of typer's
            error.show()
            sys.exit(error.exit_code)
        _fail(
            f"{type(error).__name__}: {error} (a fault of ours; `dsvl-data --debug ...` says more)"
        )
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    error_console.print(f"[red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(1)


def _means(executor: Executor, workers: int | None) -> Means:
    from dsvl_data.corpus_build import Means
    from dsvl_data.display import RunDisplay
    from pipelines import PIPELINES

    return Means(PIPELINES, executor.value, workers, RunDisplay(out_console))


def _conclude(result: Result, out: str) -> None:
    """Say what became of everything; exits with 1 where something is left to do."""
    from dsvl_data.corpus_status import read_status, show

    status = read_status(out)
    show(status, out_console, error_console)
    for failure in result.failures:
        error_console.print(f"[red]given up:[/] {escape(failure)}", highlight=False)
    if not status.samples_are_done:
        raise typer.Exit(1)
    if not result.ok:
        error_console.print("not everything is done; the same command tries the rest again")
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
