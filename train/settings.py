"""What a training is told: a recipe, and its stages as data.

In: a YAML file of `TrainRecipe`, and `train/stages/NAME.yaml` with the paper's table 4 for each
size. Out: validated settings. What a recipe says of a stage (`stages:`) wins over the preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_type_hints

import yaml
from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from dsvl_data.pipeline import PathOption, Settings
from dsvl_data.recipe import RecipeError, explained, load_settings
from model.checkpoint import read_config
from model.config import ConfigError, ModelConfig, preset
from model.freeze import Stage
from model.tensor_files import CheckpointError
from train.evaluation_sets import EvaluationSet

STAGES: tuple[Stage, ...] = (1, 2, 3)
_PRESETS = Path(__file__).parent / "stages"
#: The stages of each preset of a model.
_SIZES = {"tiny": "tiny", "1.3b": "1.3b", "1.3b-hybrid": "1.3b", "7b": "7b"}
_CONFIG: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)


class StageSettings(Settings):
    """One stage: what is trained, on what, in what batches, by which schedule."""

    learning_rate: float = Field(gt=0)
    schedule: Literal["cosine", "step"] = Field(description="step: DeepSeek-LLM's multi-step")
    warmup: int = Field(ge=0, description="steps in which the learning rate rises from 0")
    steps: int = Field(gt=0)
    rows: int = Field(gt=0, description="rows of a global batch")
    micro_rows: int = Field(
        gt=0, description="rows that a device takes at once, at most: its rows divide into it"
    )
    tokens: int = Field(gt=0, description="tokens of a row")
    images: int = Field(default=0, ge=0, description="at most so many images a row; 0: no limit")
    packing: bool
    recompute: bool = Field(
        default=False, description="activations in the backward pass, which then need not be kept"
    )
    shares: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = Field(
        default=None, description="of the categories; none: the manifest's mix, else the corpus's"
    )
    unit: Literal["tokens", "samples"] | None = Field(
        default=None, description="of the shares; none: the mix's where that is used, else tokens"
    )
    grouping: bool = Field(default=True, description="each step all language or all multimodal")
    language: float | None = Field(
        default=None, ge=0, le=1, description="share of language steps; none: as the shares have it"
    )
    language_warmup: int = Field(
        default=0, ge=0, description="steps in which that share falls from 1 (modality warm-up)"
    )

    @model_validator(mode="after")
    def _language_has_steps(self) -> Self:
        if self.language is not None and not self.grouping:
            raise ValueError(
                "`language` is a share of steps, and without `grouping` no step is all language: "
                "set `language: null`, and say its share in `shares`"
            )
        return self


class Stages(Settings):
    """The three stages of one size."""

    stage_1: StageSettings
    stage_2: StageSettings
    stage_3: StageSettings

    def of(self, stage: Stage) -> StageSettings:
        """The settings of a stage."""
        settings: StageSettings = getattr(self, f"stage_{stage}")
        return settings


class Initial(Settings):
    """Where the weights come from; what is not given begins at random."""

    checkpoint: Annotated[str, PathOption(digested=False)] | None = Field(
        default=None, description="a whole model, official or transformers'"
    )
    siglip: Annotated[str, PathOption(digested=False)] | None = None
    sam: Annotated[str, PathOption(digested=False)] | None = None
    llama: Annotated[str, PathOption(digested=False)] | None = None


class TrainRecipe(Settings):
    """A whole training."""

    name: str
    model: Annotated[str, PathOption(or_name=True, digested=False)] = Field(
        description="a preset's name, a YAML file with the fields of a `ModelConfig`, or the "
        "folder of a checkpoint (`./...`)"
    )
    corpora: tuple[Annotated[str, PathOption(digested=False)], ...] = Field(
        min_length=1, description="output folders of `dsvl-data corpus build`"
    )
    out: Annotated[str, PathOption(digested=False)] = Field(description="the run's folder")
    tokenizer: Annotated[str, PathOption(or_name=True, digested=False)] = Field(
        default="bytes", description="`bytes`, a folder, or a name on the Hugging Face hub"
    )
    initial: Initial = Initial()
    preset: Literal["tiny", "1.3b", "7b"] | None = Field(
        default=None, description="of the stages; none: by the model, when that is a preset too"
    )
    stages: dict[Literal["stage_1", "stage_2", "stage_3"], dict[str, Any]] = Field(
        default_factory=dict, description="what differs from the preset"
    )
    missing: Literal["stop", "leave_out"] = Field(
        default="stop", description="what a category with a share and no sample does"
    )
    seed: int = 0
    precision: Literal["float32", "bf16"] = "bf16"
    recompute: bool | None = Field(default=None, description="of all stages; none: as each has it")
    compile: bool = Field(default=False, description="each layer with torch.compile")
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    on_bad_step: Literal["skip", "stop"] = Field(
        default="skip", description="what a loss or gradient that is no number, or a spike, does"
    )
    spike: float = Field(
        default=0.0, ge=0, description="a loss so many times the mean of the last 100; 0: no limit"
    )
    most_skipped: int = Field(default=10, ge=0, description="skipped steps that end the run")
    ray_workers: int = Field(
        default=0, ge=0, description="ranks under --ray; 0: one for each GPU of the cluster, or one"
    )
    ray_failures: int = Field(
        default=3, ge=0, description="lost workers or nodes under --ray after which the run goes on"
    )
    workers: int = Field(default=2, ge=0, description="processes that read, for each rank")
    ahead: int = Field(default=2, gt=0, description="micro-batches that each reads ahead")
    broken: int = Field(default=100, ge=0, description="unreadable samples that end the run")
    window: int = Field(default=8, gt=0, description="shards of a category mixed with each other")
    checkpoint_every: int = Field(default=1000, gt=0)
    keep: int = Field(default=2, gt=0, description="checkpoints of a stage that stay")
    log_every: int = Field(default=10, gt=0)
    evaluate: tuple[EvaluationSet, ...] = Field(
        default=(), description="small sets that the model is scored on as it is trained"
    )
    evaluate_every: int = Field(
        default=1000, gt=0, description="steps; also before the first one and after the last"
    )
    hold_out: int = Field(
        default=0,
        ge=0,
        description="one sample in so many is never trained on, and the model scored on some of "
        "them: their loss, and the image test; 0: none",
    )
    held_out: int = Field(default=16, gt=0, description="at most so many of them of a category")
    peak_tflops: float | None = Field(
        default=None, gt=0, description="of a device, for MFU; none: known for common GPUs"
    )

    @field_validator("out")
    @classmethod
    def _is_local(cls, out: str) -> str:
        if "://" in out:
            raise ValueError(
                f"a run is written to a folder, not to {out}: give one that all nodes see (a "
                "mounted store), and copy what it holds when it is done"
            )
        return out


def load(path: str | Path) -> tuple[TrainRecipe, Stages]:
    """Read a recipe and its stages. Raises `RecipeError` with file, line and key."""
    recipe = load_settings(path, TrainRecipe)
    size = recipe.preset or _SIZES.get(recipe.model)
    if size is None:
        raise RecipeError(
            f"{path}: the model {recipe.model} has no stages of its own: say whose it takes, as "
            f"`preset`: {', '.join(sorted(set(_SIZES.values())))}"
        )
    stages = preset_stages(size).model_dump()
    every = {} if recipe.recompute is None else {"recompute": recipe.recompute}
    for name in stages:
        stages[name] |= every
    for name, changes in recipe.stages.items():
        stages[name] |= changes
    try:
        return recipe, Stages.model_validate(stages)
    except ValidationError as error:
        raise explained(path, error, Stages, ("stages",)) from error


def model_config(recipe: TrainRecipe) -> ModelConfig:
    """The shapes of the recipe's model. Raises `RecipeError`."""
    path = Path(recipe.model)
    try:
        if not path.is_absolute():
            return preset(recipe.model)
        if path.is_dir():
            return read_config(path)
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        _refuse_unknown(ModelConfig, values, "")
        return _CONFIG.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise RecipeError(f"{path}: {key}: {first['msg']}") from error
    except (OSError, yaml.YAMLError, ConfigError, CheckpointError, ValueError) as error:
        raise RecipeError(f"model {recipe.model}: {error}") from error


