"""A step trains what it should, tokens weigh alike, bad steps are left out, signals heeded."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.freeze import Stage
from model.packing import PADDING
from model.processor import Example, collate
from model.vlm import Loss
from tests.train.small import write_recipe
from train.loop import Trainer, TrainingStopped, _by_step
from train.parallel import Ranks
from train.settings import load
from train.stream import MicroBatch

ALONE = Ranks(0, 1, torch.device("cpu"), False)
STAGES: tuple[Stage, ...] = (1, 2, 3)
MakeTrainer = Callable[..., Trainer]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def make(built: Path, tmp_path: Path) -> MakeTrainer:
    """A trainer of a stage, of the recipe with some changes."""

    def trainer(stage: Stage, name: str = "a", **changes: object) -> Trainer:
        recipe, stages = load(write_recipe(tmp_path / name, built, **changes))  # type: ignore[arg-type]
        return Trainer(recipe, stages, stage, ALONE)

    return trainer


def _steps(trainer: Trainer, number: int) -> list[list[MicroBatch]]:
    with closing(iter(trainer.loader)) as micros:
        steps = _by_step(micros)
        return [next(steps) for _ in range(number)]


def _lines(trainer: Trainer, name: str = "log") -> list[dict[str, float]]:
    text = (trainer.folder / f"{name}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


_ADAPTOR = ("adaptor.", "high.downsamples.", "high.alpha")


@pytest.mark.parametrize(
    ("stage", "trained"),
    [(1, _ADAPTOR), (2, (*_ADAPTOR, "language.")), (3, (*_ADAPTOR, "language.", "low."))],
)
def test_a_step_changes_what_the_stage_trains_and_nothing_else(
    make: MakeTrainer, stage: Stage, trained: tuple[str, ...]
) -> None:
    trainer = make(stage, each={"shares": {"document_ocr": 1.0}, "language": None})
    before = _weights(trainer)
    trainer.train_step(_steps(trainer, 1)[0])

    after = _weights(trainer)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith(trained)}


def test_packed_and_padded_give_the_same_gradients(make: MakeTrainer) -> None:
    packed = make(2, "packed", clip=1e9, each={"micro_rows": 2, "rows": 2})
    padded = make(2, "padded", clip=1e9, each={"micro_rows": 2, "rows": 2})
    seen, shared = set(), False
    for batches in _steps(packed, 8):
        alone = _unpacked(packed, batches)
        shared |= len(alone) > len(batches)
        one = packed.train_step(batches)
        other = padded.train_step(alone)

        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        for (name, a), (_, b) in zip(
            packed.model.named_parameters(), padded.model.named_parameters(), strict=True
        ):
            assert (a.grad is None) == (b.grad is None), name
            if a.grad is not None and b.grad is not None:
                assert torch.allclose(a.grad, b.grad, rtol=1e-5, atol=1e-5), name
        # Later steps must not differ by the last step's rounding, which AdamW makes large.
        padded.model.load_state_dict(packed.model.state_dict())
        seen.add(batches[0].modality)
    assert shared
    assert seen == {"language", "multimodal"}


def _unpacked(trainer: Trainer, batches: list[MicroBatch]) -> list[MicroBatch]:
    """The documents of packed rows as padded rows, three a micro-batch."""
    each = trainer.config.image_tokens
    examples: list[Example] = []
    categories: list[torch.Tensor] = []
    for micro in batches:
        batch, used = micro.batch, 0
        for row, documents in enumerate(batch.documents):
            for document in range(int(documents.max()) + 1):
                here = documents == document
                tokens = batch.tokens[row][here]
                images = int((tokens == trainer.config.tokens.image).sum()) // each
                examples.append(
                    Example(tokens, batch.labels[row][here], batch.images[used : used + images])
                )
                categories.append(micro.categories[row][here])
                used += images
    micros = []
    for first in range(0, len(examples), 3):
        chosen = examples[first : first + 3]
        batch = collate([[example] for example in chosen], trainer.config.tokens.eos)
        numbers = torch.full_like(batch.tokens, -1)
        numbers[batch.documents != PADDING] = torch.cat(categories[first : first + 3])
        size = sum(len(example.tokens) for example in chosen)
        micros.append(
            MicroBatch(
                batches[0].step,
                batches[0].modality,
                first + 3 >= len(examples),
                batch,
                numbers,
                (("",),) * len(chosen),
                (),
                size,
                len(batch.images),
                size,
                ((0,),) * len(chosen),
            )
        )
    return micros


def test_losses_by_category_add_up_to_the_loss(make: MakeTrainer) -> None:
    shares = {"document_ocr": 1.0, "text": 1.0, "sft_general": 1.0}
    each = {"grouping": False, "language": None, "rows": 8, "micro_rows": 8, "shares": shares}
    trainer = make(2, each=each)
    facts = trainer.train_step(_steps(trainer, 1)[0])
    sums, numbers = trainer.meter._by_category.tolist()

    found = {name for name, n in zip(trainer.corpus.categories, numbers, strict=True) if n}
    assert found == set(shares)
    assert sum(sums) / sum(numbers) == pytest.approx(facts["loss"], rel=1e-5)


def test_a_bad_step_is_left_out_and_told_with_its_samples(
    make: MakeTrainer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make(2)
    keys = [
        key for micro in _steps(trainer, 2)[1] for row in micro.keys for key in row
    ]  # of the second step
    trainer = make(2)
    weights = _poison(trainer, monkeypatch, {1})
    trainer.run()

    assert weights[1].keys() == weights[2].keys()
    assert all(torch.equal(weights[1][name], weights[2][name]) for name in weights[1])
    assert any(not torch.equal(weights[2][name], weights[3][name]) for name in weights[2])
    said = "".join(capsys.readouterr().err.split())
    assert all(key in said for key in keys)
    assert "step2ofstage2:thelossisnan" in said
    assert [line["skipped"] for line in _lines(trainer)] == [0, 1, 1, 1, 1, 1]


def _poison(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, steps: set[int]
) -> list[dict[str, torch.Tensor]]:
    """Make the losses of some steps NaN; returns the weights before each step, as they come."""
    weights: list[dict[str, torch.Tensor]] = []
    loss, train_step = trainer._loss, trainer.train_step

    def bad(micro: MicroBatch) -> Loss:
        found = loss(micro)
        return replace(found, sum=found.sum * torch.nan) if trainer.step in steps else found

    def step(batches: list[MicroBatch]) -> dict[str, object]:
        weights.append(_weights(trainer))
        return train_step(batches)

    monkeypatch.setattr(trainer, "_loss", bad)
    monkeypatch.setattr(trainer, "train_step", step)
    return weights


@pytest.mark.parametrize(
    ("changes", "bad", "after"),
    [({"on_bad_step": "stop"}, {2}, 2), ({"most_skipped": 1}, {1, 3}, 3)],
)
def test_bad_steps_end_the_run_where_the_recipe_says_so(
    make: MakeTrainer,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    bad: set[int],
    after: int,
) -> None:
    trainer = make(2, **changes)
    _poison(trainer, monkeypatch, bad)
    with pytest.raises(TrainingStopped, match=f"step {after + 1} of stage 2: the loss is nan"):
        trainer.run()
    assert len(_lines(trainer)) == after


def test_a_spike_is_a_bad_step(make: MakeTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(1, spike=3.0, each={"steps": 104, "rows": 1}, checkpoint_every=1000)
    loss = trainer._loss

    def high(micro: MicroBatch) -> Loss:
        found = loss(micro)
        return replace(found, sum=found.sum * 10) if trainer.step in (5, 102) else found

    monkeypatch.setattr(trainer, "_loss", high)
    trainer.run()
    # The first one comes before there is a mean to be measured against.
    assert [line["step"] for line in _lines(trainer) if line["skipped"]] == [103, 104]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_with_a_checkpoint_and_the_run_goes_on_from_it(
    make: MakeTrainer, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    whole = make(2, "whole")
    whole.run()
    stopped = make(2, "stopped", checkpoint_every=1000)
    train_step = stopped.train_step

    def step(batches: list[MicroBatch]) -> dict[str, object]:
        if stopped.step == 2:
            os.kill(os.getpid(), number)
        return train_step(batches)

    monkeypatch.setattr(stopped, "train_step", step)
    with pytest.raises(TrainingStopped, match="after step 3 of stage 2"):
        stopped.run()
    assert signal.getsignal(number) is not stopped._on_signal

    again = make(2, "stopped", checkpoint_every=1000)
    assert again.step == 3
    again.run()
    assert [line["loss"] for line in _lines(again)] == [line["loss"] for line in _lines(whole)]
    assert _lines(again, "ids-0") == _lines(whole, "ids-0")
    assert again.run() == again.folder / "final"
