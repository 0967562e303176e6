"""Ranks on Ray: they train as one, a lost one costs an attempt, what is refused is said at once."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from dsvl_data import sandbox
from dsvl_data.outcome import UserError
from tests.train.small import write_recipe
from train.ray_launch import train_on_ray

_STEPS = 10


def _lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _kill_a_rank(after: Path, step: int, killed: list[int]) -> None:
    """Kill one of this process's ranks when a step is done."""
    end = time.monotonic() + 300
    while len(_lines(after)) < step and time.monotonic() < end:
        time.sleep(0.01)
    for pid in sandbox.descendants(os.getpid()):
        if b"TrainWorker" in Path(f"/proc/{pid}/cmdline").read_bytes():
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)
            return


@pytest.mark.usefixtures("ray_session")
def test_two_ranks_of_which_one_is_lost_train_to_the_end(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, built, ray_workers=2, each={"steps": _STEPS})
    folder = tmp_path / "run" / "stage_1"
    killed: list[int] = []
    killer = threading.Thread(target=_kill_a_rank, args=(folder / "ids-1.jsonl", 3, killed))
    killer.start()
    (final,) = train_on_ray(recipe, [1])
    killer.join()

    assert killed
    assert "failure 1, 3 are allowed" in capsys.readouterr().err
    assert final == folder / "final"
    assert (final / "config.json").exists()
    for name in ("log", "ids-0", "ids-1"):
        steps = [line["step"] for line in _lines(folder / f"{name}.jsonl")]
        assert steps == list(range(1, _STEPS + 1)), name


@pytest.mark.usefixtures("ray_session")
def test_what_a_rank_refuses_is_not_tried_again(built: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, built, ray_workers=1, each={"rows": 3, "micro_rows": 2})
    with pytest.raises(UserError, match="3 rows does not divide into 1 ranks"):
        train_on_ray(recipe, [1])
