"""`dsvl-data train`: a recipe in, trained stages out; what the command line asks of this room.

Imported only when the command runs. The same command works under `torchrun --no-python`, whose
environment says which rank each process is.
"""

from __future__ import annotations

from pathlib import Path

from dsvl_data.outcome import UserError
from model.freeze import Stage
from train.settings import STAGES


def train_command(recipe: Path, stage: int | None, after: int | None, *, ray: bool) -> None:
    """Train one stage, or all. Raises `UserError` for what cannot work."""
    stages = STAGES if stage is None else (_stage(stage),)
    begin = None if after is None else _stage(after)
    if ray:
        from train.ray_launch import train_on_ray

        finals = train_on_ray(recipe, stages, after=begin)
    else:
        from train.run import train

        finals = train(recipe, stages, after=begin)
    for number, final in zip(stages, finals, strict=True):
        print(f"stage {number}: {final}")


def _stage(number: int) -> Stage:
    for stage in STAGES:
        if stage == number:
            return stage
    raise UserError(f"there is no stage {number}; there are {', '.join(map(str, STAGES))}")
