"""`dsvl-data train` and `dsvl-data evaluate model`: what the command line asks of this room.

In: a recipe, or a checkpoint and a set. Out: trained stages, or scores. Imported only when one of
the commands runs. `train` works under `torchrun --no-python` too, whose environment says which
rank each process is.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import torch
import typer

from dsvl_data.console import console
from dsvl_data.outcome import UserError
from model.checkpoint import load, read_config
from model.config import ConfigError, ModelConfig
from model.freeze import Stage
from model.processor import Processor
from model.tensor_files import CheckpointError
from model.tokenizer import BYTES_FILE, ByteTokenizer, load_tokenizer, token_ids
from train.evaluation_sets import EvaluationSet, Form
from train.held_out import scorer
from train.settings import STAGES
from train.summary import read_summary, write_summary

evaluate = typer.Typer()


def train_command(recipe: Path, stage: int | None, after: str | None, *, ray: bool) -> None:
    """Train one stage, or all. Raises `UserError` for what cannot work."""
    stages = STAGES if stage is None else (_stage(stage),)
    begin = None if after is None else _chain(after)
    if ray:
        from train.ray_launch import train_on_ray

        finals = train_on_ray(recipe, stages, after=begin)
    else:
        from train.run import train

        finals = train(recipe, stages, after=begin)
    if os.environ.get("RANK", "0") == "0":
        both = zip(stages, finals, strict=True)
        for line in write_summary([read_summary(stage, final.parent) for stage, final in both]):
            typer.echo(line)
        typer.echo(f"weights: {finals[-1]}")


def _stage(number: int) -> Stage:
    for stage in STAGES:
        if stage == number:
            return stage
    raise UserError(f"there is no stage {number}; there are {', '.join(map(str, STAGES))}")


def _chain(given: str) -> tuple[Stage, ...]:
    """The stages of `1+2`; none of `0`."""
    if given == "0":
        return ()
    parts = given.split("+")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise UserError(f"--after {given}: say 0, 1, 2 or 1+2, the stages that were trained before")
    return tuple(_stage(int(part)) for part in parts)


@evaluate.command("model")
def evaluate_model(
    checkpoint: Annotated[Path, typer.Argument(help="folder of a model, official or exported")],
    path: Annotated[str, typer.Argument(metavar="SET", help="file or folder of the set")],
    form: Annotated[Form, typer.Option(help="whose form the set has; lines: JSON lines")],
    images: Annotated[str, typer.Option(metavar="DIR", help="where images' paths start")] = "",
    split: Annotated[str, typer.Option(help="of ScienceQA: train, val, test")] = "",
    limit: Annotated[
        int, typer.Option(help="so many questions, evenly spread, or samples of a category", min=0)
    ] = 0,
    hold_out: Annotated[
        int, typer.Option(help="of a corpus: what a training with this held out; 0: all", min=0)
    ] = 0,
    category: Annotated[
        list[str] | None, typer.Option(help="of a corpus, as often as needed; none: all")
    ] = None,
    rows: Annotated[int, typer.Option(help="rows at a time", min=1)] = 8,
    tokenizer: Annotated[
        str, typer.Option(help="bytes, a folder or a Hub name; the checkpoint's own by default")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
) -> None:
    """Score a model by the perplexities of given answers, texts in bits per byte, or a corpus.

    Form `corpus`: the loss of its samples. Form `image-test`: how much lower it is with a sample's
    own image than with another's.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    given = EvaluationSet(
        name=Path(path).stem,
        form=form,
        path=path,
        images=images,
        split=split,
        limit=limit,
        hold_out=hold_out,
        categories=tuple(category or ()),
    )
    try:
        config = read_config(checkpoint)
        processor = Processor(config, load_tokenizer(tokenizer or _own(checkpoint, config)))
        evaluation = scorer(given, processor)
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        score = evaluation.score(load(checkpoint, device=device, dtype=dtype), rows=rows)
    except (CheckpointError, ConfigError, ValueError) as error:
        raise UserError(str(error)) from error
    if as_json:
        typer.echo(json.dumps(score.to_json(), indent=2, ensure_ascii=False))
        return
    screen = console()
    around = f" ± {score.error:.4f}" if score.error else ""
    said = [f"{score.name}: {score.value:.4f}{around} {score.metric} ({score.items:,})"]
    said += [f"  {name}: {value:.4f}" for name, value in sorted(score.parts.items())]
    for name, (right, asked) in sorted(score.categories.items()):
        if name:
            said.append(f"  {name}: {right} of {asked}")
    if score.skipped:
        first = next(iter(score.skipped.items()))
        said.append(f"{len(score.skipped)} not asked; the first, {first[0]}: {first[1]}")
    for line in said:
        screen.print(line, highlight=False, markup=False, soft_wrap=True)


def _own(checkpoint: Path, config: ModelConfig) -> str:
    """The tokenizer beside a checkpoint, or the bytes that its model's marks are of.

    Raises `UserError` where there is neither.
    """
    names = ("tokenizer_config.json", "tokenizer.json", BYTES_FILE)
    if any((checkpoint / name).exists() for name in names):
        return str(checkpoint)
    if config.tokens != token_ids(ByteTokenizer()):
        raise UserError(f"there is no tokenizer in {checkpoint}: name the model's (--tokenizer)")
    return "bytes"
