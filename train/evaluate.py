"""What a model knows, without having it write: perplexities of given answers.

In: a model, its processor, an `EvaluationSet` or samples. Out: a `Score`.

- Multi-choice PPL (the paper, section 4.1): image, question and all options go in; the letter that
  the model finds likeliest is its answer.
- HellaSwag and MMLU: the option whose own text has the lowest perplexity, per token.
- Texts: bits per byte, which any two tokenizers can be compared by.
- Samples of a corpus: the loss of what is trained on in them; and the image test, whether it is
  lower with a sample's own image than with another's.

Every rank of a sharded model computes the whole set: all must call the layers alike.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean, stdev
from typing import Any, Protocol

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
    """Of one set. `value`: the share of right answers, bits per byte of texts, nats a token.

    `categories`: right answers and questions of each. `skipped`: by id, why one was not asked.
    `error`: the value's standard error, where it is a mean over samples. `parts`: what the value
    is made of, by name.
    """

    name: str
    value: float
    metric: str
    items: int
    categories: dict[str, tuple[int, int]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    error: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


class Scorer(Protocol):
    """What scores a model as often as one likes; `rows` rows at a time."""

    name: str

    def score(self, model: VisionLanguageModel, *, rows: int = 8) -> Score: ...


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


class SampleLoss:
    """The loss of samples by category: nats a token of all that is trained on in them."""

    metric = "nats a token"

    def __init__(
        self, name: str, samples: Mapping[str, Sequence[Example]], processor: Processor
    ) -> None:
        self.name = name
        self.samples, self._processor = samples, processor

    def score(self, model: VisionLanguageModel, *, rows: int = 8) -> Score:
        """The mean over all tokens, and `parts` by category."""
        nats = tokens = items = 0.0
        parts: dict[str, float] = {}
        for category, examples in self.samples.items():
            found = list(losses(model, examples, self._processor, rows))
            of_category = sum(total for total, _ in found)
            number = sum(number for _, number in found)
            parts[category] = of_category / number
            nats, tokens, items = nats + of_category, tokens + number, items + len(found)
        return Score(self.name, nats / max(1.0, tokens), self.metric, int(items), parts=parts)


class ImageTest:
    """Whether a model uses its eyes: how much lower samples' losses are with the right images.

    Each sample is scored with its own images and with those of others of its category, in nats a
    token. A model that does not look, or looks in vain, scores 0, but for chance; so does one
    that has learnt only what all images of a category have in common.
    """

    metric = "nats a token less with the right image"
    #: Other samples whose images a sample is scored with.
    OTHERS = 2

    def __init__(
        self, name: str, samples: Mapping[str, Sequence[Example]], processor: Processor
    ) -> None:
        """`samples`: by category; those without an image, or alone with one, are left out."""
        self.name = name
        self._processor = processor
        self.samples = {
            category: seeing
            for category, examples in samples.items()
            if len(seeing := [e for e in examples if len(e.images)]) > 1
        }

    def score(self, model: VisionLanguageModel, *, rows: int = 8) -> Score:
        """The mean over samples of `wrong` less `right`, with its standard error.

        `parts`: both losses, and the difference by category.
        """
        rights: list[float] = []
        wrongs: list[float] = []
        parts: dict[str, float] = {}
        for category, examples in self.samples.items():
            right = self._losses(model, examples, rows)
            others = [
                self._losses(model, with_images_of_others(examples, away), rows)
                for away in range(1, min(self.OTHERS, len(examples) - 1) + 1)
            ]
            wrong = [fmean(of_one) for of_one in zip(*others, strict=True)]
            parts[category] = fmean(wrong) - fmean(right)
            rights, wrongs = rights + right, wrongs + wrong
        if not rights:
            return Score(self.name, 0.0, self.metric, 0)
        less = [wrong - right for wrong, right in zip(wrongs, rights, strict=True)]
        parts |= {"right": fmean(rights), "wrong": fmean(wrongs)}
        error = stdev(less) / math.sqrt(len(less))
        return Score(self.name, fmean(less), self.metric, len(less), error=error, parts=parts)

    def _losses(
        self, model: VisionLanguageModel, examples: Sequence[Example], rows: int
    ) -> list[float]:
        found = losses(model, examples, self._processor, rows)
        return [total / max(1, tokens) for total, tokens in found]


def with_images_of_others(examples: Sequence[Example], away: int) -> list[Example]:
    """Each sample with the images of the one so many places further on, and of those after it.

    As many images as it has of its own: no token changes.
    """
    changed, number = [], len(examples)
    for place, example in enumerate(examples):
        # Never its own: they would be the right ones.
        others = [
            examples[(place + step) % number]
            for step in range(away, away + number)
            if step % number
        ]
        images = itertools.cycle(image for other in others for image in other.images)
        chosen = list(itertools.islice(images, len(example.images)))
        changed.append(replace(example, images=torch.stack(chosen)))
    return changed


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
