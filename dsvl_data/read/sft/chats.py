"""Dialogues that are text first: ShareGPT, Alpaca, and messages as OpenAI's chat API has them.

In: a record. Out: a conversation. In ShareGPT's and Alpaca's texts `<image>` is only its letters;
messages may show pictures: as parts of a turn (`image_url`, with an address or a `data:` URL, or
`image`), or by `<image>` in the text and `images` in the record, as LLaMA-Factory writes them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.fields import (
    image_of,
    is_list,
    kind_of,
    list_of,
    object_of,
    objects_of,
    required_list,
    required_text,
    text_of,
)
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.read.sft.turns import (
    Turn,
    all_of,
    role_of,
    segments_of,
    trimmed,
    turn_of,
    turns_of,
)

# ShareGPT: LLaVA's turns without pictures; `items` in the oldest files. Long conversations were cut
# into pieces, which may begin or end in the midst of an exchange.


def _sharegpt(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    field = "items" if "conversations" not in record and "items" in record else "conversations"
    turns = turns_of(required_list(record, field), placed=False)
    if system := text_of(record.get("system")):
        turns = [turn_of("system", system, placed=False), *turns]
    kept, left = trimmed(turns)
    yield Item(segments_of(kept, []), details={"turns_left_out": str(left)} if left else {})


# Alpaca: `instruction`, `input` (may be empty), `output`; LLaMA-Factory adds `system` and
# `history`, pairs of what was said before.


def _alpaca(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    instruction = required_text(record, "instruction")
    given, output = text_of(record.get("input")), record.get("output")
    if not isinstance(output, str):
        raise DocumentError(Reason.BAD_RECORD, f"`output` is {kind_of(output)}")
    turns = []
    if system := text_of(record.get("system")):
        turns.append(turn_of("system", system, placed=False))
    for index, pair in enumerate(list_of(record.get("history"))):
        said = list_of(pair)
        if len(said) != 2 or not all(isinstance(text, str) for text in said):
            raise DocumentError(Reason.BAD_RECORD, f"history {index} is no exchange")
        turns.append(turn_of("user", text_of(said[0]), placed=False))
        turns.append(turn_of("assistant", text_of(said[1]), placed=False))
    question = f"{instruction}\n{given}" if given else instruction
    turns.append(turn_of("user", question, placed=False))
    turns.append(turn_of("assistant", text_of(output), placed=False))
    yield Item(segments_of(turns, []))


# Messages: `{"messages": [{"role", "content"}]}`. Content is a text or a list of parts. A message
# of weight 0 is not trained on.


def _part_image(part: Mapping[str, Any]) -> str | bytes | None:
    """What a part of a turn names as its picture; nothing for a text."""
    if text_of(part.get("type")) not in ("image_url", "image", "input_image"):
        return None
    for field in ("image_url", "image", "url", "path"):
        value = part.get(field)
        name = image_of(object_of(value).get("url") or value)
        if isinstance(name, str):
            return _data_url(name) if name.startswith("data:") else name
        if name is not None:
            return name
    return None


def _data_url(url: str) -> bytes:
    """The bytes of a `data:` URL; none where it is broken, which reads as a bad image."""
    head, _, body = url.partition(",")
    if not head.endswith(";base64"):
        return b""
    try:
        return base64.b64decode(body, validate=True)
    except (ValueError, binascii.Error):
        return b""


def _listed(record: Record) -> list[object]:
    """The pictures that a record lists beside its messages."""
    value = record.get("images")
    return list_of(value) if is_list(value) else [] if value in (None, "") else [value]


def _chat_names(record: Record) -> Sequence[str | bytes]:
    named = [image_of(value) for value in _listed(record)]
    if not named:
        named = [
            _part_image(part)
            for message in objects_of(record.get("messages"))
            for part in objects_of(message.get("content"))
        ]
    return [name for name in named if name is not None]


def _content(content: object, index: int, placed: bool) -> tuple[str | None, ...]:
    """A turn's texts and places of pictures."""
    if content is None:
        return ()  # an answer that is only a call of a tool
    if isinstance(content, str):
        return turn_of("user", text_of(content), placed=placed).parts
    if not is_list(content):
        raise DocumentError(Reason.BAD_RECORD, f"turn {index}: `content` is {kind_of(content)}")
    parts: list[str | None] = []
    for part in list_of(content):
        kind = text_of(object_of(part).get("type"))
        if kind in ("text", "input_text", "output_text"):
            parts.append(text_of(object_of(part).get("text")))
        elif (kind == "image" and placed) or _part_image(object_of(part)) is not None:
            parts.append(None)
        else:
            raise DocumentError(Reason.BAD_RECORD, f"turn {index} has a part of kind {kind!r}")
    return tuple(parts)


def _chat(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    listed = _listed(record)
    for value in listed:
        if image_of(value) is None:
            raise DocumentError(Reason.BAD_RECORD, f"an image is {kind_of(value)}")
    turns = []
    for index, message in enumerate(required_list(record, "messages")):
        if not isinstance(message, Mapping):
            raise DocumentError(Reason.BAD_RECORD, f"turn {index} is {kind_of(message)}")
        role = role_of(message.get("role"), index)
        parts = _content(message.get("content"), index, "images" in record)
        turns.append(Turn(role, parts, trained=message.get("weight", 1) != 0))
    yield Item(segments_of(turns, all_of(pictures)))


_READERS = (
    Reader(
        name="sharegpt",
        category="sft_text",
        licence="unknown",
        layout="https://huggingface.co/datasets/anon8231489123/ShareGPT_Vicuna_unfiltered",
        rows=Rows(("**/*.json", "**/*.jsonl", "**/*.parquet")),
        convert=_sharegpt,
        variants={"conversation": 1.0},
    ),
    Reader(
        name="alpaca",
        category="sft_text",
        licence="unknown",
        layout="https://github.com/tatsu-lab/stanford_alpaca#data-release",
        rows=Rows(("**/*alpaca*.json", "**/*.jsonl", "**/*.parquet")),
        convert=_alpaca,
        variants={"conversation": 1.0},
    ),
    Reader(
        name="openai_chat",
        category="sft_general",
        licence="unknown",
        layout="https://developers.openai.com/api/docs/guides/vision-fine-tuning",
        rows=Rows(("**/*.jsonl", "**/*.json", "**/*.parquet")),
        convert=_chat,
        pictures=_chat_names,
        images="folder",
        variants={"conversation": 1.0},
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
