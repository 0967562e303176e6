"""Blocks of a document become sequences that fit a token budget.

In: the chapters of a document, each a list of parts (a block of text, or a picture with its
caption) with what it costs. Out: sequences of parts in the document's order, each within the
budget, cut where the highest section begins that fills at least half of one; a sequence that
goes on within a section starts with the headings it stands under.

`SequenceOptions` is what a recipe can set for them, in every pipeline that makes any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dsvl_data.pipeline import PathOption, Settings
from dsvl_data.read.blocks import TextBlock
from dsvl_data.sample import Image, Segment, Text
from dsvl_data.shards.tokens import TokenCounter, token_counter
from pipelines.text_chunks import cut

#: What a block costs beside its own tokens: the blank line before it, and rounding.
_OVERHEAD = 2
#: Share of the budget that a sequence fills before a section's border ends it.
_FILLED = 0.5
#: Share of the budget that repeated headings may take.
_REPEATED = 1 / 8
_NO_LEVEL = 9


class SequenceOptions(Settings):
    """What a recipe can set for the sequences that documents become."""

    sequence_tokens: int = Field(
        default=4096, ge=256, description="tokens that a sample has at most, pictures included"
    )
    image_tokens: int = Field(
        default=576, ge=1, description="tokens that a picture takes in the model"
    )
    max_images: int = Field(default=6, ge=1, description="pictures that a sample has at most")
    tokenizer: Annotated[str | None, PathOption(or_name=True)] = Field(
        default=None, description="tokenizer.json, its folder or a hub name; empty: an estimate"
    )
    without_picture: Literal["text", "drop"] = Field(
        default="text",
        description="sequences without a picture: `text` keeps them in that category, or `drop`",
    )
    repeat_headings: bool = Field(
        default=True, description="begin a sequence with the headings that it stands under"
    )

    @model_validator(mode="after")
    def _holds_a_picture(self) -> SequenceOptions:
        if self.image_tokens > self.sequence_tokens // 2:
            raise ValueError("a picture must take at most half of a sequence")
        return self


@dataclass(frozen=True, slots=True)
class Part:
    """A block of a sequence: text, or a picture followed by its caption as `text`.

    `level` is a heading's (1 to 6), 0 for the first part of a chapter that is no heading, else 9.
    """

    text: str
    cost: int
    image: Image | None = None
    level: int = _NO_LEVEL
    heading: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """What a sequence may hold: `tokens` in all, of which each picture takes `image`."""

    tokens: int
    image: int
    images: int
    counter: TokenCounter
    repeat_headings: bool = True

    @classmethod
    def of(cls, options: SequenceOptions) -> Budget:
        """Return the budget that a recipe sets; `ShardError` when its tokenizer is not there."""
        return cls(
            tokens=options.sequence_tokens,
            image=options.image_tokens,
            images=options.max_images,
            counter=token_counter(options.tokenizer),
            repeat_headings=options.repeat_headings,
        )

    @property
    def most(self) -> int:
        """The cost of a part that fits into any sequence, whatever headings it is led by."""
        return self.tokens - int(self.tokens * _REPEATED)


def make_parts(blocks: Sequence[TextBlock | tuple[Image, str]], budget: Budget) -> list[Part]:
    """Price the blocks of one chapter; what is too long for a sequence is cut into several."""
    texts = [block.markdown if isinstance(block, TextBlock) else block[1] for block in blocks]
    counts = budget.counter.count(texts)
    parts: list[Part] = []
    for block, text, count in zip(blocks, texts, counts, strict=True):
        cost = count + _OVERHEAD
        if isinstance(block, TextBlock):
            if cost <= budget.most:
                heading = block.kind == "heading"
                level = block.level if heading else _NO_LEVEL
                parts.append(Part(text, cost, level=level, heading=heading))
            else:
                parts += _text_parts(_pieces(block, budget), budget)
            continue
        cost += budget.image + _OVERHEAD
        if cost <= budget.most:
            parts.append(Part(text, cost, block[0]))
        else:  # a caption of pages: it follows as text
            parts.append(Part("", budget.image + _OVERHEAD, block[0]))
            parts += _text_parts(cut(text, budget.most - _OVERHEAD, budget.counter), budget)
    return parts


def make_sequences(chapters: Sequence[Sequence[Part]], budget: Budget) -> list[list[Segment]]:
    """Pack the parts of a document. Each sequence costs at most `budget.tokens`.

    Every part stands in exactly one sequence, in order; only headings are said again.
    """
    parts = [part for chapter in chapters for part in chapter]
    starts = _starts(chapters)
    trails = _trails(parts, starts, budget)
    sequences: list[list[Segment]] = []
    start = position = 0
    used, images, lead = 0, 0, ""
    while position < len(parts):
        part = parts[position]
        full = used + part.cost > budget.tokens
        full = full or (part.image is not None and images >= budget.images)
        if not full or position == start:
            used, images = used + part.cost, images + (part.image is not None)
            position += 1
            continue
        border = _border(parts, starts, start, position, budget.tokens)
        sequences.append(_segments(lead, parts[start:border]))
        start = position = border
        lead, used = trails[border] if budget.repeat_headings else ("", 0)
        images = 0
    if start < len(parts):
        sequences.append(_segments(lead, parts[start:]))
    return sequences


def _starts(chapters: Sequence[Sequence[Part]]) -> set[int]:
    starts, position = set(), 0
    for chapter in chapters:
        starts.add(position)
        position += len(chapter)
    return starts


def _border(parts: Sequence[Part], starts: set[int], start: int, end: int, tokens: int) -> int:
    """Where to cut, so that `parts[start:border]` is a sequence: behind `start`, at most `end`."""
    filled, best, best_level = 0, 0, _NO_LEVEL + 1
    for place in range(start + 1, end + 1):
        filled += parts[place - 1].cost
        if parts[place - 1].heading:
            continue  # a heading stays with what it is the heading of
        level = 0 if place in starts else parts[place].level
        if filled < _FILLED * tokens:
            level = _NO_LEVEL  # better than none, no better than any other place
        if level <= best_level:
            best, best_level = place, level
    return best or end


def _trails(parts: Sequence[Part], starts: set[int], budget: Budget) -> list[tuple[str, int]]:
    """For each place, the headings that a sequence beginning there stands under, and their cost."""
    trails = []
    open_headings: list[Part] = []
    most = budget.tokens * _REPEATED
    for place, part in enumerate(parts):
        if place in starts:
            open_headings = []
        if part.heading:
            open_headings = [each for each in open_headings if each.level < part.level]
        shown = list(open_headings)
        while sum(each.cost for each in shown) > most:
            shown.pop(0)
        trails.append(("\n\n".join(each.text for each in shown), sum(each.cost for each in shown)))
        if part.heading:
            open_headings.append(part)
    return trails


def _segments(lead: str, parts: Sequence[Part]) -> list[Segment]:
    """Pictures where they stand, and the text between them in one piece."""
    segments: list[Segment] = []
    texts = [lead] if lead else []

    def end() -> None:
        if texts:
            segments.append(Text("\n\n".join(texts)))
            texts.clear()

    for part in parts:
        if part.image is not None:
            end()
            segments.append(part.image)
        if part.text:
            texts.append(part.text)
    end()
    return segments


def _text_parts(pieces: Sequence[str], budget: Budget) -> Iterator[Part]:
    for piece, count in zip(pieces, budget.counter.count(pieces), strict=True):
        yield Part(piece, count + _OVERHEAD)


def _pieces(block: TextBlock, budget: Budget) -> list[str]:
    """Cut a block that is too long: a table between rows, code between lines, else as prose."""
    lines = block.markdown.split("\n")
    if block.kind == "code" and len(lines) > 2:
        return _wrapped(lines[1:-1], lines[0] + "\n", "\n" + lines[-1], budget)
    if block.kind == "table":
        head = next((i for i, line in enumerate(lines) if re.fullmatch(r"\|( --- \|)+", line)), 0)
        if head:
            caption = cut("\n".join(lines[: head - 1]), budget.most - _OVERHEAD, budget.counter)
            header = "\n".join(lines[head - 1 : head + 1]) + "\n"
            return [*caption, *_wrapped(lines[head + 1 :], header, "", budget)]
    return cut(block.markdown, budget.most - _OVERHEAD, budget.counter)


def _wrapped(lines: Sequence[str], before: str, after: str, budget: Budget) -> list[str]:
    """Lines in groups that fit, each between `before` and `after`."""
    count = budget.counter.count
    around = count([before])[0] + count([after])[0] + 2 * _OVERHEAD
    if around > budget.most // 2:  # a header that is too long itself
        text = before + "\n".join(lines) + after
        return cut(text, budget.most - _OVERHEAD, budget.counter)
    limit = budget.most - around
    groups: list[str] = []
    group: list[str] = []
    used = 0
    for line, tokens in zip(lines, count(lines), strict=True):
        for piece in (
            [line] if tokens + _OVERHEAD <= limit else cut(line, limit - 4, budget.counter)
        ):
            cost = (tokens if piece is line else count([piece])[0]) + _OVERHEAD
            if group and used + cost > limit:
                groups.append(before + "\n".join(group) + after)
                group, used = [], 0
            group.append(piece)
            used += cost
    if group:
        groups.append(before + "\n".join(group) + after)
    return groups
