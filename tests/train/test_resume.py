"""A run killed at any step goes on to the sample, with any number of ranks and workers."""

from __future__ import annotations

import json
import random
import shutil
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from model.freeze import Stage
from tests.train.small import join, kill, start, write_recipe

_STEPS = 9


def _losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").open()]


def _ids(folder: Path) -> list[int]:
    """Of each step, the sum of the hashes of its samples over all ranks."""
    sums = [0] * _STEPS
    for file in folder.glob("ids-*.jsonl"):
        for line in map(json.loads, file.open()):
            sums[line["step"] - 1] += int(line["samples"], 16)
    return [total % 2**128 for total in sums]


def _kill_after(ranks: list[BaseProcess], folder: Path, step: int) -> None:
    """Kill ranks soon after they have done a step; they must not have come to the end."""
    file = folder / "ids-0.jsonl"
    for _ in range(20_000):
        if file.exists() and file.read_text().count("\n") >= step:
            break
        assert all(process.is_alive() for process in ranks)
        time.sleep(0.005)
    # In the next step, in a checkpoint or between them.
    time.sleep(random.uniform(0, 0.1))
    kill(ranks)
    assert not (folder / "final").exists()


@pytest.mark.parametrize(("stage", "world"), [(1, 1), (2, 2), (3, 1)])
def test_a_killed_run_goes_on_with_the_same_samples_and_losses(
    built: Path, tmp_path: Path, stage: Stage, world: int
) -> None:
    name = f"stage_{stage}"
    # The steps by which the learning rate falls must be there, or nothing could come out otherwise.
    each = {"steps": _STEPS, "warmup": 2}
    whole = write_recipe(tmp_path / "whole", built, each=each)
    join(start(whole, stage, world))
    expected = _losses(tmp_path / "whole" / "run" / name)
    samples = _ids(tmp_path / "whole" / "run" / name)
    assert len(expected) == _STEPS
    assert len(set(samples)) == _STEPS

    killed = tmp_path / "killed" / "run" / name
    recipe = write_recipe(tmp_path / "killed", built, each=each, workers=1)
    step = random.randint(2, _STEPS - 5)
    _kill_after(start(recipe, stage, world), killed, step)
    shutil.copytree(tmp_path / "killed", tmp_path / "spread")

    # The same ranks, another number of workers: to the last bit.
    join(start(write_recipe(tmp_path / "killed", built, each=each), stage, world))
    assert _ids(killed) == samples, step
    assert _losses(killed) == expected, step

    # Other ranks, killed again and again.
    spread = tmp_path / "spread" / "run" / name
    recipe = write_recipe(tmp_path / "spread", built, each=each, checkpoint_every=1)
    for more, ranks in enumerate((2, 4), 2):
        _kill_after(start(recipe, stage, ranks), spread, step + more)
    recipe = write_recipe(tmp_path / "spread", built, each=each, workers=2)
    join(start(recipe, stage, 1))
    assert _ids(spread) == samples, step
    assert _losses(spread) == pytest.approx(expected, abs=1e-5), step
    assert (spread / "final" / "config.json").exists()
