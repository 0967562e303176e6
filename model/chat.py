r"""The chat format: from the turns of a conversation to runs of text, images and marks.

In: turns, each a role and its content. Out: `Run`s in order, each saying whether it is trained on;
joined (`prompt`), they are the string that the model's authors feed to the tokenizer:

    {system}\n\nUser: ...\n\nAssistant: ...<end of sentence>User: ...\n\nAssistant:

Only answers, each with its end of sentence, are trained on, and of them only those that say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias

from PIL import Image

SYSTEM_PROMPT = (
    "You are a helpful language and vision assistant. "
    "You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
)
IMAGE_PLACEHOLDER = "<image_placeholder>"
END_OF_SENTENCE = "<｜end▁of▁sentence｜>"

Role: TypeAlias = Literal["user", "assistant"]
Content: TypeAlias = str | Sequence[str | Image.Image]

_NAMES: dict[Role, str] = {"user": "User", "assistant": "Assistant"}


class Mark(Enum):
    """What stands between texts and is no text: one token, whatever the tokenizer."""

    END_OF_SENTENCE = END_OF_SENTENCE


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says. A `str` is text alone: a placeholder's name in it is only its letters.

    `trained`: whether loss falls on it, where it is an answer; on a question none ever does.
    """

    role: Role
    content: Content
    trained: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """Text that is tokenised in one go, an image, or a mark; and whether loss falls on it."""

    content: str | Image.Image | Mark
    trained: bool = False


def with_images(text: str, images: Sequence[Image.Image]) -> list[str | Image.Image]:
    """Text in which `<image_placeholder>` stands for each image, in order, as a turn's content.

    Raises `ValueError` when there are not as many images as placeholders.
    """
    texts = text.split(IMAGE_PLACEHOLDER)
    if len(texts) - 1 != len(images):
        raise ValueError(
            f"{len(texts) - 1} image placeholders for {len(images)} images in {text[:80]!r}"
        )
    content: list[str | Image.Image] = [texts[0]]
    for image, following in zip(images, texts[1:], strict=True):
        content += [image, following]
    return [part for part in content if part != ""]


def runs(turns: Sequence[Turn], system: str = SYSTEM_PROMPT) -> list[Run]:
    """A conversation as runs.

    Turns alternate, the user's first. An empty last answer is the one to be generated. Raises
    `ValueError`, with the turn's number, for any other order, an empty turn in between, or an image
    in an answer.
    """
    _check(turns)
    written: list[Run] = []
    prefix = f"{system.lstrip()}\n\n" if system.strip() else ""
    for number, turn in enumerate(turns):
        name = _NAMES[turn.role]
        content = _stripped(turn.content)
        if turn.role == "assistant":
            _append_text(written, f"{prefix}{name}:")
            if content:
                # Cut here and not after the space: this is where a prompt ends when it generates,
                # so the tokens of an answer are those that the model will be asked for.
                written.append(Run(f" {content[0]}", trained=turn.trained))
                written.append(Run(Mark.END_OF_SENTENCE, trained=turn.trained))
        else:
            _append_text(written, f"{prefix}{name}: ")
            for part in content:
                if isinstance(part, str):
                    _append_text(written, part)
                else:
                    written.append(Run(part))
            if number + 1 < len(turns):
                _append_text(written, "\n\n")
        prefix = ""
    return written


def prompt(turns: Sequence[Turn], system: str = SYSTEM_PROMPT) -> str:
    """A conversation as one string; one placeholder for each image."""
    return "".join(_shown(run.content) for run in runs(turns, system))


def _check(turns: Sequence[Turn]) -> None:
    if not turns:
        raise ValueError("a conversation has at least one turn")
    for number, turn in enumerate(turns):
        expected = "assistant" if number % 2 else "user"
        if turn.role != expected:
            raise ValueError(f"turn {number} is the {turn.role}'s; the {expected}'s is due")
        content = _stripped(turn.content)
        to_be_generated = turn.role == "assistant" and number + 1 == len(turns)
        if not content and not to_be_generated:
            raise ValueError(f"turn {number}, the {turn.role}'s, is empty")
        if turn.role == "assistant" and any(not isinstance(part, str) for part in content):
            raise ValueError(f"turn {number}, an answer, holds an image")


def _stripped(content: Content) -> list[str | Image.Image]:
    """Content as texts and images by turns, without white space at either end."""
    joined: list[str | Image.Image] = []
    for part in [content] if isinstance(content, str) else content:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    if joined and isinstance(joined[0], str):
        joined[0] = joined[0].lstrip()
    if joined and isinstance(joined[-1], str):
        joined[-1] = joined[-1].rstrip()
    return [part for part in joined if part != ""]


def _append_text(written: list[Run], text: str) -> None:
    """Add text that is not trained on to the run before it, where that is such text too."""
    if written and isinstance(written[-1].content, str) and not written[-1].trained:
        written[-1] = Run(written[-1].content + text)
    else:
        written.append(Run(text))


def _shown(content: str | Image.Image | Mark) -> str:
    if isinstance(content, Mark):
        return content.value
    return content if isinstance(content, str) else IMAGE_PLACEHOLDER


def document(parts: Iterable[str | Image.Image | tuple[str, bool]]) -> list[Run]:
    """A document of pretraining as runs: its texts and its end trained on, its images not.

    A part `(text, trained)` says for itself whether loss falls on it.
    """
    written: list[Run] = []
    for part in parts:
        if isinstance(part, tuple):
            written.append(Run(part[0], trained=part[1]))
        else:
            written.append(Run(part, trained=isinstance(part, str)))
    written.append(Run(Mark.END_OF_SENTENCE, trained=True))
    return written
