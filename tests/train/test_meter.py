"""What the log says of a stage: losses of every step, of all ranks, whatever falls on its lines."""

from __future__ import annotations

import importlib.machinery
import json
import shutil
import sys
import types
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dsvl_data.shards.manifest import read_manifest
from model.freeze import Stage
from model.processor import IGNORED, PADDING, Batch
from tests.train.small import join, start, write_recipe
from train import device
from train.log import Log
from train.loop import Trainer
from train.meter import predicted
from train.parallel import Ranks
from train.reader import read_members
from train.settings import load
from train.stream import TooManyBroken

ALONE = Ranks(0, 1, torch.device("cpu"), False)
Line = dict[str, Any]
_MIXED = {"text": 1.0, "document_ocr": 1.0}


pytestmark = pytest.mark.usefixtures("one_thread")


def _open(folder: Path, corpus: Path, stage: Stage = 2, **changes: Any) -> Trainer:
    recipe, stages = load(write_recipe(folder, corpus, **changes))
    return Trainer(recipe, stages, stage, ALONE)


def _lines(folder: Path, name: str = "log") -> list[Line]:
    text = (folder / f"{name}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_ranks_of_which_one_has_no_image_log_what_one_alone_does(
    built: Path, tmp_path: Path
) -> None:
    """A forward pass of one rank alone would wait for the others for ever."""
    each = {"grouping": False, "language": None, "shares": _MIXED, "steps": 5, "rows": 2}
    for world in (1, 2):
        join(start(write_recipe(tmp_path / str(world), built, each=each), 2, world))
    alone, both = (_lines(tmp_path / str(world) / "run" / "stage_2") for world in (1, 2))
    assert [line["step"] for line in both] == [1, 2, 3, 4, 5]
    losses = [name for name in alone[0] if name.startswith("loss")]
    assert {"loss/text", "loss/document_ocr"} <= {name for line in alone for name in line}
    for one, two in zip(alone, both, strict=True):
        assert {name for name in one if name.startswith("loss")} == {
            name for name in two if name.startswith("loss")
        }
        for name in losses:
            if name in one:
                assert two[name] == pytest.approx(one[name], abs=1e-4), name


def test_a_line_tells_the_losses_of_every_step_since_the_last(built: Path, tmp_path: Path) -> None:
    each = {"steps": 6, "language_warmup": 0, "language": 0.5}
    for every in (1, 3):
        _open(tmp_path / str(every), built, each=each, log_every=every).run()
    steps, lines = (_lines(tmp_path / str(every) / "run" / "stage_2") for every in (1, 3))
    assert {step["modality"] for step in steps} == {"language", "multimodal"}
    for number, line in enumerate(lines):
        for modality in ("language", "multimodal"):
            of_steps = [
                step["loss"]
                for step in steps[3 * number : 3 * number + 3]
                if step["modality"] == modality
            ]
            assert min(of_steps) <= line[f"loss_{modality}"] <= max(of_steps)
        assert line["loss/text"] == pytest.approx(line["loss_language"], rel=1e-6)
        losses = sorted(line[f"loss_{modality}"] for modality in ("language", "multimodal"))
        assert losses[0] < line["loss"] < losses[1]


def test_a_resumed_run_tells_the_same_where_a_checkpoint_fell_between_lines(
    built: Path, tmp_path: Path
) -> None:
    whole = _open(tmp_path / "whole", built, log_every=3, checkpoint_every=4)
    whole.run()
    stopped = _open(tmp_path / "stopped", built, log_every=3, checkpoint_every=4)
    train_step = stopped.train_step

    def step(batches: Any) -> dict[str, Any]:
        if stopped.step == 4:
            raise KeyboardInterrupt
        return train_step(batches)

    stopped.train_step = step  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    again = _open(tmp_path / "stopped", built, log_every=3, checkpoint_every=4)
    assert again.step == 4
    assert again._recent == stopped._recent
    assert sum(map(len, again._recent.values())) == 4
    again.run()
    expected, found = (
        [{n: v for n, v in line.items() if n.startswith("loss")} for line in _lines(t.folder)]
        for t in (whole, again)
    )
    assert found == expected
    assert [line["step"] for line in _lines(again.folder)] == [3, 6]
    told = EventAccumulator(str(again.folder / "tensorboard"))
    told.Reload()
    assert [event.step for event in told.Scalars("loss")] == [3, 6]


def _damaged(built: Path, out: Path, category: str) -> Path:
    """A copy of the corpus in which no image of a category decodes."""
    shutil.copytree(built, out)
    for record in read_manifest(str(out)).shards:
        if record.category == category:
            path = out / record.path
            members = read_members(str(path))
            data = bytearray(path.read_bytes())
            for number in range(len(members)):
                start_ = int(members.offsets[members.first[number + 1] - 1])
                data[start_ : start_ + 16] = bytes(16)
            path.write_bytes(data)
    return out


