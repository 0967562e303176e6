"""`dsvl-data taxonomy`: the commands of this room, gathered; the work is in the modules they name.

`commands_mix.py` has balance, report and eval-set; here are show and classify.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from dsvl_data.console import console
from dsvl_data.outcome import UserError
from taxonomy import commands_mix, commands_prompts
from taxonomy.accuracy import ALL, LEVELS, Accuracy, measure, read_examples
from taxonomy.classify import THRESHOLD, Classifier, Conversation, Summary, classify_parts
from taxonomy.tree import Node, Taxonomy, load_taxonomy

app = typer.Typer(no_args_is_help=True)

TaxonomyOption = Annotated[
    Path | None,
    typer.Option("--taxonomy", metavar="FILE", help="another taxonomy, or an extension (YAML)"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable output")]
_SHOWN_ROWS = 15
_LOG_SECONDS = 10.0

commands_mix.register(app)
app.command()(commands_prompts.prompts)


@app.command()
def show(
    taxonomy: TaxonomyOption = None,
    as_json: JsonOption = False,
    node: Annotated[str | None, typer.Option(help="only this category and what is below")] = None,
    prompts: Annotated[bool, typer.Option("--prompts", help="print the prompts too")] = False,
    language: Annotated[str, typer.Option(help="language of names and prompts")] = "en",
) -> None:
    """Print the tree of use cases, with counts of leaves and prompts."""
    tree = load_taxonomy(taxonomy)
    roots = tree.main
    if node is not None:
        try:
            roots = (tree.node(node),)
        except KeyError:
            raise UserError(f"there is no category {node!r}; `taxonomy show` lists all") from None
    if as_json:
        form = {
            "digest": tree.digest,
            "languages": tree.languages,
            "leaves": sum(n.is_leaf for root in roots for n in root.walk()),
            "nodes": [_node_json(root) for root in roots],
        }
        typer.echo(json.dumps(form, indent=2, ensure_ascii=False))
        return
    whole = Tree(f"[bold]taxonomy[/]  {_counts(roots, tree)}", highlight=False)
    for root in roots:
        _grow(whole, root, tree, language, prompts)
    console().print(whole)


@app.command()
def classify(
    out: Annotated[
        str | None, typer.Argument(metavar="DIR", help="output folder of a build")
    ] = None,
    taxonomy: TaxonomyOption = None,
    threshold: Annotated[
        float, typer.Option(help="confidence below which none is labelled", min=0.0, max=1.0)
    ] = THRESHOLD,
    evaluate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='test on JSON lines: {"id", "language", "text"}'),
    ] = None,
    text_only: Annotated[
        bool, typer.Option("--text-only", help="label conversations without an image too")
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="ask an OpenAI-compatible server: http://host:8000/v1"),
    ] = None,
    model: Annotated[str | None, typer.Option(help="the server's model")] = None,
    api_key_env: Annotated[
        str, typer.Option(metavar="NAME", help="environment variable that holds the server's key")
    ] = "OPENAI_API_KEY",
    max_requests: Annotated[int | None, typer.Option(help="budget in requests", min=1)] = None,
    max_tokens: Annotated[int | None, typer.Option(help="budget in tokens", min=1)] = None,
    concurrency: Annotated[int, typer.Option(help="requests at once", min=1)] = 8,
    batch: Annotated[int, typer.Option(help="conversations a request", min=1, max=64)] = 8,
    tokenizer: Annotated[
        str | None, typer.Option(help="counts tokens, as in a recipe; else they are estimated")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="where models and answers are kept [default: DSVL_CACHE]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Give every conversation its use case, and a confidence; or test how good that is.

    By default a fastText classifier is trained from the taxonomy's own prompts (seconds, offline).
    Writes DIR/taxonomy/index, which `taxonomy balance` reads.
    """
    from taxonomy.endpoint import EndpointClassifier, EndpointSettings
    from taxonomy.fasttext_classifier import cache_folder, load_or_train

    if out is None and evaluate is None and endpoint is not None:
        raise UserError("say what to classify (DIR), or what to test on (--evaluate FILE)")
    tree = load_taxonomy(taxonomy)
    examples = read_examples(evaluate, tree) if evaluate is not None else []
    said: dict[str, object] = {}
    classifier: Classifier
    if endpoint is not None:
        if model is None:
            raise UserError("name the server's model: --model NAME")
        settings = EndpointSettings(
            url=endpoint,
            model=model,
            api_key=os.environ.get(api_key_env),
            batch=batch,
            concurrency=concurrency,
            max_requests=max_requests,
            max_tokens=max_tokens,
        )
        place = (cache or cache_folder()) / "answers"
        asked = EndpointClassifier(tree, settings, place, threshold)
        classifier = asked
    else:
        trained = load_or_train(tree, cache, threshold)
        classifier = trained
        said["held_out"] = trained.held_out.to_json()
    if examples:
        asked_of = [Conversation((example.text,)) for example in examples]
        labels = classifier.classify(asked_of)
        if endpoint is None:
            found = [choice.path for choice in trained.choose(asked_of)]
            result = measure(examples, list(found), labels)
        else:
            paths = [tuple(label.path.split("/")) if label.path else None for label in labels]
            result = measure(examples, paths, labels)
        said["test"] = result.to_json()
        if not as_json:
            _print_accuracy(f"on {evaluate.name}" if evaluate else "", result)
    elif endpoint is None and not as_json:
        _print_accuracy("on the taxonomy's own prompts, each left out once", trained.held_out)
    if out is not None:
        with _progress() as progress:
            summary = classify_parts(
                out,
                tree,
                classifier,
                text_only=text_only,
                tokenizer=tokenizer,
                progress=progress,
            )
        said["summary"] = summary.to_json()
        if not as_json:
            _print_summary(out, summary)
    if endpoint is not None:
        said["spent"] = asdict(asked.spent)
        if not as_json:
            _print_spent(said["spent"])
    if as_json:
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))


