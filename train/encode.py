"""From a sample as a shard holds it to what the model takes.

In: the record of a `KEY.json` and its images' bytes. Out: an `Example`, or the part of it that a
slot of the plan shows. A sample whose image does not decode keeps its place as a masked blank: its
tokens are there, its labels are not, so the order of all others stays what it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from PIL import Image as Pillow

from dsvl_data.outcome import DocumentError
from dsvl_data.read.images import decode
from model.chat import SYSTEM_PROMPT, Mark, Run, Turn, document, runs
from model.processor import IGNORED, Example, Processor

#: Gives an image by its member's name, `0.jpg`.
Picture: TypeAlias = Callable[[str], Pillow.Image]
_Part: TypeAlias = str | Pillow.Image


@dataclass(frozen=True, slots=True)
class Encoded:
    """A tokenised sample; `broken` says why it is only a blank, else it is empty."""

    key: str
    example: Example
    broken: str = ""


def encode(
    record: Mapping[str, Any],
    images: Mapping[str, bytes | memoryview],
    processor: Processor,
    *,
    draft: bool = False,
) -> Encoded:
    """Tokenise a sample and decode its images.

    With `draft`, a JPEG at least twice as large as the model sees it is decoded at a half, a
    quarter or an eighth (see `decode`): much faster, and its pixels differ slightly from those
    of a full decoding, which is what the model gets where it is asked.
    """
    key = str(record["key"])
    broken = ""
    least = processor.config.image_size if draft else None
    try:
        pictures = {name: decode(bytes(data), at_least=least) for name, data in images.items()}
    except DocumentError as error:
        pictures = {name: _blank() for name in images}
        broken = str(error)
    try:
        example = processor.encode(write(record, pictures.__getitem__))
    except ValueError as error:
        return blank(key, 1, str(error), processor)
    return Encoded(key, masked(example) if broken else example, broken)


def masked(example: Example) -> Example:
    """The example with its tokens in place, and none of them trained on."""
    return replace(example, labels=torch.full_like(example.labels, IGNORED))


def blank(key: str, tokens: int, broken: str, processor: Processor) -> Encoded:
    """What stands for a sample that cannot be read: so many tokens, none of them trained on."""
    size = processor.config.image_size
    return Encoded(
        key,
        Example(
            torch.full((tokens,), processor.tokenizer.eos_id),
            torch.full((tokens,), IGNORED),
            torch.empty((0, 3, size, size), dtype=torch.uint8),
        ),
        broken,
    )


def count_tokens(record: Mapping[str, Any], processor: Processor) -> int:
    """How many tokens `encode` will make of a sample; looks at no image."""
    total = int(processor.tokenizer.bos_id is not None)
    try:
        written = write(record, lambda _: _blank())
    except ValueError:
        return 1  # as `encode` has it
    for run in written:
        if isinstance(run.content, str):
            total += len(processor.tokenizer.encode(run.content))
        else:
            total += 1 if isinstance(run.content, Mark) else processor.config.image_tokens
    return total


def write(record: Mapping[str, Any], picture: Picture) -> list[Run]:
    """A sample as runs: a conversation where its segments have roles, else a document.

    Raises `ValueError`, with the turn's number, for turns that do not alternate.
    """
    segments = record["segments"]
    if not any(segment.get("role") for segment in segments):
        return document(
            picture(s["member"]) if s["type"] == "image" else (s["text"], s.get("trained", True))
            for s in segments
        )
    turns: list[Turn] = []
    system = SYSTEM_PROMPT
    for role, group in itertools.groupby(segments, key=lambda segment: segment.get("role")):
        said = list(group)
        content = list(_content(said, picture))
        if role == "system" and not turns:
            system = "".join(part for part in content if isinstance(part, str))
        elif role in ("user", "assistant"):
            # An answer in several parts is one answer: no loss where any part is to carry none.
            trained = all(segment.get("trained", True) for segment in said)
            turns.append(Turn(role, content, trained))
        else:
            raise ValueError(f"turn {len(turns)} has the role {role!r}")
    return runs(turns, system)


def cut(
    example: Example, start: int, tokens: int, most_images: int, processor: Processor
) -> Example:
    """The part of an example that a row has room for, without half an image.

    `most_images`: 0 for no limit. Only what has no image begins elsewhere than at its start.
    """
    each = processor.config.image_tokens
    ids = example.tokens[start : start + tokens]
    places = torch.nonzero(ids == processor.tokenizer.image_id).flatten()
    whole = len(places) // each
    if most_images:
        whole = min(whole, most_images)
    if len(places) > whole * each:
        ids = ids[: int(places[whole * each])]
    labels = example.labels[start : start + len(ids)]
    return Example(ids, labels, example.images[:whole])


def _content(segments: Iterable[Mapping[str, Any]], picture: Picture) -> Iterable[_Part]:
    for segment in segments:
        yield picture(segment["member"]) if segment["type"] == "image" else segment["text"]


def _blank() -> Pillow.Image:
    return Pillow.new("RGB", (1, 1))
