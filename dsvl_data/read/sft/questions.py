"""Sets of questions and of code that are no conversations as published, made into such.

IconQA, ScienceQA, ScreenQA (full and Short), Screen-to-code. In: a record and its pictures. Out:
the question, after its pictures, and the answer. Options are lettered lines; an answer is the
letter with the option, then, for ScienceQA's variant `explained`, its solution.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published import charts, screens
from dsvl_data.read.published.conversations import first_picture
from dsvl_data.read.published.fields import (
    image_of,
    integer_of,
    kind_of,
    list_of,
    object_of,
    required_list,
    required_text,
    text_of,
)
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.read.sft.turns import Turn, all_of, chosen, one_exchange, segments_of


def _lettered(options: Sequence[str]) -> list[str]:
    return [f"{chr(ord('A') + index)}. {option}" for index, option in enumerate(options)]


def _answer_index(answer: object, options: int) -> int:
    index = integer_of(answer)
    if index is None or not 0 <= index < options <= 26:
        raise DocumentError(Reason.BAD_RECORD, "an answer that is none of the choices")
    return index


# IconQA: `iconqa/SPLIT/KIND/ID/data.json` beside `image.png` and, where options are pictures,
# `choice_0.png` and so on. Kinds are `choose_txt`, `choose_img` and `fill_in_blank`.


def _iconqa_data(record: Record) -> Mapping[str, Any]:
    try:
        return object_of(json.loads(text_of(record.get("text"))))
    except (ValueError, RecursionError) as error:
        raise DocumentError(Reason.BAD_JSON, str(error)) from error


def _iconqa_names(record: Record) -> Sequence[str | bytes]:
    try:
        data = _iconqa_data(record)
    except DocumentError:
        return ()  # converting it meets the same, and tells
    path = PurePosixPath(text_of(record.get("name")))
    names = ["image.png"]
    if path.parent.parent.name == "choose_img":
        names += [text_of(name) for name in list_of(data.get("choices"))]
    return [str(path.parent / name) for name in names if name]


def _iconqa(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    data = _iconqa_data(record)
    kind = PurePosixPath(text_of(record.get("name"))).parent.parent.name
    question = required_text(data, "question")
    details = {name: text for name in ("grade", "label") if (text := text_of(data.get(name)))}
    if kind == "fill_in_blank":
        value = data.get("answer")
        answer = text_of(value) or ("" if integer_of(value) is None else str(integer_of(value)))
        if not answer:
            raise DocumentError(Reason.BAD_RECORD, f"`answer` is {kind_of(value)}")
        segments = one_exchange(question, answer, [pictures[0]])
    else:
        options = [text_of(option) for option in required_list(data, "choices")]
        if not all(options):
            raise DocumentError(Reason.BAD_RECORD, "an option without a text")
        index = _answer_index(data.get("answer"), len(options))
        if kind == "choose_img":
            segments = segments_of(_by_pictures(question, len(options), index), all_of(pictures))
        else:
            lines = _lettered(options)
            segments = one_exchange("\n".join([question, *lines]), lines[index], [pictures[0]])
    yield Item(segments, "en", details={"kind": kind, **details})


def _by_pictures(question: str, options: int, answer: int) -> list[Turn]:
    """A question whose options are pictures, each behind its letter."""
    parts: list[str | None] = [None, f"\n{question}"]
    for letter in _lettered([""] * options):
        parts += [f"\n{letter}", None]
    return [Turn("user", tuple(parts)), Turn("assistant", (f"{chr(ord('A') + answer)}.",))]


# ScienceQA, as `dsvl_data.read.published.charts` finds it. A question without a picture is one of
# text alone.

_SCIENCEQA = charts.READERS["scienceqa"]


def _scienceqa(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    problem = object_of(record["value"]) if "value" in record else record
    if text_of(problem.get("split")) in ("val", "test"):
        raise DocumentError(Reason.HELD_OUT, f"of the split {problem['split']!r}")
    question = required_text(problem, "question")
    options = [text_of(option) for option in required_list(problem, "choices")]
    if not all(options):
        raise DocumentError(Reason.BAD_RECORD, "an option without a text")
    lines = _lettered(options)
    answer = lines[_answer_index(problem.get("answer"), len(options))]
    asked = [text_of(problem.get("hint")), question, *lines]
    solution = text_of(problem.get("solution"))
    if solution and choice.variant() == "explained":
        answer = f"{answer}\n\n{solution}"
    images = [] if problem.get("image") is None else [first_picture(pictures)]
    details = {
        name: value for name in ("subject", "topic") if (value := text_of(problem.get(name)))
    }
    asked_text = "\n".join(line for line in asked if line)
    yield Item(one_exchange(asked_text, answer, images), "en", details=details)


# ScreenQA, as `dsvl_data.read.published.screens` finds it: the first rater's answer that is one.


def _screenqa(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    question = required_text(record, "question")
    for truth in required_list(record, "ground_truth"):
        answer = text_of(truth if isinstance(truth, str) else object_of(truth).get("full_answer"))
        if answer and answer != "<no answer>":
            yield Item(one_exchange(question, answer, [first_picture(pictures)]), "en")
            return
    raise DocumentError(Reason.NO_TEXT, "no rater found an answer")


def _on_screens(name: str) -> Reader:
    known = screens.READERS[name]
    return Reader(
        name=name,
        category="sft_web_code",
        licence=known.licence,
        layout=known.layout,
        rows=known.rows,
        convert=_screenqa,
        pictures=known.pictures,
        images="folder",
        variants={"conversation": 1.0},
    )


# Screen-to-code: screenshots and the code of what they show. Rows with both, as WebSight has them
# (`image`, `text`), or a file of code beside its screenshot of the same name, as Design2Code has.

_CODE = (
    "Write a single HTML file that looks like this screenshot.",
    "Turn this design into HTML and CSS.",
    "I want a web page like the one in the picture. What would its code be?",
    "Please give me the HTML for this page, with its styles in the same file.",
    "Rebuild this screen as a web page.",
)


def _code_names(record: Record) -> Sequence[str | bytes]:
    if name := text_of(record.get("name")):
        path = PurePosixPath(name)
        return [str(path.with_suffix(suffix)) for suffix in (".png", ".jpg")]
    image = image_of(record.get("image"))
    return () if image is None else (image,)


def _code(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    code = required_text(record, "text")
    idea = text_of(record.get("llm_generated_idea"))
    # The fence is longer than any in the code, so that it cannot end early.
    fence = "```"
    while fence in code:
        fence += "`"
    answer = f"{fence}html\n{code}\n{fence}"
    segments = one_exchange(chosen(_CODE, choice), answer, [first_picture(pictures)])
    yield Item(segments, "en", extras={"idea": idea} if idea else {})


_READERS = (
    Reader(
        name="iconqa",
        category="sft_general",
        licence="CC-BY-NC-SA-4.0",
        layout="https://github.com/lupantech/IconQA#download-the-iconqa-dataset",
        rows=Rows(("**/train/*/*/data.json",), whole=True),
        convert=_iconqa,
        pictures=_iconqa_names,
        images="inside",
        variants={"conversation": 1.0},
    ),
    Reader(
        name="scienceqa",
        category="sft_table_chart",
        licence=_SCIENCEQA.licence,
        layout=_SCIENCEQA.layout,
        rows=_SCIENCEQA.rows,
        convert=_scienceqa,
        pictures=_SCIENCEQA.pictures,
        images="inside",
        variants={"explained": 1.0, "short": 1.0},
    ),
    _on_screens("screenqa"),
    _on_screens("screenqa_short"),
    Reader(
        name="screen_to_code",
        category="sft_web_code",
        licence="unknown",
        layout="https://huggingface.co/datasets/HuggingFaceM4/WebSight",
        rows=Rows(("**/*.html", "**/*.parquet")),
        convert=_code,
        pictures=_code_names,
        images="inside",
        variants={"conversation": 1.0},
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