def _node_json(node: Node) -> dict[str, object]:
    return {
        "id": node.id,
        "name": dict(node.name),
        "definition": dict(node.definition),
        "images": list(node.images),
        "prompts": {language: list(said) for language, said in node.prompts.items()},
        "keywords": {language: list(said) for language, said in node.keywords.items()},
        "children": [_node_json(child) for child in node.children],
    }


def _counts(roots: tuple[Node, ...], taxonomy: Taxonomy) -> str:
    leaves = [node for root in roots for node in root.walk() if node.is_leaf]
    prompts = ", ".join(
        f"{sum(len(leaf.prompts.get(language, ())) for leaf in leaves)} {language}"
        for language in taxonomy.languages
    )
    return f"[dim]{len(leaves)} leaves; prompts: {prompts}[/]"


def _grow(above: Tree, node: Node, taxonomy: Taxonomy, language: str, prompts: bool) -> None:
    name = escape(node.name.get(language) or next(iter(node.name.values())))
    if not node.is_leaf:
        below = above.add(f"[bold]{name}[/] ({node.id})  {_counts((node,), taxonomy)}")
        for child in node.children:
            _grow(below, child, taxonomy, language, prompts)
        return
    counts = "+".join(str(len(node.prompts.get(code, ()))) for code in taxonomy.languages)
    leaf = above.add(f"{name} ({node.id})  [dim]{counts}  {' '.join(node.images)}[/]")
    if prompts:
        for prompt in node.prompts.get(language, ()):
            leaf.add(f"[italic]{escape(prompt)}[/]")


def _print_accuracy(where: str, found: Accuracy) -> None:
    screen = console()
    table = Table(title=f"accuracy {escape(where)}")
    table.add_column("language")
    table.add_column("examples", justify="right")
    for level in LEVELS:
        table.add_column(level, justify="right")
    for language in sorted(found.count, key=lambda name: (name == ALL, name)):
        shares = found.right[language]
        table.add_row(
            language,
            str(found.count[language]),
            *(f"{100 * shares[level]:.1f} %" for level in LEVELS),
        )
    screen.print(table)
    screen.print(
        f"labelled: {100 * found.labelled:.1f} %, of which right: "
        f"{100 * found.labelled_right:.1f} %",
        highlight=False,
    )
    names = sorted({*found.confusion, *(n for row in found.confusion.values() for n in row)})
    matrix = Table(title="true main category (rows), found (columns)")
    matrix.add_column("")
    for name in names:
        matrix.add_column(name.split("-")[0][:12], justify="right")
    for true in names:
        row = found.confusion.get(true)
        if row is not None:
            matrix.add_row(true, *(str(row.get(name, 0) or "·") for name in names))
    screen.print(matrix)


@contextmanager
def _progress() -> Iterator[Callable[[Summary], None]]:
    """Show how far classifying is, on stderr: a live line, or one now and then in a log."""
    screen = console(stderr=True)
    started = told = time.monotonic()

    def line(summary: Summary) -> str:
        rate = summary.conversations / max(1e-9, time.monotonic() - started)
        return (
            f"classify: {summary.conversations} conversations ({summary.labelled} labelled) in "
            f"{summary.parts} parts, {rate:.0f}/s"
        )

    if screen.is_terminal:
        with screen.status("classify") as status:
            yield lambda summary: status.update(line(summary))
        return

    def log(summary: Summary) -> None:
        nonlocal told
        if time.monotonic() - told >= _LOG_SECONDS:
            told = time.monotonic()
            screen.print(line(summary), highlight=False, soft_wrap=True)

    yield log


def _print_summary(out: str, summary: Summary) -> None:
    screen = console()
    unlabelled = summary.conversations - summary.labelled
    screen.print(
        f"{escape(out)}: {summary.conversations} conversations in {summary.parts} parts "
        f"({summary.parts_done_before} of them done before): {summary.labelled} labelled, "
        f"{unlabelled} unlabelled",
        highlight=False,
    )
    for title, counter in (
        ("leaf", summary.leaves),
        ("why unlabelled", summary.reasons),
        ("unlabelled, but surely in", summary.nearest),
    ):
        if not counter:
            continue
        table = Table()
        table.add_column(title)
        table.add_column("conversations", justify="right")
        for name, number in counter.most_common(_SHOWN_ROWS):
            table.add_row(escape(name), str(number))
        rest = sorted(counter.values(), reverse=True)[_SHOWN_ROWS:]
        if rest:
            table.add_row(f"{len(rest)} others", str(sum(rest)))
        screen.print(table)


def _print_spent(spent: object) -> None:
    assert isinstance(spent, dict)
    pairs = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in spent.items())
    console().print(f"endpoint: {pairs}", highlight=False)
