"""Where a stage's weights come from. In: the recipe, the run's folder. Out: tensors by name.

The stages trained one after the other are a chain: 1+2+3 is the whole one, 1+3 and 2+3 are the
paper's ablations. Each chain's stages have folders of their own below the run's, so that all may be
had from one run: `stage_3` of 1+2+3, `stage_3_after_1` of 1+3, `stage_2_after_0` of 2 alone. What
a stage began from stands in its folder's `begin.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from dsvl_data.outcome import UserError
from model.checkpoint import initialise, load_parameters
from model.config import ConfigError, ModelConfig
from model.freeze import Stage
from model.tensor_files import CheckpointError
from model.vlm import VisionLanguageModel, initialise_weights
from train.parallel import Ranks
from train.settings import STAGES, StageSettings, TrainRecipe

_BEGIN = "begin.json"
#: Of a recipe, what the weights follow from, beside the stage's settings, the model and the corpus.
_RECIPE = ("tokenizer", "seed", "precision", "betas", "weight_decay", "clip", "hold_out", "window")
#: Of a stage's settings, what only says how the same batch is computed.
_HOW = {"micro_rows", "recompute"}
#: Differences that a refusal names.
_SHOWN = 4


def stage_folder(recipe: TrainRecipe, stage: Stage, before: Sequence[Stage] | None = None) -> Path:
    """Where a stage's logs, checkpoints and final weights lie.

    `before`: the stages trained before it in its chain; none: all there are, as in 1+2+3.
    """
    whole = _all_before(stage)
    if before is None or tuple(before) == whole:
        return Path(recipe.out) / f"stage_{stage}"
    return Path(recipe.out) / f"stage_{stage}_after_{before[-1] if before else 0}"


def chains(
    stages: Sequence[Stage], after: Sequence[Stage] | None
) -> Iterator[tuple[Stage, tuple[Stage, ...]]]:
    """Each stage of a run, with those before it in its chain; `after` is the first one's.

    None: all there are before it. Raises `UserError` for stages that are not in order.
    """
    before = _all_before(stages[0]) if after is None else tuple(after)
    for stage in stages:
        chain = (*before, stage)
        if list(chain) != sorted(set(chain)):
            raise UserError(
                f"stage {stage} cannot begin after {_name(before)}: stages come in the order "
                f"{_name(STAGES)}, each once"
            )
        yield stage, before
        before = chain


def weights_before(recipe: TrainRecipe, stage: Stage, before: Sequence[Stage]) -> Path | None:
    """The final weights that a stage of a chain begins from; none for those of the recipe.

    Raises `UserError` when they are not there.
    """
    if not before:
        return None
    final = stage_folder(recipe, before[-1], before[:-1]) / "final"
    if not final.is_dir():
        same = "" if tuple(before) == _all_before(stage) else f" --after {_name(before[:-1])}"
        others = ["0 for the recipe's own weights"]
        for chain in ((1,), (2,), (1, 2)):
            trained = stage_folder(recipe, chain[-1], chain[:-1]) / "final"
            if chain[-1] < stage and trained.is_dir():
                others.append(f"{_name(chain)}, which is trained")
        raise UserError(
            f"stage {stage} after {_name(before)} begins from {final}, which is not there: train "
            f"it first (--stage {before[-1]}{same}), or say what else to begin from (--after: "
            f"{'; '.join(others)})"
        )
    return final


def begin_facts(
    recipe: TrainRecipe,
    settings: StageSettings,
    config: ModelConfig,
    corpus: str,
    begin: Path | None,
) -> dict[str, Any]:
    """All that the weights of a stage follow from, as JSON values. `corpus`: the corpus's digest.

    Not among it is what may change as a stage goes on: ranks, workers, micro-batches, logs.
    """
    before = begin.parent / _BEGIN if begin is not None else None
    facts = {
        "from": recipe.initial.model_dump()
        if begin is None
        else f"{begin.parent.name}/{begin.name}",
        # With it all that those weights followed from.
        "from_digest": _digest(before.read_bytes()) if before and before.exists() else None,
        "model": _digest(json.dumps(asdict(config), sort_keys=True).encode()),
        "corpus": corpus,
        "recipe": {name: getattr(recipe, name) for name in _RECIPE},
        "stage": settings.model_dump(exclude=_HOW),
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


def begin_or_go_on(folder: Path, facts: Mapping[str, Any], ranks: Ranks, *, begun: bool) -> None:
    """Write down what a stage begins from, or see that what it goes on from is the same.

    `begun`: whether the folder has weights or a checkpoint already. Raises `UserError` where they
    are of another beginning or of other settings.
    """
    path = folder / _BEGIN
    if begun and path.exists():
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged: {error}; remove {folder}") from error
        was, now = dict(_flat(written)), dict(_flat(facts))
        names = [name for name in (was | now) if was.get(name) != now.get(name)]
        if names:
            some = [f"{n} was {was.get(n)!r}, is {now.get(n)!r}" for n in names[:_SHOWN]]
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise UserError(
                f"{folder} was trained from something else: {'; '.join(some)}{more}. Go on with "
                "what it was begun with, remove the folder to train it anew, or give the recipe "
                "another `out`"
            )
    elif ranks.first:
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".{_BEGIN}"
        aside.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        aside.rename(path)


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


def _all_before(stage: Stage) -> tuple[Stage, ...]:
    return tuple(earlier for earlier in STAGES if earlier < stage)


def _name(chain: Sequence[int]) -> str:
    return "+".join(map(str, chain)) or "0"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _flat(facts: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
