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
from train.weights import chains, stage_folder, weights_before


def train(
    recipe_path: str | Path,
    stages: Sequence[Stage] = STAGES,
    *,
    after: Sequence[Stage] | None = None,
) -> list[Path]:
    """Train stages in turn, each from the last one's weights; returns their final folders.

    A stage that is done is not trained again; one that was stopped goes on. `after`: the stages
    trained before the first of these, for an ablation; none: all there are before it.
    """
    recipe, settings = load(recipe_path)
    ranks = join(sharded=recipe.precision == "bf16")
    try:
        finals = []
        for stage, before in chains(stages, after):
            begin = weights_before(recipe, stage, before)
            folder = stage_folder(recipe, stage, before)
            trainer = Trainer(recipe, settings, stage, ranks, begin=begin, folder=folder)
            finals.append(trainer.run())
        return finals
    finally:
        leave(ranks)
