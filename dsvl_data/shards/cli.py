"""`dsvl-data shards`, to look into what was built: a folder or shard in; text or a page out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dsvl_data.console import console
from dsvl_data.outcome import UserError

app = typer.Typer(help="Look into what was built.", no_args_is_help=True)

_JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable output")]


@app.command()
def stats(
    out: Annotated[str, typer.Argument(metavar="DIR", help="output folder of a build")],
    as_json: _JsonOption = False,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="write a page with histograms and images")
    ] = None,
    samples: Annotated[int, typer.Option(help="samples on the page's contact sheet", min=0)] = 24,
    seed: Annotated[int, typer.Option(help="decides which samples the page shows")] = 0,
) -> None:
    """Count samples, images, tokens and bytes by category, pipeline, language, source, licence."""
    from dsvl_data.shards.report import write_report
    from dsvl_data.shards.stats import statistics, tables

    if html is not None:
        write_report(out, html, count=samples, seed=seed)
        typer.echo(f"wrote {html}", err=True)
        if not as_json:
            return
    numbers = statistics(out)
    if as_json:
        typer.echo(json.dumps(numbers.to_json(), indent=2, ensure_ascii=False))
        return
    screen = console()
    for table in tables(numbers):
        screen.print(table)


@app.command()
def view(
    where: Annotated[str, typer.Argument(metavar="SHARD|DIR", help="a shard or an output folder")],
    key: Annotated[str | None, typer.Option(help="this sample, not some of each category")] = None,
    count: Annotated[int, typer.Option("--count", "-n", help="how many samples", min=1)] = 1,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="save the samples' images there")
    ] = None,
    as_json: _JsonOption = False,
) -> None:
    """Show samples: where they come from, and their segments as they are read."""
    from dsvl_data.shards.view import find, save_images, show

    screen = console()
    for shard, sample in find(where, key=key, count=count):
        for renderable in show(shard, sample, raw=as_json):
            screen.print(renderable)
        if images is not None:
            for path in save_images(sample, images):
                screen.print(f"saved {escape(str(path))}", highlight=False)


@app.command()
def verify(
    out: Annotated[str, typer.Argument(metavar="DIR", help="output folder of a build")],
    workers: Annotated[int, typer.Option(help="processes", min=1)] = 1,
) -> None:
    """Read every byte back and check hashes, images and counts. Exits with 1 on any problem."""
    from dsvl_data.shards.verify import verify as check

    screen = console()
    result = check(out, workers=workers)
    for problem in result.problems:
        screen.print(f"[red]bad:[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
    screen.print(
        f"{result.shards} shards, {result.samples} samples, {result.images} images, "
        f"{result.bytes / 1e6:.1f} MB read back: "
        + ("[green]all as the manifest says[/]" if result.ok else f"{len(result.problems)} bad"),
        highlight=False,
    )
    if not result.ok:
        raise UserError(f"{out} is damaged; what to do stands beside each problem above")


@app.command()
def index(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="folder of a WebDataset's tars")],
    category: Annotated[
        list[str],
        typer.Option(metavar="[GLOB=]NAME", help="what the samples are; by shard, with globs"),
    ],
    text: Annotated[
        str, typer.Option(metavar="MEMBER[:FIELD]", help="where the text stands: txt, json:caption")
    ] = "txt",
    text_first: Annotated[bool, typer.Option(help="the text stands before the images")] = False,
    dataset: Annotated[str, typer.Option(help="the data set's name")] = "unknown",
    language: Annotated[str, typer.Option(help="of the texts (en, zh, ...)")] = "und",
    licence: Annotated[str, typer.Option(help="SPDX id")] = "unknown",
    tokenizer: Annotated[
        str | None, typer.Option(help="tokenizer.json, its folder, or a hub name; none: estimate")
    ] = None,
    workers: Annotated[int, typer.Option(help="processes", min=1)] = 1,
) -> None:
    """Give shards that others wrote an index and a manifest, so that the loader reads them."""
    from dsvl_data.shards.adopt import Facts, index_folder
    from dsvl_data.shards.foreign import Form

    pairs = [(glob or "*", name) for glob, _, name in (c.rpartition("=") for c in category)]
    form = Form(text=text, text_first=text_first)
    facts = Facts(tuple(pairs), form, dataset, language, licence, tokenizer)
    result = index_folder(folder, facts, workers=workers)
    screen = console()
    screen.print(
        f"{result.shards} shards ({result.kept} as they were), {result.samples} samples, "
        f"{result.images} images; left out: {sum(result.left_out.values())}",
        highlight=False,
    )
    for reason, number in result.left_out.most_common():
        screen.print(f"  {number} x {escape(reason)}", highlight=False)
