"""What a user reads when a training ends: each stage's loss before and after, and its minutes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dsvl_data.cli import main
from tests.train.small import write_recipe
from train.loop import Trainer, TrainingStopped
from train.parallel import Ranks
from train.settings import load
from train.summary import read_summary, write_summary

ALONE = Ranks(0, 1, torch.device("cpu"), False)


def _train(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(sys, "argv", ["dsvl-data", "train", str(recipe)])
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        torch.set_num_threads(before)
    assert not ended.value.code
    return capsys.readouterr().out.splitlines()


def test_losses_of_held_out_samples(
    built: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = write_recipe(tmp_path, built, each={"steps": 3}, hold_out=5, held_out=4)
    said = _train(recipe, monkeypatch, capsys)

    assert " ".join(said[0].split()) == "stage steps minutes loss before loss after image test"
    stages = [read_summary(n, tmp_path / "run" / f"stage_{n}") for n in (1, 2, 3)]
    for line, stage in zip(said[1:4], stages, strict=True):
        assert stage.image_test is not None
        cells = line.split()
        assert cells[:2] == [str(stage.stage), "3"]
        assert cells[3:5] == [f"{stage.before:.3f}", f"{stage.after:.3f}"]
        assert cells[5] == f"{stage.image_test['value']:.4f}"
    # A stage begins where the one before ended, and is watched on its own categories.
    scores = [json.loads(x) for x in (tmp_path / "run/stage_1/scores.jsonl").open()]
    assert [(x["step"], x["name"]) for x in scores] == [
        (step, name) for step in (0, 3) for name in ("held-out loss", "image test")
    ]
    assert [stage.samples for stage in stages] == [4, 12, 8]
    assert "(4, 12, 8)" in said[4]
    assert said[-1].endswith("stage_3/final")


def test_losses_of_the_steps_where_nothing_is_held_out(
    built: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = write_recipe(tmp_path, built, each={"steps": 2})
    said = _train(recipe, monkeypatch, capsys)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run/stage_2/log.jsonl").open()]
    assert said[2].split()[3:] == [f"{losses[0]:.3f}", f"{losses[1]:.3f}"]
    assert "last fifth of the logged steps" in said[4]
    summary = read_summary(2, tmp_path / "run" / "stage_2")
    assert (summary.samples, summary.image_test) == (0, None)
    assert len(write_summary([summary])) == 3


def test_a_run_that_begins_anew_is_scored_anew(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {
        "hold_out": 5,
        "held_out": 2,
        "checkpoint_every": 1000,
        "on_bad_step": "stop",
    }
    recipe, stages = load(write_recipe(tmp_path, built, each={"steps": 2}, **changes))
    first = Trainer(recipe, stages, 1, ALONE)
    monkeypatch.setattr(first, "_what_is_wrong", lambda *_: "nothing works")
    with pytest.raises(TrainingStopped):
        first.run()
    Trainer(recipe, stages, 1, ALONE).run()
    scores = [json.loads(line) for line in (tmp_path / "run/stage_1/scores.jsonl").open()]
    assert [score["step"] for score in scores] == [0, 0, 2, 2]
