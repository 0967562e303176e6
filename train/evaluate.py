"""What a model knows, without having it write: perplexities of given answers.

In: a model, its processor, an `EvaluationSet`. Out: a `Score`.

- Multi-choice PPL (the paper, section 4.1): image, question and all options go in; the letter that
  the model finds likeliest is its answer.
- HellaSwag and MMLU: the option whose own text has the lowest perplexity, per token.
- Texts: bits per byte, which any two tokenizers can be compared by.

Every rank of a sharded model computes the whole set: all must call the layers alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from dsvl_data.outcome import DocumentError
from dsvl_data.read.images import decode
from model.chat import Run, Turn, runs
from model.processor import IGNORED, Example, Processor, collate
from model.vlm import VisionLanguageModel
from train.evaluation_sets import (
    BY_TEXT,
    LETTERS,
    EvaluationSet,
    Question,
    read_questions,
    read_texts,
)

_ASK = "Answer with the option's letter from the given choices directly."


@dataclass(slots=True)
class Score:
    """Of one set. `value`: the share of right answers, or bits per byte of texts.

    `categories`: right answers and questions of each. `skipped`: by id, why one was not asked.
    """

    name: str
    value: float
    metric: str
    items: int
    categories: dict[str, tuple[int, int]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


class Evaluation:
    """A set, tokenised once, to be scored as often as one likes.

    Raises `UserError` for a set that cannot be read.
    """

    def __init__(self, given: EvaluationSet, processor: Processor) -> None:
        self.name = given.name
        self._processor = processor
        self._by_letter = given.form not in BY_TEXT
        self._skipped: dict[str, str] = {}
        self._questions: list[tuple[Question, list[Example]]] = []
        self._windows: list[Example] = []
        self._bytes = 0
        if given.form == "text":
            for text in read_texts(given):
                self._bytes += len(text.encode("utf-8", errors="replace"))
                self._windows += windows(text, processor)
            return
        questions, self._skipped = read_questions(given)
        longest = processor.config.language.max_positions
        for question in questions:
            try:
                examples = self._encode(question)
            except DocumentError as error:
                self._skipped[question.id] = str(error)
                continue
            if max(len(example.tokens) for example in examples) > longest:
                self._skipped[question.id] = f"longer than the model's {longest} positions"
                continue
            self._questions.append((question, examples))

    def score(self, model: VisionLanguageModel, *, rows: int = 8) -> Score:
        """Score a model; `rows` rows at a time."""
        if self._windows:
            nats = sum(total for total, _ in losses(model, self._windows, self._processor, rows))
            bits = nats / math.log(2) / self._bytes
            return Score(self.name, bits, "bits per byte", self._bytes)
        every = [example for _, examples in self._questions for example in examples]
        found = losses(model, every, self._processor, rows)
        categories: dict[str, tuple[int, int]] = {}
        for question, examples in self._questions:
            of_options = [next(found) for _ in examples]
            # Of letters all have the same number of tokens or none can be compared by their mean.
            costs = [
                total if self._by_letter else total / max(1, tokens) for total, tokens in of_options
            ]
            right, asked = categories.get(question.category, (0, 0))
            correct = costs.index(min(costs)) == question.answer
            categories[question.category] = (right + correct, asked + 1)
        right = sum(right for right, _ in categories.values())
        asked = len(self._questions)
        return Score(
            self.name, right / max(1, asked), "accuracy", asked, categories, dict(self._skipped)
        )

    def _encode(self, question: Question) -> list[Example]:
        if not self._by_letter:
            context = Run(question.question.rstrip())
            return [
                self._processor.encode([context, Run(f" {option.strip()}", trained=True)])
                for option in question.options
            ]
        choices = zip(LETTERS, question.options, strict=False)
        listed = "\n".join(f"{letter}. {option}" for letter, option in choices)
        images = [decode(image) for image in question.images]
        asked = Turn("user", [*images, f"{question.question}\n{listed}\n{_ASK}"])
        prompt = runs([asked, Turn("assistant", "")])
        return [
            self._processor.encode([*prompt, Run(f" {letter}", trained=True)])
            for letter in LETTERS[: len(question.options)]
        ]


def windows(text: str, processor: Processor) -> Iterator[Example]:
    """A text cut to the model's length, each token but the beginning's predicted exactly once."""
    tokenizer = processor.tokenizer
    begin = tokenizer.eos_id if tokenizer.bos_id is None else tokenizer.bos_id
    ids = torch.tensor([begin, *tokenizer.encode(text)], dtype=torch.int64)
    longest = processor.config.language.max_positions
    size = processor.config.image_size
    for start in range(0, len(ids) - 1, longest - 1):
        # Begins with the token before: it is seen and, as the first, not predicted again.
        part = ids[start : start + longest]
        labels = part.clone()
        labels[0] = IGNORED
        yield Example(part, labels, torch.empty((0, 3, size, size), dtype=torch.uint8))


@torch.no_grad()
def losses(
    model: VisionLanguageModel, examples: Sequence[Example], processor: Processor, rows: int
) -> Iterator[tuple[float, int]]:
    """Of each example, in order: the sum of its labelled tokens' losses, in nats; their number."""
    device = next(model.parameters()).device
    for first in range(0, len(examples), rows):
        batch = collate([[e] for e in examples[first : first + rows]], processor.tokenizer.eos_id)
        found = model(
            batch.tokens.to(device),
            batch.images.to(device),
            batch.documents,
            batch.labels.to(device),
            each=True,
        )
        assert isinstance(found, torch.Tensor)
        sums = found.double().sum(1).tolist()
        yield from zip(sums, (batch.labels != IGNORED).sum(1).tolist(), strict=True)
