"""`dsvl-data`, the door: a command line in; what it asks for out, and exit code 0 if all is well.

The other rooms are imported inside the command that needs them, so that `--help` is quick and
a part that is missing hurts only itself. Errors that a user can mend are told in one line
(`UserError`); a stack trace is for `--debug`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from dsvl_data.console import console
from dsvl_data.outcome import Reason, UserError
from dsvl_data.shards.cli import app as shards

if TYPE_CHECKING:
    from dsvl_data.curate.accounts import Account
    from dsvl_data.curate.mix import Mix
    from dsvl_data.engine.ledger import Balance
    from dsvl_data.engine.run import Result
    from dsvl_data.recipe import Recipe

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

#: The resolved recipe, beside what was made of it; `retry` cuts the shards anew by it.
RECIPE_FILE = "recipe.yaml"


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
    from dsvl_data import recipe, storage
    from dsvl_data.display import RunDisplay
    from dsvl_data.engine.ledger import balances
    from dsvl_data.engine.partition import read_plans
    from dsvl_data.engine.preflight import absolute, load_jobs
    from dsvl_data.engine.run import run
    from dsvl_data.shards.tokens import token_counter
    from pipelines import PIPELINES

    plan = recipe.load(recipe_path, PIPELINES)
    if show_recipe:
        typer.echo(recipe.show(plan), nl=False)
        return
    if not out:
        raise UserError("say where the corpus goes: --out DIR")
    out = absolute(out)
    strangers = {each.job.name for each in read_plans(out)} - set(plan.pipelines)
    if strangers:
        raise UserError(
            f"{out} also holds {', '.join(sorted(strangers))}, which {recipe_path} does not "
            "name: its samples would get into the shards; choose another --out"
        )
    # What cannot succeed is told at once, not after Ray's start or the conversion.
    token_counter(plan.shards.tokenizer)
    if plan.curation:
        from dsvl_data.curate import measure

        measure.check(plan.curation)
    jobs = recipe.jobs(plan, recipe_path.parent, PIPELINES)
    load_jobs(jobs)
    with _executor_session(executor), RunDisplay(out_console).showing() as display:
        result = run(
            jobs,
            out,
            executor=executor.value,
            workers=workers,
            on_event=display.on_event,
            rebuild=rebuild or (),
        )
        storage.atomic_write(storage.join(out, RECIPE_FILE), recipe.show(plan).encode())
        if result.ok:
            _build_shards(out, plan, display, result.balances, executor, workers)
    _conclude(result, out, balances(out), _curation_accounts(out))


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
    from dsvl_data.display import RunDisplay
    from dsvl_data.engine.ledger import balances
    from dsvl_data.engine.partition import read_plans
    from dsvl_data.engine.preflight import absolute
    from dsvl_data.engine.run import retry

    out = absolute(out)
    plan = _stored_recipe(out)
    changes: dict[str, Any] = {"seconds": seconds, "memory_mb": memory_mb}
    changes = {key: value for key, value in changes.items() if value is not None}
    limits = {}
    if changes:
        for each in read_plans(out):
            before = each.job.load().limits
            limits[each.job.name] = type(before).model_validate(before.model_dump() | changes)
    with _executor_session(executor), RunDisplay(out_console).showing() as display:
        result = retry(
            out,
            reason,
            limits=limits,
            executor=executor.value,
            workers=workers,
            on_event=display.on_event,
        )
        after = balances(out)
        if result.ok and not any(balance.pending for balance in after.values()):
            _build_shards(out, plan, display, after, executor, workers)
    _conclude(result, out, after, _curation_accounts(out))


@corpus.command("status")
def corpus_status(out: OutArgument, as_json: JsonOption = False) -> None:
    """Say what became of every document. Exits with 1 while documents are pending."""
    from dsvl_data.engine.ledger import balances
    from dsvl_data.engine.preflight import absolute

    accounts = balances(absolute(out))
    curation = _curation_accounts(absolute(out))
    if as_json:
        form = {"pipelines": {name: account.to_json() for name, account in accounts.items()}}
        if curation:
            form["curation"] = {name: account.to_json() for name, account in curation.items()}
        if mix := _mix(absolute(out)):
            form["mix"] = mix.model_dump(mode="json")
        typer.echo(json.dumps(form, indent=2, ensure_ascii=False))
        _tell_problems(accounts, curation)
    else:
        _print_accounts(accounts, curation)
        _print_findings(absolute(out))
    every: list[Balance | Account] = [*accounts.values(), *curation.values()]
    if any(account.problems or account.pending for account in every):
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
        int | None,
        typer.Option(help="begin with this stage's weights, not the last one's", min=1, max=2),
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


def _build_shards(
    out: str,
    plan: Recipe,
    display: Any,
    accounts: dict[str, Balance],
    executor: Executor,
    workers: int | None,
) -> None:
    from dsvl_data.curate.run import curate, forget
    from dsvl_data.shards.build import build_shards

    left_out = {}
    if plan.curation is None:
        forget(out)
    else:
        curation = curate(
            out,
            plan.curation,
            tokenizer=plan.shards.tokenizer,
            executor=executor.value,
            workers=workers,
            progress=display.on_curation,
        )
        left_out = {name: dict(account.reasons) for name, account in curation.items()}
    build_shards(
        out,
        plan.shards,
        # A recipe that says nothing of curation is the recipe that it always was.
        recipe=plan.model_dump(mode="json", exclude=None if plan.curation else {"curation"}),
        curation=plan.curation,
        left_out=left_out,
        dropped={
            name: dict(account.counts.item_reasons + account.counts.reasons)
            for name, account in accounts.items()
        },
        executor=executor.value,
        workers=workers,
        progress=display.on_shards,
    )


def _executor_session(executor: Executor) -> AbstractContextManager[None]:
    """One Ray for conversion and shards: starting one takes seconds."""
    if executor is Executor.LOCAL:
        return nullcontext()
    from dsvl_data.engine.cluster import session
    from pipelines import PIPELINES

    return session(PIPELINES.values())


def _stored_recipe(out: str) -> Recipe:
    from dsvl_data import recipe, storage
    from pipelines import PIPELINES

    path = storage.join(out, RECIPE_FILE)
    try:
        source = storage.read_bytes(path).decode()
    except FileNotFoundError:
        raise UserError(f"nothing was built in {out}: run `corpus build` first") from None
    return recipe.parse(source, path, PIPELINES)


def _curation_accounts(out: str) -> dict[str, Account]:
    """The accounts of curation; empty where nothing is curated."""
    from dsvl_data.curate.accounts import accounts, is_curated

    return accounts(out) if is_curated(out) else {}


def _conclude(
    result: Result, out: str, accounts: dict[str, Balance], curation: dict[str, Account]
) -> None:
    _print_accounts(accounts, curation)
    _print_findings(out)
    for failure in result.failures:
        error_console.print(f"[red]given up:[/] {escape(failure)}", highlight=False)
    if any(account.problems or account.pending for account in curation.values()):
        raise typer.Exit(1)
    if not result.ok:
        error_console.print("not everything is done; the same command tries the rest again")
        raise typer.Exit(1)


def _print_accounts(accounts: dict[str, Balance], curation: dict[str, Account]) -> None:
    from dsvl_data import display

    tables = [display.balance_table(accounts), display.reason_table(accounts)]
    if curation:
        tables += [display.curation_table(curation), display.curation_reason_table(curation)]
    for table in tables:
        if table is not None:
            out_console.print(table)
    if curation and (masked := display.masked_line(curation)):
        out_console.print(masked, highlight=False, soft_wrap=True)
    _tell_problems(accounts, curation)


def _mix(out: str) -> Mix | None:
    """The mix of an output whose shards are built and whose recipe asks for one."""
    from dsvl_data import storage
    from dsvl_data.shards.manifest import NAME, read_manifest

    return read_manifest(out).mix if storage.exists(storage.join(out, NAME)) else None


def _print_findings(out: str) -> None:
    """Say what curation found out about the corpus as a whole."""
    from dsvl_data import display
    from dsvl_data.curate.accounts import is_curated
    from dsvl_data.curate.mix import sentences

    if is_curated(out):
        from dsvl_data.curate.contamination_report import summary  # takes a second to import

        if said := summary(out):
            out_console.print(escape(said), highlight=False, soft_wrap=True)
    if mix := _mix(out):
        out_console.print(display.mix_table(mix))
        out_console.print(sentences(mix), highlight=False, soft_wrap=True)


def _tell_problems(accounts: dict[str, Balance], curation: dict[str, Account]) -> None:
    every: list[tuple[str, Balance | Account]] = [*accounts.items(), *curation.items()]
    problems: Sequence[str] = [
        f"{name}: {problem}" for name, account in every for problem in account.problems
    ]
    for problem in problems:
        error_console.print(f"[red]does not balance:[/] {escape(problem)}", highlight=False)


if __name__ == "__main__":
    main()
