"""Ranks on Ray: they train as one, a lost one costs an attempt, what is refused is said at once."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dsvl_data import sandbox
from dsvl_data.outcome import UserError
from tests.train.small import write_recipe
from train.ray_launch import _attempt, train_on_ray
from train.settings import load

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


@pytest.mark.parametrize(("gpus", "devices"), [(2, {"cpu", "cuda"}), (0, {"cpu"})])
def test_ranks_can_talk_from_the_cpu_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, devices: set[str]
) -> None:
    import ray
    import ray.train.torch
    from torch.distributed.distributed_c10d import BackendConfig

    made: dict[str, Any] = {}

    class Ran:
        def __init__(self, *_: object, **given: object) -> None:
            made.update(given)

        def fit(self) -> None:
            pass

    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": gpus})
    monkeypatch.setattr(ray.train.torch, "TorchTrainer", Ran)
    _attempt(load(write_recipe(tmp_path, tmp_path))[0], {})

    backend = made["torch_config"].backend
    assert devices <= BackendConfig(backend).get_device_backend_map().keys()
    assert made["scaling_config"].use_gpu == bool(gpus)


@pytest.mark.usefixtures("ray_session")
def test_what_a_rank_refuses_is_not_tried_again(built: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, built, ray_workers=1, each={"shares": {"caption": 1.0}})
    with pytest.raises(UserError, match="no samples of caption"):
        train_on_ray(recipe, [1])
