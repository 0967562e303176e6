"""What a training came to: of each stage, the loss before and after, and how long it took.

In: the folders of trained stages, with the logs that `train/log.py` wrote. Out: lines to print.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.freeze import Stage
from train.held_out import HELD_OUT, IMAGE_TEST


@dataclass(frozen=True, slots=True)
class StageSummary:
    """Of one stage. Losses are nats a token: of held-out samples, before the first step and after
    the last, where any are held out; else of the first and the last fifth of the steps' own.

    `image_test` is the last one's score, as in `scores.jsonl`. `minutes` of steps alone.
    """

    stage: Stage
    steps: int
    minutes: float
    before: float
    after: float
    samples: int
    image_test: Mapping[str, Any] | None


def read_summary(stage: Stage, folder: Path) -> StageSummary:
    """Read the logs of a stage that has ended."""
    lines = _lines(folder / "log.jsonl")
    scores = _lines(folder / "scores.jsonl")
    held_out = [score for score in scores if score["name"] == HELD_OUT and score["items"]]
    seen = [score for score in scores if score["name"] == IMAGE_TEST and score["items"]]
    before, after = _ends([line["loss"] for line in lines])
    if held_out:
        before, after = held_out[0]["value"], held_out[-1]["value"]
    steps, seconds = 0, 0.0
    for line in lines:
        seconds += line["seconds_a_step"] * (line["step"] - steps)
        steps = line["step"]
    return StageSummary(
        stage,
        steps,
        seconds / 60,
        before,
        after,
        held_out[-1]["items"] if held_out else 0,
        seen[-1] if seen else None,
    )


def write_summary(stages: list[StageSummary]) -> list[str]:
    """The stages as a table, and below it what its figures are."""
    held_out = any(stage.samples for stage in stages)
    rows = [("stage", "steps", "minutes", "loss before", "loss after", "image test")]
    for stage in stages:
        seen = stage.image_test
        test = f"{seen['value']:.4f} ± {seen['error']:.4f}" if seen else ""
        rows.append(
            (
                str(stage.stage),
                f"{stage.steps:,}",
                f"{stage.minutes:.1f}",
                f"{stage.before:.3f}",
                f"{stage.after:.3f}",
                test,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    said = [
        "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if held_out:
        samples = ", ".join(str(stage.samples) for stage in stages)
        said.append(
            "loss: nats a token of held-out samples of each stage's categories "
            f"({samples}), before its first step and after its last"
        )
    else:
        said.append("loss: nats a token of the first and of the last fifth of the logged steps")
    last = stages[-1].image_test
    if last is not None:
        said.append(
            f"image test: by how much the loss of {last['items']} held-out samples is lower with "
            "their own image than with another sample's of the same category; mean ± standard error"
        )
    return said


def _lines(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _ends(values: list[float]) -> tuple[float, float]:
    """Means of the first and of the last fifth."""
    some = max(1, len(values) // 5)
    return sum(values[:some]) / some, sum(values[-some:]) / some
