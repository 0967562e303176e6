"""Where a stage's weights come from. In: the recipe, the run's folder. Out: tensors by name."""

from __future__ import annotations

from pathlib import Path

import torch

from dsvl_data.outcome import UserError
from model.checkpoint import initialise, load_parameters
from model.config import ConfigError, ModelConfig
from model.freeze import Stage
from model.tensor_files import CheckpointError
from model.vlm import VisionLanguageModel, initialise_weights
from train.parallel import Ranks
from train.settings import STAGES, TrainRecipe


def stage_folder(recipe: TrainRecipe, stage: Stage) -> Path:
    """Where a stage's logs, checkpoints and final weights lie."""
    return Path(recipe.out) / f"stage_{stage}"


def stage_before(recipe: TrainRecipe, stage: Stage, after: Stage | None) -> Path | None:
    """The final weights that a stage begins from; none for those that the recipe begins with.

    `after`: that stage's, for the paper's ablations (1+3, 2+3); none: those of the last stage
    before this one that has any. Raises `UserError` when they are not there.
    """
    if after is not None:
        final = stage_folder(recipe, after) / "final"
        if after >= stage or not final.is_dir():
            raise UserError(
                f"stage {stage} cannot begin from stage {after}: "
                + ("it comes later" if after >= stage else f"{final} is not there; train it first")
            )
        return final
    for earlier in reversed([s for s in STAGES if s < stage]):
        final = stage_folder(recipe, earlier) / "final"
        if final.is_dir():
            return final
    return None


def first_weights(
    recipe: TrainRecipe, config: ModelConfig, begin: Path | None, ranks: Ranks
) -> dict[str, torch.Tensor]:
    """The weights that training begins with, on the CPU of the first rank.

    Raises `UserError` for files that do not fit the model.
    """
    if not ranks.first:
        return {}
    with torch.device("cpu"):
        model = VisionLanguageModel(config)
    initial = recipe.initial
    whole = begin or (Path(initial.checkpoint) if initial.checkpoint else None)
    try:
        if whole is not None:
            load_parameters(model, whole)
        else:
            initialise_weights(model, recipe.seed)
            initialise(
                model,
                siglip=_path(initial.siglip),
                sam=_path(initial.sam),
                llama=_path(initial.llama),
            )
    except (CheckpointError, ConfigError, OSError) as error:
        raise UserError(str(error)) from error
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def _path(given: str | None) -> Path | None:
    return Path(given) if given else None
