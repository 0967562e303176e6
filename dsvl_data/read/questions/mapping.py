"""Which field of a record is what in a question: a mapping, as data.

In: a recipe's YAML. Out: a `Mapping`, whose mistakes are named by key; `apply` reads records by it.

A path names a value: `a.b` the field `b` of field `a`, `a[0]` an element of a list, `a[]` all
elements, `a{}` all values of an object. In `fields` it starts at the record; `/a` starts at
the file's root and `@key` is the key under which a record stood in the object that `records`
walked through.
"""

from __future__ import annotations

import re
from typing import Literal, TypeVar

from pydantic import Field, field_validator

from dsvl_data.pipeline import Settings

_STEP = re.compile(r"([^.\[\]{}]+)|(\[\d*\])|(\{\})|(\.)")

_Field = TypeVar("_Field")


def _check_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return value


def _check_paths(value: _Field) -> _Field:
    """Check what is a path or paths; a `Value` has checked its own."""
    paths = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    for path in paths:
        if path not in ("", "@key"):
            steps_of(path)
    return value


class Value(Settings):
    """Where a field's text comes from: a path or a constant, and what is done with it."""

    path: str = Field("", description="path of the value")
    constant: str = Field("", description="the same text for every question")
    values: dict[str, str] = Field({}, description="what stands for what; others stay as they are")

    _path = field_validator("path")(_check_paths)


class Options(Settings):
    """Where the options are, and how they are written."""

    path: str | list[str] = Field(description="path of a list or text, or a path an option")
    form: Literal["list", "lettered"] = Field(
        "list", description="a list of texts, or a text with A., B., C. before each"
    )

    _path = field_validator("path")(_check_paths)


class Answer(Settings):
    """Where the answer is, and how it names an option."""

    path: str = Field(description="path of the answer: a text, a number, or a list of letters")
    form: Literal["auto", "index0", "index1", "text"] = Field(
        "auto",
        description="auto: letters of options, an option's text, or else a text; index0 and "
        "index1: an option's number counted from 0 or 1; text: always a text",
    )

    _path = field_validator("path")(_check_paths)


class Images(Settings):
    """Where the pictures are: paths relative to the question file, or their bytes."""

    path: str | list[str] = Field(description="path of a picture or a list of them, or several")
    folder: str = Field("", description="folder of the pictures, relative to the question file")
    placeholder: str = Field(
        "",
        description="regular expression for the mark that stands for a picture in a text; "
        "marks stand for the pictures in the order of their numbers",
    )
    composite: bool = Field(
        False, description="a single picture that is marked several times has the marks in it"
    )

    _path = field_validator("path")(_check_paths)

    _placeholder = field_validator("placeholder")(_check_pattern)


class Mapping(Settings):
    """A layout of question files."""

    requires: list[str] = Field(
        [], description="paths that a file of this layout has, by which it is recognised"
    )
    records: str = Field("[]", description="path of the questions in a JSON file")
    split: str = Field(
        "",
        description="regular expression that finds questions in a record that is a text; its "
        "named groups are the fields",
    )
    lead: str = Field(
        "",
        description="regular expression for what stands before the stem and is no part of it; "
        "a group `points` is kept",
    )
    id: str = Field("", description="path of what names a question")
    stem: str | Value = Field(description="path of the question's text")
    options: Options | None = Field(None, description="a stem's own options are found without")
    lettered_stem: bool = Field(False, description="the stem ends with its options, A. B. C. ..")
    answer: Answer | None = None
    solution: str | Value = ""
    images: Images | None = None
    subject: str | Value = ""
    grade: str | Value = ""
    language: str | Value = Field("", description="found by its text where there is none")
    points: str | Value = ""

    _patterns = field_validator("split", "lead")(_check_pattern)

    _paths = field_validator(
        "requires",
        "records",
        "id",
        "stem",
        "solution",
        "subject",
        "grade",
        "language",
        "points",
    )(_check_paths)


def steps_of(path: str) -> list[str]:
    """Cut a path into its steps. Raises `ValueError` when it is none."""
    steps, end = [], 0
    for match in _STEP.finditer(path.removeprefix("/")):
        if match.start() != end:
            break
        end = match.end()
        if match.group() != ".":
            steps.append(match.group())
    if end != len(path.removeprefix("/")):
        raise ValueError(f"{path!r} is no path; write it like a.b, a[0], a[] or a{{}}")
    return steps
