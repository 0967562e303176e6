"""A small set is scored as a model is trained, by all its ranks alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.train.small import join, start, write_recipe


def test_sets_are_scored_every_few_steps_and_change_no_step(built: Path, tmp_path: Path) -> None:
    questions = [{"question": str(i), "options": ["a", "b"], "answer": i % 2} for i in range(4)]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, questions)))
    (tmp_path / "texts.jsonl").write_text('{"text": "some words to be predicted"}\n')
    sets = [
        {"name": "letters", "form": "lines", "path": str(tmp_path / "set.jsonl"), "limit": 3},
        {"name": "words", "form": "text", "path": str(tmp_path / "texts.jsonl")},
    ]

    def lines(name: str, world: int, **changes: Any) -> tuple[list[Any], list[Any]]:
        recipe = write_recipe(tmp_path / name, built, each={"steps": 5}, **changes)
        join(start(recipe, 2, world))
        files = (tmp_path / name / "run" / "stage_2" / f for f in ("log.jsonl", "scores.jsonl"))
        log, scores = (
            list(map(json.loads, f.read_text().splitlines())) if f.exists() else [] for f in files
        )
        return [line["loss"] for line in log], scores

    losses, nothing = lines("unwatched", 1)
    assert not nothing
    watched, scores = lines("watched", 1, evaluate=sets, evaluate_every=2)
    assert watched == losses
    # Every second step, and the last.
    assert [s["step"] for s in scores if s["step"]] == [2, 2, 4, 4, 5, 5]
    assert {s["name"]: (s["metric"], s["items"]) for s in scores} == {
        "letters": ("accuracy", 3),
        "words": ("bits per byte", 26),
    }
    bits = [s["value"] for s in scores if s["name"] == "words"]
    assert bits[-1] < bits[0]

    shared, theirs = lines("shared", 2, evaluate=sets, evaluate_every=2)
    assert shared == pytest.approx(losses, abs=1e-5)
    assert [s["step"] for s in theirs] == [s["step"] for s in scores]
    assert [s["value"] for s in theirs] == pytest.approx([s["value"] for s in scores], abs=1e-4)
