"""`dsvl-data taxonomy balance|report|eval-set`: a folder in; a mix, a report, questions out.

Only the options stand here, and what is printed; the work is in `balance.py`, `report.py` and
`eval_set.py`, which are imported when they are needed.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsvl_data.console import console
from dsvl_data.outcome import UserError

if TYPE_CHECKING:
    from taxonomy.pool import HeldOut

OutArgument = Annotated[str, typer.Argument(metavar="DIR", help="output folder of a build")]
TaxonomyOption = Annotated[
    Path | None, typer.Option("--taxonomy", metavar="FILE", help="another taxonomy (YAML)")
]
JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable output")]
WorkersOption = Annotated[
    int, typer.Option(help="threads; the result is the same with any number", min=1)
]


class Rest(StrEnum):
    """How nodes without a share get theirs."""

    EVEN = "even"
    LEAVES = "leaves"
    SUPPLY = "supply"


class NearDuplicates(StrEnum):
    """What becomes of them."""

    REMOVE = "remove"
    KEEP = "keep"


def balance(
    out: OutArgument,
    size: Annotated[
        int | None, typer.Option(help="conversations in the mix, repeats counted", min=1)
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="all of this as YAML; options take precedence"),
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE=SHARE", help="share of a node in the whole mix: counting=0.05"),
    ] = None,
    rest: Annotated[
        Rest | None,
        typer.Option(
            help="who gets what no --share settles: all nodes below one alike, all leaves alike, "
            "or in proportion to supply [default: even]",
            show_default=False,
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="flattens --rest supply: weights are supply^(1/T); 1 is plain"),
    ] = None,
    skip_empty: Annotated[
        bool | None,
        typer.Option("--skip-empty", help="leaves without supply get no share, not a deficit"),
    ] = None,
    language_share: Annotated[
        list[str] | None,
        typer.Option(metavar="LANG=SHARE", help="wanted in every leaf; they sum to 1: en=0.5"),
    ] = None,
    source_cap: Annotated[
        float | None, typer.Option(help="at most this from any one source: 0.3, or 5000")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=MIN:MAX", help="bounds of one source, instead of the cap"),
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(metavar="LANG=MIN:MAX", help="bounds of a language: zh=0.3:")
    ] = None,
    node: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE=MIN:MAX", help="bounds of a leaf or category: safety=0.02:0.1"),
    ] = None,
    image_uses: Annotated[
        int | None, typer.Option(help="conversations (repeats counted) with one image, at most")
    ] = None,
    conversation_uses: Annotated[
        int | None,
        typer.Option(help="times that one conversation may be used [default: 1]"),
    ] = None,
    near_duplicates: Annotated[
        NearDuplicates | None,
        typer.Option(
            help="of nearly equal texts with the same images, one stays [default: remove]"
        ),
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="labels less sure than this count as none")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="decides which conversations of a kind")] = None,
    taxonomy: TaxonomyOption = None,
    workers: WorkersOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Choose the SFT mix nearest to a target, within constraints.

    DIR holds classified conversations (see `taxonomy classify`).

    The mix is the one nearest to the target in total variation (the share
    of it that would have to be swapped) that keeps to every constraint.

    Where none does, the constraints that collide are named, and nothing is
    written. Bounds up to 1 are shares of the mix, above 1 conversations.

    Conversations like those of the evaluation set, if there is one, stay out.

    Written: DIR/taxonomy/mix.parquet (key, times, ...) and mix.json. Where
    the recipe says `curation: {chosen: {}}`, the next `corpus build` cuts
    its shards from these conversations, each as often as the mix uses it.

    Two public sets, 40 to 60 % Chinese, no source beyond 70 %, each picture
    twice at most, and what is missing for a better mix:

        dsvl-data corpus build two-sets.yaml --out DIR

        dsvl-data taxonomy classify DIR

        dsvl-data taxonomy balance DIR --size 20000 --skip-empty
            --source-cap 0.7 --language zh=0.4:0.6 --image-uses 2

        dsvl-data taxonomy report DIR --html report.html

        dsvl-data corpus build two-sets.yaml --out DIR
    """
    from taxonomy import index, mix_report, near
    from taxonomy.balance import balance as find
    from taxonomy.curated import usable
    from taxonomy.pool import COLUMNS
    from taxonomy.targets import load_settings
    from taxonomy.tree import load_taxonomy

    options: dict[str, Any] = {
        "size": size,
        "shares": _numbers("--share", share),
        "rest": rest and rest.value,
        "temperature": temperature,
        "skip_empty": skip_empty,
        "languages": _numbers("--language-share", language_share),
        "source_cap": source_cap,
        "bounds": {
            "sources": _bounds("--source", source),
            "languages": _bounds("--language", language),
            "nodes": _bounds("--node", node),
        },
        "image_uses": image_uses,
        "conversation_uses": conversation_uses,
        "near_duplicates": near_duplicates and near_duplicates.value,
        "min_confidence": min_confidence,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value not in (None, {})}
    settings = load_settings(target, given)
    tree = load_taxonomy(taxonomy)
    near.annotate(out, workers)
    classified = index.read(out, COLUMNS)
    table = usable(out, classified)
    mix = find(table, tree, settings, _held_out(out), workers)
    said = mix_report.write(out, table, mix)
    if as_json:
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    screen = console()
    if gone := classified.num_rows - table.num_rows:
        screen.print(f"{gone} conversations are not used: curation leaves them out")
    for line in mix_report.summary(said):
        screen.print(line, highlight=False, markup=False, soft_wrap=True)
    screen.print(f"wrote {out}/taxonomy/mix.parquet and mix.json", highlight=False, markup=False)


