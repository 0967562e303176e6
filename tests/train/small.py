"""A model so small that a step takes hundredths of a second, and recipes that train it."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import socket
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import yaml

from model.config import (
    AdaptorConfig,
    LanguageConfig,
    ModelConfig,
    SamConfig,
    SiglipConfig,
    TokenIds,
)
from model.freeze import Stage

SMALL = ModelConfig(
    "small",
    SamConfig(
        image_size=64,
        width=24,
        layers=2,
        heads=2,
        mlp_width=48,
        window=3,
        global_blocks=(1,),
        neck_width=8,
        resized=16,
        downsample_widths=(16, 32),
    ),
    SiglipConfig(image_size=64, width=32, layers=2, heads=2, mlp_width=40),
    AdaptorConfig("hybrid"),
    LanguageConfig(
        vocab_size=320, width=32, ffn_width=48, layers=2, heads=4, kv_heads=2, max_positions=1024
    ),
    TokenIds(bos=256, eos=257, image=258),
)

_STAGE: dict[str, Any] = {
    "steps": 6,
    "rows": 4,
    "micro_rows": 1,
    "tokens": 400,
    "warmup": 0,
    "learning_rate": 2e-3,
}


def write_recipe(
    folder: Path,
    corpus: Path,
    *,
    each: dict[str, Any] | None = None,
    config: ModelConfig = SMALL,
    **changes: Any,
) -> Path:
    """A recipe for all stages over the corpus `built`; `each` changes every stage."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.yaml").write_text(yaml.safe_dump(_plain(dataclasses.asdict(config))))
    stages = {
        "stage_1": {"shares": {"document_ocr": 1.0}},
        "stage_2": {
            "shares": {"document_ocr": 1.0, "text": 1.0, "sft_general": 0.2},
            "language": 0.5,
            "language_warmup": 4,
        },
        "stage_3": {"shares": {"sft_general": 1.0, "document_ocr": 0.2}},
    }
    recipe = {
        "name": "small",
        "model": "./model.yaml",
        "preset": "tiny",
        "corpora": [str(corpus)],
        "out": str(folder / "run"),
        "precision": "float32",
        "workers": 0,
        "log_every": 1,
        "checkpoint_every": 2,
        "stages": {name: _STAGE | own | (each or {}) for name, own in stages.items()},
    } | changes
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def _plain(value: Any) -> Any:
    """Tuples as lists: safe YAML has none."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def start(recipe: Path, stage: Stage, world: int = 1) -> list[BaseProcess]:
    """Train a stage from the recipe's weights in processes of their own, one a rank."""
    context = multiprocessing.get_context("forkserver")
    # First the package that says where the others lie: the server knows no path but Python's.
    context.set_forkserver_preload(["dsvl_data", "tests.train.ready"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        context.Process(target=_rank, args=(recipe, stage, r, world, port)) for r in range(world)
    ]
    for process in ranks:
        process.start()
    return ranks


def join(ranks: list[BaseProcess]) -> None:
    """Wait for ranks that must end well."""
    for process in ranks:
        process.join(200)
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        if process.is_alive():
            process.kill()
    assert codes == [0] * len(ranks)


def kill(ranks: list[BaseProcess]) -> None:
    """As a machine that loses its power."""
    for process in ranks:
        process.kill()  # SIGKILL
    for process in ranks:
        process.join()


def _rank(recipe: Path, stage: Stage, rank: int, world: int, port: int) -> None:
    from train import parallel
    from train.loop import Trainer
    from train.settings import load

    torch.set_num_threads(1)
    if world > 1:
        os.environ |= {
            "RANK": str(rank),
            "WORLD_SIZE": str(world),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    told, stages = load(recipe)
    ranks = parallel.join(sharded=told.precision == "bf16")
    try:
        Trainer(told, stages, stage, ranks).run()
    finally:
        parallel.leave(ranks)
