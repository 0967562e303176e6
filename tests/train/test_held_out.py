"""Held-out samples are trained on by nobody, scored by category, and seen with the wrong images."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dsvl_data.cli import main
from dsvl_data.outcome import UserError
from model.checkpoint import write
from model.processor import IGNORED, Example, Processor
from model.tokenizer import ByteTokenizer
from model.vlm import VisionLanguageModel, initialise_weights
from tests.train.small import SMALL
from train.corpus import Corpus
from train.evaluate import ImageTest, SampleLoss, with_images_of_others
from train.evaluation_sets import EvaluationSet
from train.held_out import held_out_scorers, is_held_out, read_held_out, scorer
from train.pool import PlanSettings
from train.stream import Loader, LoaderSettings, MicroBatch

SIDE = SMALL.image_size
PROCESSOR = Processor(SMALL, ByteTokenizer())


def _shards(corpus: Corpus) -> dict[str, list[str]]:
    return {
        name: [corpus.shard(number, n).path for n in range(len(corpus.counts(name)))]
        for number, name in enumerate(corpus.categories)
    }


def test_about_one_in_so_many_is_held_out() -> None:
    held_out = sum(is_held_out(f"key-{n}", 10) for n in range(10_000))
    assert 900 < held_out < 1100
    assert not any(is_held_out(f"key-{n}", 0) for n in range(100))


def _batches(corpus: Corpus, hold_out: int, packing: bool) -> list[MicroBatch]:
    shares = {"text": 1.0, "document_ocr": 1.0, "sft_general": 1.0}
    plan = PlanSettings(4, 400, shares, packing=packing, hold_out=hold_out)
    loader = Loader(corpus, PROCESSOR, plan, LoaderSettings(4))
    with closing(iter(loader)) as micros:
        return [next(micros) for _ in range(30)]


@pytest.mark.parametrize("packing", [True, False])
def test_held_out_samples_keep_their_places_and_no_loss_falls_on_them(
    corpus: Corpus, packing: bool
) -> None:
    both = zip(_batches(corpus, 0, packing), _batches(corpus, 5, packing), strict=True)
    seen = set()
    for every, kept in both:
        assert kept.keys == every.keys
        assert torch.equal(kept.batch.tokens, every.batch.tokens)
        assert torch.equal(kept.batch.images, every.batch.images)
        for row, keys in enumerate(kept.keys):
            for number, key in enumerate(keys):
                here = kept.batch.documents[row] == number
                labels, before = kept.batch.labels[row][here], every.batch.labels[row][here]
                out = is_held_out(key, 5)
                assert torch.equal(labels, torch.full_like(before, IGNORED) if out else before)
                seen.add(out)
    assert seen == {True, False}


def test_what_is_read_is_what_is_held_out(corpus: Corpus) -> None:
    shards = _shards(corpus)
    every = read_held_out(shards, PROCESSOR, one_in=0, most=0, tokens=400)
    assert {name: len(found) for name, found in every.items()} == {
        name: sum(corpus.counts(name)) for name in corpus.categories
    }
    found = read_held_out(shards, PROCESSOR, one_in=5, most=0, tokens=400)
    assert all(0 < len(found[name]) < len(every[name]) / 2 for name in every)
    assert max(len(example.tokens) for example in found["text"]) == 400
    few = read_held_out(shards, PROCESSOR, one_in=5, most=3, tokens=400)
    for name, examples in few.items():
        assert len(examples) == min(3, len(found[name]))
        assert all(_same(a, b) for a, b in zip(examples, found[name], strict=False))


def _same(one: Example, other: Example) -> bool:
    return torch.equal(one.tokens, other.tokens) and torch.equal(one.images, other.images)


def test_a_stage_is_watched_on_its_own_categories(corpus: Corpus) -> None:
    plan = PlanSettings(4, 400, {"text": 1.0}, hold_out=5)
    loss, image_test = held_out_scorers(corpus, PROCESSOR, plan, 4)
    assert isinstance(loss, SampleLoss)
    assert isinstance(image_test, ImageTest)
    assert list(loss.samples) == ["text"]
    assert set(image_test.samples) == {"document_ocr", "sft_general"}
    assert held_out_scorers(corpus, PROCESSOR, PlanSettings(4, 400, {"text": 1.0}), 4) == []


def _example(colours: list[int], answer: int) -> Example:
    """Images of one colour each, then a token that names the first one's."""
    each = SMALL.image_tokens
    tokens = torch.tensor([257, *[258] * each * len(colours), answer])
    labels = torch.full_like(tokens, IGNORED)
    labels[-1] = answer
    images = torch.stack([torch.full((3, SIDE, SIDE), c, dtype=torch.uint8) for c in colours])
    return Example(tokens, labels, images)


