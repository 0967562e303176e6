"""A model shared out among ranks, and one that computes in bfloat16, train as one alone does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import load as load_model
from tests.conftest import ROOT
from tests.train.small import join, start, write_recipe

_STEPS = 10


def _losses(folder: Path, built: Path, world: int = 1, **changes: Any) -> list[float]:
    recipe = write_recipe(folder, built, each={"steps": _STEPS}, **changes)
    join(start(recipe, 2, world))
    log = folder / "run" / "stage_2" / "log.jsonl"
    return [json.loads(line)["loss"] for line in log.read_text().splitlines()]


def test_bfloat16_stays_near_float32(built: Path, tmp_path: Path) -> None:
    expected = _losses(tmp_path / "float32", built)
    half = _losses(tmp_path / "bf16", built, precision="bf16")
    shared = _losses(tmp_path / "shared", built, 2, precision="bf16")

    assert expected[-1] < expected[0] - 0.3
    for losses in (half, shared):
        assert losses != expected  # else nothing was computed in bfloat16
        assert losses == pytest.approx(expected, rel=0.01)
    weights = [
        dict(load_model(tmp_path / name / "run/stage_2/final").named_parameters())
        for name in ("float32", "bf16")
    ]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=2e-2) for name in weights[0])
    # The masters are float32: they hold what bfloat16 would have rounded away.
    trained = weights[1]["language.layers.0.mlp.down_proj.weight"]
    assert trained.dtype == torch.float32
    assert (trained != trained.bfloat16().float()).float().mean() > 0.9


def test_torchrun_starts_ranks_that_train_as_one(built: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, built, each={"steps": 2})
    torchrun = "-m torch.distributed.run --standalone --nproc-per-node 2 -m dsvl_data.cli train"
    done = subprocess.run(
        [sys.executable, *torchrun.split(), str(recipe), "--stage", "2", "--after", "0"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "run" / "stage_2_after_0"
    # The first rank alone speaks.
    assert done.stdout.count(f"weights: {folder / 'final'}") == 1
    assert done.stderr.count("2 steps of 4 packed rows of 400 tokens on 2 x cpu") == 1
    for name in ("log", "ids-0", "ids-1"):
        lines = map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())
        assert [line["step"] for line in lines] == [1, 2], name
    assert (folder / "final" / "config.json").exists()
