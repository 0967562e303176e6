"""An evaluation set and models' answers to it: JSON lines in; checked records out.

Questions are as `eval_set.py` writes them; only id, question and category are needed, so a set of
one's own will do. Answers are lines of {"id": ..., "answer": ...}, one file a model.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsvl_data.outcome import UserError

_TYPES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".gif": "gif"}


@dataclass(frozen=True)
class Question:
    """One question; `images` are files that exist. `reference` may be empty."""

    id: str
    category: str
    question: str
    images: tuple[Path, ...]
    reference: str = ""


def load_questions(path: Path) -> list[Question]:
    """Read an evaluation set. Raises `UserError` naming the line that is wrong.

    Images lie beside or below the file; a path that leads elsewhere is refused.
    """
    found: dict[str, Question] = {}
    for where, line in _lines(path):
        values = [line.get(name) for name in ("id", "category", "question")]
        if not all(isinstance(value, str) and value for value in values):
            raise UserError(f"{where}: a question has an id, a category and a question, as text")
        name, category, question = (str(value) for value in values)
        if name in found:
            raise UserError(f"{where}: the id {name!r} has come before")
        said = line.get("images") or []
        if not isinstance(said, list) or not all(isinstance(image, str) for image in said):
            raise UserError(f"{where}: images are a list of paths")
        images = tuple(_image(path, image, where) for image in said)
        reference = line.get("reference")
        found[name] = Question(
            name, category, question, images, reference if isinstance(reference, str) else ""
        )
    if not found:
        raise UserError(f"{path} has no questions")
    return list(found.values())


def load_answers(
    given: Sequence[str], questions: Sequence[Question]
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Read `NAME=FILE` each; returns answers by model and id, and lines on what is missing.

    Raises `UserError` for files that are not answers to these questions.
    """
    known = {question.id for question in questions}
    models: dict[str, dict[str, str]] = {}
    said = []
    for one in given:
        name, equals, file = one.partition("=")
        if not equals or not name or not file:
            raise UserError(f"--answers {one!r}: expected NAME=FILE, as in ours=answers.jsonl")
        if name in models:
            raise UserError(f"--answers: two files are called {name!r}")
        answers: dict[str, str] = {}
        strangers = 0
        for where, line in _lines(Path(file)):
            number, answer = line.get("id"), line.get("answer")
            if not isinstance(number, str) or not isinstance(answer, str):
                raise UserError(f'{where}: expected {{"id": "...", "answer": "..."}}')
            if number in answers:
                raise UserError(f"{where}: a second answer to {number!r}")
            strangers += number not in known
            answers[number] = answer
        models[name] = {number: answers[number] for number in answers if number in known}
        if not models[name]:
            raise UserError(f"{file} has no answer to any of these questions")
        missing = len(known) - len(models[name])
        if missing or strangers:
            said.append(f"{name}: {missing} questions without an answer, {strangers} strange ids")
    return models, said


def data_url(image: Path) -> str:
    """Return an image as a `data:` URL."""
    kind = _TYPES[image.suffix.lower()]
    return f"data:image/{kind};base64," + base64.b64encode(image.read_bytes()).decode()


def _image(path: Path, said: str, where: str) -> Path:
    folder = path.parent.resolve()
    image = (folder / said).resolve()
    if not image.is_relative_to(folder):
        raise UserError(f"{where}: the image {said!r} is not below {folder}")
    if image.suffix.lower() not in _TYPES:
        raise UserError(f"{where}: {said!r} is none of {', '.join(_TYPES)}")
    if not image.is_file():
        raise UserError(f"{where}: there is no image {image}")
    return image


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield `file:line` and the object there."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    # Not splitlines: JSON may hold line ends of Unicode's.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(value, dict):
            raise UserError(f"{path}:{number}: expected an object")
        yield f"{path}:{number}", value