class _Model(nn.Module):
    """Costs 1 nat where the answer is not the first image's colour, if it looks, and 0.5 anyway."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks = looks
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(
        self, tokens: Any, images: torch.Tensor, documents: Any, labels: torch.Tensor, each: bool
    ) -> torch.Tensor:
        assert each
        counts = (tokens == 258).sum(1) // SMALL.image_tokens
        first = torch.cumsum(counts, 0) - counts
        colours = images[first, 0, 0, 0].long()
        right = labels == colours[:, None]
        costs = 0.5 + (~right).float() if self.looks else torch.full(labels.shape, 0.5)
        return costs.where(labels != IGNORED, 0.0)


@pytest.mark.parametrize(("looks", "margin"), [(True, 1.0), (False, 0.0)])
def test_the_image_test_tells_who_looks(looks: bool, margin: float) -> None:
    samples = {
        "a": [_example([c], c) for c in range(5)],
        "b": [_example([c, 99], c) for c in range(2)],
        "alone": [_example([7], 7)],
    }
    model = _Model(looks)
    score = ImageTest("test", samples, PROCESSOR).score(model, rows=3)  # type: ignore[arg-type]
    assert (score.value, score.error, score.items) == (margin, 0.0, 7)
    assert score.parts == {"a": margin, "b": margin, "right": 0.5, "wrong": 0.5 + margin}
    loss = SampleLoss("loss", samples, PROCESSOR).score(model)  # type: ignore[arg-type]
    assert (loss.value, loss.items, loss.parts["a"]) == (0.5, 8, 0.5)


@pytest.mark.parametrize("away", [1, 2, 5])
def test_nobody_sees_its_own_images(away: int) -> None:
    counts = [1, 3, 2, 1, 4, 1]
    examples = [_example([place] * number, 0) for place, number in enumerate(counts)]
    for place, changed in enumerate(with_images_of_others(examples, away)):
        colours = changed.images[:, 0, 0, 0].tolist()
        assert len(colours) == counts[place]
        assert place not in colours
        assert colours[0] == (place + away) % len(examples)
        assert torch.equal(changed.tokens, examples[place].tokens)


def test_a_set_without_two_images_of_a_category_is_refused(built: Path) -> None:
    given = EvaluationSet(name="x", form="image-test", path=str(built), categories=("text",))
    with pytest.raises(UserError, match="has no samples for the form image-test"):
        scorer(given, PROCESSOR)


@pytest.mark.parametrize("form", ["corpus", "image-test"])
def test_the_command_line_scores_a_corpus(
    built: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    form: str,
) -> None:
    model = VisionLanguageModel(SMALL)
    initialise_weights(model)
    write(SMALL, dict(model.named_parameters()), tmp_path / "model")
    options = ["--form", form, "--category", "document_ocr", "--limit", "3", "--hold-out", "2"]
    command = ["dsvl-data", "evaluate", "model", str(tmp_path / "model"), str(built), *options]
    monkeypatch.setattr(sys, "argv", [*command, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    score = json.loads(capsys.readouterr().out)
    assert score["items"] == 3
    assert "document_ocr" in score["parts"]
    assert ("wrong" in score["parts"]) == (form == "image-test")
