"""Turns of a conversation, checked: what every SFT reader makes, and the only way to a sample.

In: turns as a data set writes them, and the pictures that the record names. Out: segments with
their roles, loss on the answers only, such as the trainer can take:

- a system prompt may come first; then user and assistant alternate, and an answer is the last;
- no turn is empty (an empty system prompt is none, and left out);
- a picture stands where its placeholder was, in a user's turn. Where a record has pictures and no
  placeholder at all, they stand before the user's first words, one after the other.

What is otherwise has a reason of its own: `ODD_ROLE`, `EMPTY_TURN`, `TURN_ORDER`, `IMAGE_COUNT`,
`IMAGE_IN_ANSWER`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.fields import kind_of, text_of
from dsvl_data.read.published.reader import Choice, Pictures
from dsvl_data.sample import Image, Role, Segment, Text

PLACEHOLDER = "<image>"

#: Who speaks, by the names that data sets have for them.
ROLES: Mapping[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",  # OpenAI's later name
}


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says: texts, and `None` where a picture stands. `trained` is of answers."""

    role: Role
    parts: tuple[str | None, ...]
    trained: bool = True

    @property
    def places(self) -> int:
        """Number of pictures in it."""
        return sum(part is None for part in self.parts)

    @property
    def is_empty(self) -> bool:
        """Whether it neither says nor shows anything."""
        return all(part is not None and not part.strip() for part in self.parts)


def turn_of(role: Role, text: str, *, placed: bool = True) -> Turn:
    """A turn of a text; where it is not `placed`, a placeholder in it is only its letters."""
    if not placed:
        return Turn(role, (text,))
    first, *others = text.split(PLACEHOLDER)
    parts: list[str | None] = [first]
    for other in others:
        parts += [None, other]
    return Turn(role, tuple(parts))


def role_of(value: object, index: int) -> Role:
    """Read who says a turn; raises `DocumentError` (`ODD_ROLE`)."""
    role = ROLES.get(text_of(value).lower())
    if role is None:
        raise DocumentError(Reason.ODD_ROLE, f"turn {index} is of {text_of(value)[:40]!r}")
    return role


def turns_of(
    messages: Sequence[Any], *, who: str = "from", what: str = "value", placed: bool = True
) -> list[Turn]:
    """Read turns of objects that hold `who` says `what`.

    Raises `DocumentError`: `BAD_RECORD` for what is no object or no text, `ODD_ROLE`.
    """
    turns = []
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise DocumentError(Reason.BAD_RECORD, f"turn {index} is {kind_of(message)}")
        role = role_of(message.get(who), index)
        value = message.get(what)
        if not isinstance(value, str):
            raise DocumentError(Reason.BAD_RECORD, f"turn {index}: `{what}` is {kind_of(value)}")
        turns.append(turn_of(role, text_of(value), placed=placed))
    return turns


def joined(turns: Sequence[Turn]) -> list[Turn]:
    """Turns with those of a user in a row made one, for sets that give a picture its own turn."""
    found: list[Turn] = []
    for turn in turns:
        if found and turn.role == found[-1].role == "user":
            found[-1] = replace(turn, parts=(*found[-1].parts, "\n", *turn.parts))
        else:
            found.append(turn)
    return found


def trimmed(turns: Sequence[Turn]) -> tuple[list[Turn], int]:
    """Turns from the first question to the last answer, and how many were left out.

    For sets that were cut into pieces of some length: a piece may begin with an answer to what is
    not there, or end with a question that the next piece answers.
    """
    start = 1 if turns and turns[0].role == "system" else 0
    rest = list(turns[start:])
    while rest and rest[0].role == "assistant":
        rest.pop(0)
    while rest and rest[-1].role == "user":
        rest.pop()
    kept = [*turns[:start], *rest]
    return kept, len(turns) - len(kept)


def segments_of(turns: Sequence[Turn], images: Sequence[Image]) -> list[Segment]:
    """Return the segments of a conversation, checked.

    Raises `DocumentError`: `TURN_ORDER`, `EMPTY_TURN`, `IMAGE_IN_ANSWER`, `IMAGE_COUNT`.
    """
    turns = [turn for turn in turns if turn.role != "system" or not turn.is_empty]
    _check(turns)
    places = sum(turn.places for turn in turns)
    if places == 0 and images:
        first = 1 if turns[0].role == "system" else 0
        shown = replace(turns[first], parts=(*(None for _ in images), *turns[first].parts))
        turns = [*turns[:first], shown, *turns[first + 1 :]]
    elif places != len(images):
        raise DocumentError(Reason.IMAGE_COUNT, f"{len(images)} images for {places} places")
    left = iter(images)
    segments: list[Segment] = []
    for turn in turns:
        trained = turn.role == "assistant" and turn.trained
        for part in _ends_stripped(turn.parts):
            if part is None:
                segments.append(replace(next(left), role=turn.role))
            else:
                segments.append(Text(part, turn.role, trained))
    return segments


def one_exchange(question: str, answer: str, images: Sequence[Image]) -> list[Segment]:
    """Return the segments of a question about all pictures, which stand first, and its answer."""
    turns = [turn_of("user", question, placed=False), turn_of("assistant", answer, placed=False)]
    return segments_of(turns, images)


def chosen(texts: Sequence[str], choice: Choice) -> str:
    """One of several texts, by the record's draw: where a set has answers and no questions."""
    return texts[int(choice.draw * len(texts))]


def all_of(pictures: Pictures) -> list[Image]:
    """Load every picture of a record; raises as `Pictures`."""
    return [pictures[index] for index in range(len(pictures))]


def _check(turns: Sequence[Turn]) -> None:
    if not turns:
        raise DocumentError(Reason.TURN_ORDER, "nobody says anything")
    start = 1 if turns[0].role == "system" else 0
    for index, turn in enumerate(turns):
        if index >= start:
            due = "assistant" if (index - start) % 2 else "user"
            if turn.role != due:
                detail = f"turn {index} is the {turn.role}'s, the {due}'s is due"
                raise DocumentError(Reason.TURN_ORDER, detail)
        if turn.is_empty:
            raise DocumentError(Reason.EMPTY_TURN, f"turn {index}, the {turn.role}'s")
        if turn.places and turn.role != "user":
            raise DocumentError(Reason.IMAGE_IN_ANSWER, f"turn {index} is the {turn.role}'s")
    if turns[-1].role != "assistant":
        raise DocumentError(Reason.TURN_ORDER, "the last question has no answer")


def _ends_stripped(parts: Sequence[str | None]) -> list[str | None]:
    """Parts without white space at either end of the turn, and without any that is only that."""
    found: list[str | None] = []
    for part in parts:
        if part is not None and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    found = [part for part in found if part is None or part.strip()]
    if found and isinstance(found[0], str):
        found[0] = found[0].lstrip()
    if found and isinstance(found[-1], str):
        found[-1] = found[-1].rstrip()
    return found