def _refuse_unknown(kind: type, values: object, above: str) -> None:
    """Pydantic passes over what a dataclass does not know; a misspelt key must not go unseen."""
    if not isinstance(values, Mapping):
        return
    hints = get_type_hints(kind)
    for name, value in values.items():
        if name not in hints:
            raise ConfigError(f"unknown key {above}{name}; there are {', '.join(hints)}")
        for part in (hints[name], *get_args(hints[name])):
            if is_dataclass(part) and isinstance(part, type):
                _refuse_unknown(part, value, f"{above}{name}.")


def preset_stages(name: str) -> Stages:
    """The stages of `train/stages/NAME.yaml`."""
    return load_settings(_PRESETS / f"{name}.yaml", Stages)


def with_shares(
    recipe: TrainRecipe, wanted: Mapping[str, float], there: Mapping[str, int]
) -> dict[str, float]:
    """Shares of categories that have samples. Raises `RecipeError` for one that has none."""
    absent = sorted(name for name, share in wanted.items() if share and not there.get(name))
    if absent and recipe.missing == "stop":
        raise RecipeError(
            f"the corpus has no samples of {', '.join(absent)}, which have a share; build them, "
            "change `shares`, or set `missing: leave_out`"
        )
    shares = {name: share for name, share in wanted.items() if share and there.get(name)}
    if not shares:
        have = ", ".join(sorted(name for name, samples in there.items() if samples))
        raise RecipeError(
            f"the corpus has none of the stage's categories ({', '.join(sorted(wanted))}); it has "
            f"{have or 'nothing'}"
        )
    return shares
