"""A training on a Ray cluster, the one that built the corpus or another.

In: a recipe, stages. Out: what `train/run.py` gives, from as many workers as the recipe's
`ray_workers` says, one a GPU, or one a CPU where the cluster has no GPU. A worker that is lost
ends the attempt; Ray starts all of them again, and they go on from the last checkpoint. The
recipe's folders must be seen from every node.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsvl_data.engine.cluster import session
from dsvl_data.outcome import UserError
from model.freeze import Stage
from train.settings import load
from train.weights import stage_folder


def train_on_ray(
    recipe_path: str | Path, stages: Sequence[Stage], *, after: Stage | None = None
) -> list[Path]:
    """Train stages in turn on Ray's workers; returns their final folders.

    Raises `UserError` where Ray cannot train.
    """
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    recipe, _ = load(recipe_path)

    # Defined here so that Ray sends it as it is: on a worker, whose path nothing has put right
    # before `dsvl_data` is imported, `train` may be a stray module of another package.
    def work(told: dict[str, Any]) -> None:
        import dsvl_data  # noqa: F401
        from train.run import train

        train(told["recipe"], told["stages"], after=told["after"])

    with session(()):
        gpus = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
        trainer = TorchTrainer(
            work,
            train_loop_config={
                "recipe": str(Path(recipe_path).absolute()),
                "stages": list(stages),
                "after": after,
            },
            scaling_config=ScalingConfig(
                num_workers=recipe.ray_workers or max(1, gpus), use_gpu=bool(gpus)
            ),
            run_config=RunConfig(
                name=recipe.name,
                storage_path=str(Path(recipe.out).absolute() / "ray"),
                failure_config=FailureConfig(max_failures=recipe.ray_failures),
            ),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise UserError(f"training on Ray failed: {error}") from error
    return [stage_folder(recipe, stage) / "final" for stage in stages]
