"""Evaluation sets as their makers publish them, as one kind of question.

In: MMBench's TSV, SEED-Bench's JSON, ScienceQA's problems.json, HellaSwag's JSON lines, MMLU's CSV,
or JSON lines of `question`, `options`, `answer` (a letter, a number from 0 or the option's text)
and `images` (paths, or base64); or a built corpus. Out: `Question`s, and why any record is none.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from dsvl_data import storage
from dsvl_data.outcome import UserError
from dsvl_data.pipeline import PathOption, Settings

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: An image of MMBench is a field of the table.
_LONGEST_FIELD = 64 << 20
#: How a file of MMLU says of which split it is.
_SPLIT = re.compile("_(dev|val|test)$")

Form: TypeAlias = Literal[
    "mmbench",
    "seed-bench",
    "scienceqa",
    "lines",
    "hellaswag",
    "mmlu",
    "text",
    "corpus",
    "image-test",
]
#: Forms whose options are compared by their own text, and not by their letters.
BY_TEXT: tuple[Form, ...] = ("hellaswag", "mmlu")
#: Forms whose samples are those of a corpus: see `train.held_out`.
OF_CORPUS: tuple[Form, ...] = ("corpus", "image-test")


class EvaluationSet(Settings):
    """A set, and what of it is used."""

    name: str = Field(description="what the log calls it")
    form: Form
    path: Annotated[str, PathOption(digested=False)]
    images: Annotated[str, PathOption(digested=False)] = Field(
        default="", description="folder that paths of images start at; else the file's own"
    )
    split: str = Field(
        default="",
        description="of ScienceQA: train, val or test, none: all; of a folder of MMLU: dev, val or "
        "test, none: test",
    )
    limit: int = Field(
        default=0,
        ge=0,
        description="so many questions, evenly spread, or samples of a category; 0: all",
    )
    hold_out: int = Field(
        default=0, ge=0, description="of a corpus: only what a training with this held out; 0: all"
    )
    categories: tuple[str, ...] = Field(default=(), description="of a corpus; none: all")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its options, and the number of the right one. `images`: encoded files."""

    id: str
    question: str
    options: tuple[str, ...]
    answer: int
    images: tuple[bytes, ...] = ()
    category: str = ""


class RecordError(ValueError):
    """A record that is no question; the message says why."""


_Found: TypeAlias = Question | tuple[str, str]


