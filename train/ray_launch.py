"""A training on a Ray cluster, the one that built the corpus or another.

In: a recipe, stages. Out: what `train/run.py` gives, from as many workers as the recipe's
`ray_workers` says, one a GPU, or one a CPU where the cluster has no GPU. A worker that is lost
ends the attempt; all are started again, and go on from the last checkpoint. The recipe's folders
must be seen from every node.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsvl_data.console import console
from dsvl_data.engine.cluster import session
from dsvl_data.outcome import UserError
from model.freeze import Stage
from train.parallel import BACKENDS
from train.settings import TrainRecipe, load
from train.weights import chains, stage_folder


def train_on_ray(
    recipe_path: str | Path, stages: Sequence[Stage], *, after: Sequence[Stage] | None = None
) -> list[Path]:
    """Train stages in turn on Ray's workers; returns their final folders.

    Raises `UserError` where Ray cannot train, and what a worker raised of it.
    """
    from ray.train import TrainingFailedError

    recipe, _ = load(recipe_path)
    folders = [stage_folder(recipe, stage, before) for stage, before in chains(stages, after)]
    told = {
        "recipe": str(Path(recipe_path).absolute()),
        "stages": list(stages),
        "after": None if after is None else list(after),
    }
    with session((), echo=True):
        for failures in itertools.count(1):
            try:
                _attempt(recipe, told)
                break
            except TrainingFailedError as error:
                refusal = _refusal(error)
                if refusal is not None:
                    raise UserError(str(refusal)) from error
                if failures > recipe.ray_failures:
                    raise UserError(f"training on Ray failed {failures} times: {error}") from error
                console(stderr=True).print(
                    f"failure {failures}, {recipe.ray_failures} are allowed; going on from the "
                    f"last checkpoint: {_last_line(error)}",
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )
    return [folder / "final" for folder in folders]


def _attempt(recipe: TrainRecipe, told: dict[str, Any]) -> None:
    """Train with workers of which none may be lost. Raises Ray's `TrainingFailedError`."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    # Defined here so that Ray sends it as it is: on a worker, whose path nothing has put right
    # before `dsvl_data` is imported, `train` may be a stray module of another package.
    def work(told: dict[str, Any]) -> None:
        import dsvl_data  # noqa: F401
        from train.run import train

        train(told["recipe"], told["stages"], after=told["after"])

    gpus = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
    TorchTrainer(
        work,
        train_loop_config=told,
        # What `train.parallel.join` opens: checkpoints are written behind the training's back from
        # the CPU, for which Ray's own choice on GPUs, nccl alone, has no group.
        torch_config=TorchConfig(backend=BACKENDS["cuda" if gpus else "cpu"]),
        scaling_config=ScalingConfig(
            num_workers=recipe.ray_workers or max(1, gpus), use_gpu=bool(gpus)
        ),
        run_config=RunConfig(
            name=recipe.name,
            storage_path=str(Path(recipe.out).absolute() / "ray"),
            # Ray would train again what the trainer itself refused or stopped.
            failure_config=FailureConfig(max_failures=0),
        ),
    ).fit()


def _refusal(error: Exception) -> UserError | None:
    """What a worker raised for the user to read, which another attempt would only raise again."""
    for failure in getattr(error, "worker_failures", {}).values():
        # What was raised, where Ray has wrapped it with its stack.
        raised = getattr(failure, "_base_exc", failure)
        if isinstance(raised, UserError):
            return raised
    return None


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
