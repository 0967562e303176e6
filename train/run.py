"""A training from a recipe: one stage, or all of them, one after the other.

In: a recipe's path, stages. Out: each stage's folder below `out`; see `train/loop.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.freeze import Stage
from train.loop import Trainer
from train.parallel import join, leave
from train.settings import STAGES, load
from train.weights import stage_before


def train(
    recipe_path: str | Path,
    stages: Sequence[Stage] = STAGES,
    *,
    after: Stage | None = None,
) -> list[Path]:
    """Train stages in turn, each from the last one's weights; returns their final folders.

    A stage that is done is not trained again; one that was stopped goes on. `after`: the stage
    whose weights the first of these begins with, instead of the last one before it.
    """
    recipe, settings = load(recipe_path)
    ranks = join(sharded=recipe.precision == "bf16")
    try:
        finals = []
        for number, stage in enumerate(stages):
            begin = stage_before(recipe, stage, after if number == 0 else None)
            finals.append(Trainer(recipe, settings, stage, ranks, begin=begin).run())
        return finals
    finally:
        leave(ranks)
