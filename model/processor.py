"""From conversations and documents to what the model takes.

In: turns or documents, of texts and PIL images. Out: an `Example` each (ids, labels, uint8 images),
and, by `collate`, a padded `Batch` of them. Runs in data workers: no device, no float image.

A label is the id that stands at its own position, or `IGNORED`; the model shifts them by one.
Padding has the document id `PADDING`. Its token id is the end of sentence's, as the model's authors
have it, so that nothing may ever be told from the id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from PIL import Image

from model.chat import SYSTEM_PROMPT, Mark, Run, Turn, document, runs
from model.config import ModelConfig
from model.images import square_image
from model.packing import IGNORED, PADDING
from model.tokenizer import Tokenizer, token_ids

__all__ = ["IGNORED", "PADDING", "Batch", "Example", "Processor", "collate"]


@dataclass(frozen=True, slots=True)
class Example:
    """One tokenised conversation or document.

    tokens, labels: int64, [T]. images: uint8, [N, 3, S, S], in the order of their placeholders.
    """

    tokens: torch.Tensor
    labels: torch.Tensor
    images: torch.Tensor


class Processor:
    """Tokenises for one model: its image size, its number of tokens an image, its ids."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer) -> None:
        """Raises `ValueError` where the tokenizer's ids are not those the model was made for."""
        ids = token_ids(tokenizer)
        if tokenizer.bos_id is None:
            ids = replace(ids, bos=config.tokens.bos)  # never written, so it cannot differ
        if ids != config.tokens:
            raise ValueError(
                f"the tokenizer has {ids}, the model {config.tokens}: a model for this tokenizer "
                "takes its ids from `token_ids`"
            )
        if tokenizer.vocab_size > config.language.vocab_size:
            raise ValueError(
                f"the tokenizer has {tokenizer.vocab_size} ids, the model's vocabulary "
                f"{config.language.vocab_size}"
            )
        self.config = config
        self.tokenizer = tokenizer

    def conversation(self, turns: Sequence[Turn], system: str = SYSTEM_PROMPT) -> Example:
        """A conversation in the chat format; an empty last answer is left to be generated."""
        return self.encode(runs(turns, system))

    def document(self, parts: Iterable[str | Image.Image | tuple[str, bool]]) -> Example:
        """A document of pretraining: texts, trained on unless a pair says not, and images."""
        return self.encode(document(parts))

    def encode(self, written: Iterable[Run]) -> Example:
        """Runs as one example, from the beginning of a sentence on."""
        tokens: list[int] = [] if self.tokenizer.bos_id is None else [self.tokenizer.bos_id]
        labels: list[int] = [IGNORED] * len(tokens)
        images: list[torch.Tensor] = []
        for run in written:
            if isinstance(run.content, str):
                ids = self.tokenizer.encode(run.content)
            elif isinstance(run.content, Mark):
                ids = [self.tokenizer.eos_id]
            else:
                ids = [self.tokenizer.image_id] * self.config.image_tokens
                images.append(square_image(run.content, self.config.image_size, self.config.mean))
            tokens += ids
            labels += ids if run.trained else [IGNORED] * len(ids)
        return Example(
            torch.tensor(tokens, dtype=torch.int64),
            torch.tensor(labels, dtype=torch.int64),
            torch.stack(images) if images else self._no_images(),
        )

    def _no_images(self) -> torch.Tensor:
        size = self.config.image_size
        return torch.empty((0, 3, size, size), dtype=torch.uint8)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of equal length, each of one document or of several that never see each other.

    tokens, labels, positions: int64, [B, T]; positions restart with each document and are 0 in
    padding. documents: int64, [B, T], `PADDING` in padding. images: uint8, [N, 3, S, S], row by
    row, in the order of their placeholders.
    """

    tokens: torch.Tensor
    labels: torch.Tensor
    documents: torch.Tensor
    positions: torch.Tensor
    images: torch.Tensor


def collate(
    rows: Sequence[Sequence[Example]],
    eos_id: int,
    *,
    length: int | None = None,
    side: Literal["left", "right"] = "right",
) -> Batch:
    """Lay examples out as a batch: those of one inner sequence share a row.

    Rows are padded to `length`, else to the longest: on the right to train, on the left for prompts
    that are to be continued. Raises `ValueError` for a row longer than `length`, and for no rows.
    """
    if not rows or not all(rows):
        raise ValueError("a batch has at least one row, and a row at least one example")
    sizes = [sum(len(example.tokens) for example in row) for row in rows]
    width = max(sizes) if length is None else length
    if max(sizes) > width:
        raise ValueError(f"row {sizes.index(max(sizes))} has {max(sizes)} tokens; {width} fit")
    shape = (len(rows), width)
    tokens = torch.full(shape, eos_id, dtype=torch.int64)
    labels = torch.full(shape, IGNORED, dtype=torch.int64)
    documents = torch.full(shape, PADDING, dtype=torch.int64)
    positions = torch.zeros(shape, dtype=torch.int64)
    for number, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        start = width - size if side == "left" else 0
        for document_id, example in enumerate(row):
            end = start + len(example.tokens)
            tokens[number, start:end] = example.tokens
            labels[number, start:end] = example.labels
            # A first token follows nothing of its own document: no loss may fall on it.
            labels[number, start : start + 1] = IGNORED
            documents[number, start:end] = document_id
            positions[number, start:end] = torch.arange(end - start)
            start = end
    images = torch.cat([example.images for row in rows for example in row])
    return Batch(tokens, labels, documents, positions, images)
