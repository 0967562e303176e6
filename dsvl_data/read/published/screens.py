"""Published annotations of RICO's screens: ScreenQA, Screen2Words, Widget Captioning, RefExp.

In: a record that names a screen of RICO, which is `combined/ID.jpg` in RICO's `unique_uis.tar.gz`
(to be unpacked), with the screen's layout beside it as `combined/ID.json`. Out: the screenshot,
then text; boxes are in thousandths (0 to 999) of its width and height.

RefExp is UIBert's ("Red button on the top"): the one of the sets of that name that is on RICO.
Screens that a set took from elsewhere were not published: their images are missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.conversations import first_picture
from dsvl_data.read.published.fields import (
    box_text,
    integer_of,
    list_of,
    number_of,
    object_of,
    objects_of,
    required_list,
    required_text,
    text_of,
)
from dsvl_data.read.published.reader import Choice, Item, Left, Pictures, Reader, Record, Rows
from dsvl_data.sample import Image, Text

#: Height of the canvas on which RICO's layouts are measured, whatever the screenshot's size.
_CANVAS_HEIGHT = 2560


def _screen(value: object, suffix: str) -> Sequence[str]:
    number = integer_of(text_of(value) or value)
    return () if number is None else (f"combined/{number}{suffix}", f"{number}{suffix}")


# ScreenQA: `ground_truth` has an answer of each rater. In the full set it is a sentence with the
# elements of the screen that say so; in ScreenQA Short and ComplexQA it is a short text.


def _screenqa(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    question = required_text(record, "question")
    for truth in required_list(record, "ground_truth"):
        short = isinstance(truth, str)
        answer = text_of(truth if short else object_of(truth).get("full_answer"))
        if answer and answer != "<no answer>":
            break
    else:
        raise DocumentError(Reason.NO_TEXT, "no rater found an answer")
    lines = [question, answer]
    if choice.variant() == "boxes" and not short:
        lines += _elements(record, object_of(truth))
    yield Item([first_picture(pictures), Text("\n".join(lines))], "en")


def _elements(record: Record, truth: Mapping[str, Any]) -> Iterator[str]:
    width, height = number_of(record.get("image_width")), number_of(record.get("image_height"))
    for element in objects_of(truth.get("ui_elements")):
        box = box_text(list_of(element.get("bounds")), width or 0, height or 0)
        if box:
            yield f"{text_of(element.get('text'))} {box}".strip()


# Screen2Words: a row for each of a screen's five summaries.


def _screen2words(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    summary = required_text(record, "summary")
    yield Item([first_picture(pictures), Text(summary)], "en")


# Widget Captioning: `nodeId` is the path to the widget in the screen's layout, as `0.1.0` for the
# first child of the root's second; `captions` of several workers are parted by `|`.


def _widget(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    captions = [caption.strip() for caption in required_text(record, "captions").split("|")]
    captions = [caption for caption in captions if caption]
    if not captions:
        raise DocumentError(Reason.NO_TEXT, "no caption")
    image = first_picture(pictures)
    box = _box(_layout(pictures), required_text(record, "nodeId"), image)
    lines = [captions[0], box] if choice.variant() == "locate" else [box, captions[0]]
    extras = {"captions": "\n".join(captions[1:])} if len(captions) > 1 else {}
    yield Item([image, Text("\n".join(lines))], "en", extras=extras)


def _layout(pictures: Pictures) -> object:
    for index in range(2):
        try:
            return json.loads(pictures.file(index))
        except DocumentError as error:
            if error.reason is not Reason.MISSING_FILE or index:
                raise
        except (ValueError, RecursionError) as error:
            raise DocumentError(Reason.BAD_JSON, f"the screen's layout: {error}") from error
    raise AssertionError("the last name raises")


def _box(layout: object, path: str, image: Image) -> str:
    node = object_of(object_of(object_of(layout).get("activity")).get("root"))
    for step in path.split(".")[1:]:
        index, children = integer_of(step), list_of(node.get("children"))
        if index is None or not 0 <= index < len(children):
            raise DocumentError(Reason.BAD_RECORD, f"the layout has no widget {path!r}")
        node = object_of(children[index])
    width = _CANVAS_HEIGHT * image.width / image.height
    box = box_text(list_of(node.get("bounds")), width, _CANVAS_HEIGHT)
    if not box:
        raise DocumentError(Reason.BAD_RECORD, f"widget {path!r} has no box on the screen")
    return box


# RefExp: an expression, and which of the screen's boxes (in parts of its size) it refers to.


def _refexp_names(record: Record) -> Sequence[str]:
    return _screen(_only(record, "image/id"), ".jpg")


def _only(record: Record, name: str) -> object:
    return next(iter(list_of(record.get(name))), None)


def _refexp(record: Record, pictures: Pictures, choice: Choice) -> Iterator[Item | Left]:
    expression = required_text({"text": _only(record, "image/ref_exp/text")}, "text")
    label = integer_of(_only(record, "image/ref_exp/label"))
    sides = [
        list_of(record.get(f"image/object/bbox/{side}"))
        for side in ("xmin", "ymin", "xmax", "ymax")
    ]
    if label is None or not 0 <= label < min(map(len, sides)):
        raise DocumentError(Reason.BAD_RECORD, "an expression for none of the boxes")
    box = box_text([side[label] for side in sides], 1, 1)
    if not box:
        raise DocumentError(Reason.BAD_RECORD, "a box without an area on the screen")
    yield Item([first_picture(pictures), Text(f"{expression}\n{box}")], "en")


_READERS = (
    Reader(
        name="screenqa",
        category="table_chart",
        licence="CC-BY-4.0",
        layout="https://github.com/google-research-datasets/screen_qa#screenqa",
        rows=Rows(("**/answers_and_bboxes/train.json",)),
        convert=_screenqa,
        pictures=lambda record: _screen(record.get("image_id"), ".jpg"),
        images="folder",
        variants={"answer": 1.0, "boxes": 1.0},
    ),
    Reader(
        name="screenqa_short",
        category="table_chart",
        licence="CC-BY-4.0",
        layout="https://github.com/google-research-datasets/screen_qa#screenqa-short",
        rows=Rows(("**/short_answers/train.json",)),
        convert=_screenqa,
        pictures=lambda record: _screen(record.get("image_id"), ".jpg"),
        images="folder",
    ),
    Reader(
        name="screen2words",
        category="table_chart",
        licence="CC-BY-4.0",
        layout="https://github.com/google-research-datasets/screen2words",
        rows=Rows(("**/screen_summaries.csv",)),
        convert=_screen2words,
        pictures=lambda record: _screen(record.get("screenId"), ".jpg"),
        images="folder",
    ),
    Reader(
        name="widget_captioning",
        category="table_chart",
        licence="CC-BY-4.0",
        layout="https://github.com/google-research-datasets/widget-caption",
        rows=Rows(("**/widget_captions.csv",)),
        convert=_widget,
        pictures=lambda record: _screen(record.get("screenId"), ".jpg"),
        files=lambda record: _screen(record.get("screenId"), ".json"),
        images="folder",
        variants={"describe": 1.0, "locate": 1.0},
    ),
    Reader(
        name="refexp",
        category="table_chart",
        licence="CC-BY-4.0",
        layout="https://github.com/google-research-datasets/uibert#data-format",
        rows=Rows(("**/ref_exp/train.tfrecord",)),
        convert=_refexp,
        pictures=_refexp_names,
        images="folder",
    ),
)

READERS: Mapping[str, Reader] = {reader.name: reader for reader in _READERS}
