"""`dsvl-data taxonomy prompts`: options and what is printed; the work is in `prompts.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dsvl_data.console import console
from dsvl_data.outcome import UserError


def prompts(
    images: Annotated[
        str, typer.Argument(metavar="IMAGES", help="folder, shard, or glob of these")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="JSON lines to be answered")],
    each: Annotated[int, typer.Option(help="prompts for each image", min=1)] = 3,
    languages: Annotated[str, typer.Option(help="of the prompts, by turns")] = "en,zh",
    kinds: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='kinds by image: lines of {"image": .., "kinds": [..]}'),
    ] = None,
    taxonomy: Annotated[
        Path | None, typer.Option("--taxonomy", metavar="FILE", help="another taxonomy (YAML)")
    ] = None,
    seed: Annotated[int, typer.Option(help="which image gets which")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """Choose prompts for images, even over the leaves that suit them.

    Add an "answer" to each line, and the SFT reader `taxonomy_answers` makes conversations of them.
    """
    from taxonomy.image_kinds import read_kinds
    from taxonomy.prompts import Picture, Unusable, choose, find_pictures, per_leaf, write
    from taxonomy.tree import load_taxonomy

    if to.is_dir():
        raise UserError(f"--to {to} is a folder: name a file")
    tree = load_taxonomy(taxonomy)
    found = list(find_pictures(images, read_kinds(kinds) if kinds else None))
    pictures = [one for one in found if isinstance(one, Picture)]
    wanted = [name.strip() for name in languages.split(",") if name.strip()]
    if not wanted:
        raise UserError("--languages is empty: name one or more, as in en,zh")
    chosen = choose(pictures, tree, each=each, languages=wanted, seed=seed)
    write(chosen, to)
    counts = per_leaf(chosen, tree)
    unusable = [one for one in found if isinstance(one, Unusable)]
    if as_json:
        told = {
            "images": len(pictures),
            "prompts": len(chosen),
            "unusable": {one.name: one.detail for one in unusable},
            "leaves": {path: dict(by) for path, by in counts.items()},
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    table = Table("leaf", *wanted, box=None)
    for path, by in counts.items():
        table.add_row(path, *(str(by[language]) for language in wanted))
    console().print(table)
    for one in unusable:
        console().print(f"left out {one.name}: {one.detail}", markup=False)
    console().print(f"{len(chosen)} prompts for {len(pictures)} images in {to}", markup=False)
