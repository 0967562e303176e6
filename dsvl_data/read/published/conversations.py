"""Questions and answers about pictures, as a conversation or as plain text.

In: turns with `<image>` where a picture stands, and the pictures. Out: segments. As a
`conversation` each has its role, and loss falls on the answers only; as `plain` text a question
and its answer are two lines, and questions are parted by an empty one, after the pictures where
the set puts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.fields import kind_of, list_of, text_of
from dsvl_data.read.published.reader import Pictures
from dsvl_data.sample import Image, Role, Segment, Text

PLACEHOLDER = "<image>"
Turn = tuple[Role, str]

_ROLES: Mapping[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}


def turns_of(messages: Sequence[Any]) -> list[Turn]:
    """Read turns from `{from, value}` objects, as LLaVA and mPLUG-Owl write them.

    Raises `DocumentError` (`BAD_RECORD`) for a turn without a known role or a text.
    """
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise DocumentError(Reason.BAD_RECORD, f"turn {index} is {kind_of(message)}")
        role = _ROLES.get(text_of(message.get("from")).lower())
        value = message.get("value")
        if role is None or not isinstance(value, str):
            raise DocumentError(Reason.BAD_RECORD, f"turn {index} has no role or no text")
        turns.append((role, text_of(value)))
    return turns


def pairs_of(pairs: Sequence[Any]) -> list[Turn]:
    """Read turns from `[question, answer]` pairs; raises as `turns_of`."""
    turns: list[Turn] = []
    for index, pair in enumerate(pairs):
        texts = list_of(pair)
        if len(texts) != 2 or not all(isinstance(text, str) for text in texts):
            raise DocumentError(Reason.BAD_RECORD, f"pair {index} is no question with an answer")
        turns += [("user", text_of(texts[0])), ("assistant", text_of(texts[1]))]
    return turns


def segments_of(turns: Sequence[Turn], images: Sequence[Image], variant: str) -> list[Segment]:
    """Return the segments of a conversation, or of the plain text that `variant` asks for.

    Pictures without a placeholder stand before all text. Raises `DocumentError`: `NO_TEXT` where
    nobody answers, `BAD_RECORD` where placeholders and pictures differ in number.
    """
    if not any(role == "assistant" and text for role, text in turns):
        raise DocumentError(Reason.NO_TEXT, "a conversation without an answer")
    places = sum(text.count(PLACEHOLDER) for _, text in turns)
    if places not in (0, len(images)):
        detail = f"{len(images)} pictures for {places} places"
        raise DocumentError(Reason.BAD_RECORD, detail)
    if variant == "plain":
        return _plain(turns, images, places > 0)
    segments: list[Segment] = []
    left = iter(images)
    if not places:
        role = turns[0][0]
        segments += [_with_role(image, role) for image in left]
    for role, text in turns:
        for index, piece in enumerate(text.split(PLACEHOLDER)):
            if index:
                segments.append(_with_role(next(left), role))
            if piece.strip():
                segments.append(Text(piece.strip(), role, trained=role == "assistant"))
    return segments


def _plain(turns: Iterable[Turn], images: Sequence[Image], placed: bool) -> list[Segment]:
    left = iter(images)
    segments: list[Segment] = [] if placed else list(left)
    answered = False
    for role, text in turns:
        joint = "\n\n" if answered and role != "assistant" else "\n"
        for index, piece in enumerate(text.split(PLACEHOLDER)):
            if index:
                segments.append(next(left))
            if piece := piece.strip():
                last = segments[-1] if segments else None
                if isinstance(last, Text):
                    segments[-1] = Text(last.text + joint + piece)
                else:
                    segments.append(Text(piece))
        answered = role == "assistant"
    return segments


def _with_role(image: Image, role: Role) -> Image:
    return Image(image.data, image.format, image.width, image.height, role)


def first_picture(pictures: Pictures, start: int = 0, stop: int | None = None) -> Image:
    """Return the picture by the first of the names in `start:stop` that is there.

    For a picture that may lie in several places. Raises `DocumentError`, the last name's.
    """
    missing = DocumentError(Reason.BAD_RECORD, "no name of a picture")
    for index in range(start, len(pictures) if stop is None else stop):
        try:
            return pictures[index]
        except DocumentError as error:
            if error.reason is not Reason.MISSING_IMAGE:
                raise
            missing = error
    raise missing