def report(
    out: OutArgument,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write a page with the tree as an icicle")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="leaves in the table", min=1)] = 20,
    taxonomy: TaxonomyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which leaves are short, and by how much, in each language; and what to collect next.

    Measured against the mix that `taxonomy balance` made last.
    """
    from dsvl_data import storage
    from taxonomy import report as reports
    from taxonomy.tree import load_taxonomy

    found = reports.deficits(out, load_taxonomy(taxonomy))
    if html is not None:
        storage.atomic_write(str(html), reports.page(found).encode())
        typer.echo(f"wrote {html}", err=True)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    screen = console()
    screen.print(reports.table(found, count))
    for line in reports.advice(found):
        screen.print(line, highlight=False, markup=False, soft_wrap=True)


def eval_set(
    out: OutArgument,
    size: Annotated[int, typer.Option(help="questions", min=1)] = 100,
    main: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="a main category to ask about [default: all but multi-graph: seven, as in the "
            "paper]",
        ),
    ] = None,
    language_share: Annotated[
        list[str] | None, typer.Option(metavar="LANG=SHARE", help="en=0.5; they sum to 1")
    ] = None,
    seed: Annotated[int, typer.Option(help="decides which conversations")] = 0,
    taxonomy: TaxonomyOption = None,
    workers: WorkersOption = 1,
) -> None:
    """Hold out a balanced set of questions that shares nothing with the training mix.

    No conversation, no image and no nearly equal text of the mix is in it; and once it is there,
    `taxonomy balance` keeps out of its way in turn. Written: DIR/taxonomy/eval-set.jsonl, its
    images in DIR/taxonomy/eval-set/, and eval-set.parquet, by which it is kept apart.
    """
    from taxonomy import eval_set as sets
    from taxonomy import near
    from taxonomy.tree import load_taxonomy

    near.annotate(out, workers)
    tree = load_taxonomy(taxonomy)
    languages = _numbers("--language-share", language_share)
    lines = sets.make(out, tree, size, main, languages, seed, workers)
    for line in lines:
        console().print(line, highlight=False, markup=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add these commands to the group `dsvl-data taxonomy`."""
    app.command("balance")(balance)
    app.command("report")(report)
    app.command("eval-set")(eval_set)


def _held_out(out: str) -> HeldOut | None:
    from taxonomy.eval_set import held_out

    return held_out(out)


def _numbers(option: str, values: list[str] | None) -> dict[str, float]:
    found = {}
    for value in values or ():
        name, _, number = value.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            raise UserError(f"{option} {value!r}: expected NAME=SHARE, as in en=0.5") from None
    return found


def _bounds(option: str, values: list[str] | None) -> dict[str, dict[str, float]]:
    found = {}
    for value in values or ():
        name, equals, said = value.partition("=")
        low, colon, high = said.partition(":")
        try:
            if not (equals and colon):
                raise ValueError
            given = {"min": low, "max": high}
            found[name.strip()] = {side: float(text) for side, text in given.items() if text}
        except ValueError:
            raise UserError(
                f"{option} {value!r}: expected NAME=MIN:MAX, as in zh=0.3:0.5, zh=0.3: or zh=:0.5"
            ) from None
    return found