def test_broken_samples_of_all_ranks_are_counted_named_and_remembered(
    built: Path, tmp_path: Path
) -> None:
    corpus = _damaged(built, tmp_path / "damaged", "document_ocr")
    each = {"steps": 4, "packing": False}
    join(start(write_recipe(tmp_path / "a", corpus, each=each), 1, 2))
    folder = tmp_path / "a" / "run" / "stage_1"
    # All of four rows a step, two a rank.
    assert [line["broken"] for line in _lines(folder)] == [4, 8, 12, 16]
    for rank in (0, 1):
        named = _lines(folder, f"broken-{rank}")
        assert [line["step"] for line in named] == [1, 1, 2, 2, 3, 3, 4, 4]
        assert all("image" in line["broken"] for line in named)

    first = _open(tmp_path / "b", corpus, 1, each=each, broken=13)
    with pytest.raises(TooManyBroken, match=r"16 samples cannot be read, 13 are allowed.*broken-"):
        first.run()
    # From the checkpoint after the second step: the count goes on, too.
    again = _open(tmp_path / "b", corpus, 1, each=each, broken=13)
    assert again.step == 2
    with pytest.raises(TooManyBroken, match="16 samples"):
        again.run()


@pytest.mark.parametrize("shares", [{"text": 1.0}, {"text": 1.0, "document_ocr": 1.0}])
def test_stage_1_goes_on_where_a_step_has_no_image(
    built: Path, tmp_path: Path, shares: dict[str, float]
) -> None:
    each = {"shares": shares, "grouping": False, "language": None, "steps": 4, "rows": 1}
    trainer = _open(tmp_path, built, 1, each=each)
    trainer.run()
    lines = _lines(trainer.folder)
    assert len(lines) == 4
    # There was a loss, and nothing that it could have trained.
    assert any(line["loss"] > 0 and line["gradient_norm"] == 0 for line in lines)


def test_a_category_that_starts_over_is_told(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The plan knows it from one window of a thousand samples to the next.
    each = {"shares": {"sft_general": 1.0}, "rows": 512, "micro_rows": 512, "tokens": 20}
    _open(tmp_path, built, 2, each=each | {"packing": True, "steps": 4}).run()
    assert "sft_general has come to its end and starts over: epoch" in capsys.readouterr().err


def test_a_loss_falls_on_labelled_tokens_that_follow_one_of_their_document() -> None:
    labels = torch.tensor([[1, 2, IGNORED, 4, 5, IGNORED]])
    documents = torch.tensor([[0, 0, 0, 1, 1, PADDING]])
    images = torch.empty((0, 3, 8, 8), dtype=torch.uint8)
    batch = Batch(labels.clamp(min=0), labels, documents, labels * 0, images)
    assert predicted(batch).tolist() == [[False, True, False, False, True, False]]


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 NVL", 835.0),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA H200", 989.4),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("Another", None),
    ],
)
def test_peaks(monkeypatch: pytest.MonkeyPatch, name: str, peak: float | None) -> None:
    say: Callable[[object], str] = lambda _: name  # noqa: E731
    monkeypatch.setattr(torch.cuda, "get_device_name", say)
    assert device.peak_tflops(torch.device("cuda")) == peak


def test_wandb_goes_on_with_the_run_that_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Run:
        def finish(self) -> None:
            pass

    def init(**told: Any) -> Run:
        assert told["resume"] == "allow"
        asked.append(told["id"])
        return Run()

    wandb = types.ModuleType("wandb")
    wandb.__dict__["init"] = init
    wandb.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setenv("WANDB_PROJECT", "any")
    for done in (0, 4, 6, 0):
        with Log(tmp_path, ALONE, 10, done):
            pass
    first, second, third, anew = asked
    assert first == second == third
    assert anew != first


def test_parts_of_one_text_are_not_the_same_sample(built: Path, tmp_path: Path) -> None:
    each = {"shares": {"text": 1.0}, "tokens": 100, "steps": 30}
    trainer = _open(tmp_path, built, 2, each=each)
    with closing(iter(trainer.loader)) as loaded:
        micros = [next(loaded) for _ in range(40)]
    starts: dict[str, set[int]] = {}
    for micro in micros:
        for keys, places in zip(micro.keys, micro.starts, strict=True):
            for key, place in zip(keys, places, strict=True):
                starts.setdefault(key, set()).add(place)
    assert any(len(places) > 1 and 0 in places for places in starts.values())
    micro = micros[0]
    moved = replace(micro, starts=tuple(tuple(n + 1 for n in row) for row in micro.starts))
    with Log(tmp_path / "log", ALONE, 2, 0) as log:
        log.ids(1, [micro])
        log.ids(2, [moved])
    one, other = _lines(tmp_path / "log", "ids-0")
    assert one["samples"] != other["samples"]


def test_tokens_that_nothing_is_learnt_from_are_not_useful(built: Path, tmp_path: Path) -> None:
    shares = {"shares": {"text": 1.0, "document_ocr": 1.0}, "grouping": False, "language": None}
    each = shares | {"packing": False, "steps": 4, "rows": 8, "micro_rows": 8}
    trainer = _open(tmp_path, built, 2, each=each, hold_out=3)
    with closing(iter(trainer.loader)) as loaded:
        micros = [next(loaded) for _ in range(3)]
    for micro in micros:
        trained = 0
        for labels, documents in zip(micro.batch.labels, micro.batch.documents, strict=True):
            if (labels != IGNORED).any():
                trained += int((documents != PADDING).sum())
        assert micro.trained == trained
    assert 0 < sum(m.trained for m in micros) < sum(m.tokens for m in micros)