def read_questions(given: EvaluationSet) -> tuple[list[Question], dict[str, str]]:
    """The questions, and by their ids why others cannot be asked.

    Raises `UserError` for a file that is not of the form.
    """
    found: list[Question] = []
    refused: dict[str, str] = {}
    try:
        makers = list(_READERS[given.form](given))
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError, KeyError) as error:
        raise UserError(f"{given.path} is not of the form {given.form}: {error!r}") from error
    if given.limit and given.limit < len(makers):
        makers = [makers[i * len(makers) // given.limit] for i in range(given.limit)]
    for name, make in makers:
        try:
            found.append(_checked(make()))
        except (RecordError, KeyError, TypeError, ValueError, OSError) as error:
            refused[name] = f"{type(error).__name__}: {error}"
    if not found:
        why = next(iter(refused.values()), "it is empty")
        raise UserError(f"{given.path} has no question of the form {given.form}: {why}")
    return found, refused


#: A record's id, and what makes its question: images are read only of those that are asked.
_Makers: TypeAlias = Iterator[tuple[str, Callable[[], Question]]]


def _checked(question: Question) -> Question:
    if not 2 <= len(question.options) <= len(LETTERS):
        raise RecordError(f"{len(question.options)} options")
    if not 0 <= question.answer < len(question.options):
        raise RecordError(f"answer {question.answer} of {len(question.options)} options")
    return question


def _mmbench(given: EvaluationSet) -> _Makers:
    csv.field_size_limit(_LONGEST_FIELD)
    rows = list(csv.DictReader(io.StringIO(_text(given)), delimiter="\t"))
    if rows and not {"index", "question", "A", "answer"} <= set(rows[0]):
        raise KeyError(f"columns index, question, A, answer among {list(rows[0])}")
    images = {row["index"]: row.get("image") or "" for row in rows}

    def make(row: Mapping[str, str]) -> Question:
        options = tuple(row[x] for x in "ABCDEFGH" if row.get(x) not in (None, "", "nan"))
        hint = row.get("hint") or ""
        image = row.get("image") or ""
        # The image of another question is given by that question's number.
        image = images.get(image, image) if len(image) < 64 else image
        return Question(
            row["index"],
            (f"{hint}\n" if hint and hint != "nan" else "") + row["question"],
            options,
            LETTERS.index(row["answer"].strip().upper()),
            (_base64(image),) if image else (),
            row.get("category") or "",
        )

    for row in rows:
        yield row["index"], lambda row=row: make(row)  # type: ignore[misc]


def _seed_bench(given: EvaluationSet) -> _Makers:
    whole = json.loads(_text(given))
    kinds = {number: name for name, number in whole.get("question_type", {}).items()}

    def make(record: Mapping[str, Any]) -> Question:
        if record.get("data_type", "image") != "image":
            raise RecordError(f"data_type {record['data_type']!r}: only images can be shown")
        options = (record.get(f"choice_{letter}") for letter in "abcdefgh")
        return Question(
            str(record["question_id"]),
            record["question"],
            tuple(str(option) for option in options if option is not None),
            LETTERS.index(record["answer"].strip().upper()),
            (_file(given, record["data_id"]),),
            str(kinds.get(record.get("question_type_id"), "")),
        )

    for record in whole["questions"]:
        yield str(record["question_id"]), lambda record=record: make(record)  # type: ignore[misc]


def _scienceqa(given: EvaluationSet) -> _Makers:
    def make(name: str, record: Mapping[str, Any]) -> Question:
        hint, image = record.get("hint") or "", record.get("image")
        return Question(
            name,
            (f"{hint}\n" if hint else "") + record["question"],
            tuple(record["choices"]),
            int(record["answer"]),
            (_file(given, f"{record['split']}/{name}/{image}"),) if image else (),
            record.get("subject") or "",
        )

    for name, record in json.loads(_text(given)).items():
        if not given.split or record["split"] == given.split:
            yield name, lambda name=name, record=record: make(name, record)  # type: ignore[misc]


def _lines(given: EvaluationSet) -> _Makers:
    def make(name: str, record: Mapping[str, Any]) -> Question:
        options = record["options"]
        if isinstance(options, Mapping):
            options = [options[letter] for letter in sorted(options)]
        options = tuple(str(option) for option in options)
        images = record.get("images") or []
        return Question(
            name,
            record["question"],
            options,
            _answer(record["answer"], options),
            tuple(_image(given, image) for image in images),
            str(record.get("category", "")),
        )

    for number, record in _json_lines(given):
        name = str(record.get("id", number))
        yield name, lambda name=name, record=record: make(name, record)  # type: ignore[misc]


def _hellaswag(given: EvaluationSet) -> _Makers:
    def make(name: str, record: Mapping[str, Any]) -> Question:
        if "ctx_a" in record:
            # As its makers and the usual harness ask: the ending begins a sentence.
            context = f"{record['ctx_a']} {record['ctx_b'].capitalize()}"
        else:
            context = record["ctx"]
        label = record.get("activity_label")
        return Question(
            name,
            _without_marks(f"{label}: {context}" if label else context),
            tuple(_without_marks(ending) for ending in record["endings"]),
            int(record["label"]),
            category=label or "",
        )

    for number, record in _json_lines(given):
        name = str(record.get("ind", number))
        yield name, lambda name=name, record=record: make(name, record)  # type: ignore[misc]


def _without_marks(text: str) -> str:
    """WikiHow's marks, `[title]` and others, as the usual harness takes them out."""
    whole = text.strip().replace(" [title]", ". ")
    return re.sub(" {2,}", " ", re.sub(r"\[.*?\]", "", whole)).strip()


def _mmlu(given: EvaluationSet) -> _Makers:
    """One file, or a folder of one for each subject (`SUBJECT_test.csv`): of one split alone."""

    def make(name: str, row: list[str]) -> Question:
        *options, answer = row[1:]
        return Question(
            name,
            f"{row[0]}\nAnswer:",
            tuple(options),
            LETTERS.index(answer.strip().upper()),
            category=name.partition("/")[0],
        )

    files = [given.path]
    if not given.path.lower().endswith(".csv"):
        files = _of_split([file.path for file in storage.find_files(given.path)], given.split)
    for path in sorted(file for file in files if file.lower().endswith(".csv")):
        subject = _SPLIT.sub("", Path(path).stem)
        text = storage.read_bytes(path).decode("utf-8-sig")
        for number, row in enumerate(csv.reader(io.StringIO(text))):
            name = f"{subject}/{number}"
            yield name, lambda name=name, row=row: make(name, row)  # type: ignore[misc]


def _of_split(files: list[str], split: str) -> list[str]:
    """MMLU's files of a split, none: test; all where none says of which split it is."""
    splits = {file: found[1] for file in files if (found := _SPLIT.search(Path(file).stem))}
    if not splits:
        return files
    wanted = split or "test"
    chosen = [file for file, of in splits.items() if of == wanted]
    if not chosen:
        there = ", ".join(sorted(set(splits.values())))
        raise UserError(f"there is no split {wanted!r}, only {there}: set `split`")
    return chosen


_READERS: Mapping[Form, Callable[[EvaluationSet], _Makers]] = {
    "mmbench": _mmbench,
    "seed-bench": _seed_bench,
    "scienceqa": _scienceqa,
    "lines": _lines,
    "hellaswag": _hellaswag,
    "mmlu": _mmlu,
}


def read_texts(given: EvaluationSet) -> list[str]:
    """Texts: the files of a folder, a file, or the `text` of JSON lines."""
    if given.path.lower().endswith((".jsonl", ".ndjson")):
        texts = [str(record["text"]) for _, record in _json_lines(given)]
    else:
        paths = [file.path for file in storage.find_files(given.path)]
        texts = [storage.read_bytes(path).decode("utf-8", errors="replace") for path in paths]
    texts = [text for text in texts if text]
    if not texts:
        raise UserError(f"{given.path} has no text; give a file, a folder or JSON lines of `text`")
    return texts[: given.limit] if given.limit else texts


def _text(given: EvaluationSet) -> str:
    return storage.read_bytes(given.path).decode("utf-8-sig")


def _json_lines(given: EvaluationSet) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_text(given).split("\n")):
        if line.strip():
            record = json.loads(line)
            if not isinstance(record, dict):
                raise KeyError(f"line {number + 1} is no object")
            yield number, record


def _answer(answer: object, options: tuple[str, ...]) -> int:
    """An option's number, from its number, its letter or its text."""
    if isinstance(answer, int) and not isinstance(answer, bool):
        return answer
    text = str(answer).strip()
    if text in options:
        return options.index(text)
    letter = text.strip("().").upper()
    if len(letter) == 1 and letter in LETTERS[: len(options)]:
        return LETTERS.index(letter)
    raise RecordError(f"the answer {text[:40]!r} is none of the options")


def _image(given: EvaluationSet, value: object) -> bytes:
    text = str(value)
    if text.startswith("data:"):
        return _base64(text.partition(",")[2])
    return _base64(text) if len(text) > 1024 else _file(given, text)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise RecordError(f"an image is not base64: {error}") from error


def _file(given: EvaluationSet, name: str) -> bytes:
    """An image's bytes. A set is other people's: it may name only what lies in its folder."""
    root = given.images or given.path.rpartition("/")[0] or "."
    if name.startswith("/") or ".." in name.split("/") or "://" in name:
        raise RecordError(f"the image {name!r} is outside {root}")
    return storage.read_bytes(storage.join(root, name))
