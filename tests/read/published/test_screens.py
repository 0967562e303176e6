"""RICO's annotations: records in the published layouts, written here."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from dsvl_data.read.published.screens import READERS
from dsvl_data.read.tfrecord import parse_example
from tests.read.published.protobuf import example
from tests.read.published.records import Store, convert, items, png, reasons, shape

#: A small screenshot of the shape of RICO's, 1080 by 1920.
SCREEN = png(1, 54, 96)
RICO = Store(
    {"combined/123.jpg": SCREEN},
    {
        "combined/123.json": json.dumps(
            {
                "activity": {
                    "root": {
                        "bounds": [0, 0, 1440, 2560],
                        "children": [
                            {"bounds": [0, 0, 1440, 84]},
                            {"children": [{"bounds": [720, 1280, 1440, 2560]}, {"bounds": None}]},
                            None,
                        ],
                    }
                },
                "request_id": "1",
            }
        ).encode()
    },
)


def _screenqa(**changes: Any) -> dict[str, Any]:
    record = {
        "image_id": "123",
        "image_width": 1080,
        "image_height": 1920,
        "question": "What is the rating?",
        "ground_truth": [
            {"full_answer": "<no answer>", "ui_elements": []},
            {
                "full_answer": "The rating is 4.5 stars.",
                "ui_elements": [
                    {"text": "4.5 stars", "bounds": [0, 960, 540, 1920], "vh_index": 7},
                    {"text": "broken", "bounds": [9, 9], "vh_index": -1},
                ],
            },
        ],
    }
    return {**record, **changes}


def test_screenqa_answers_with_a_sentence_and_where_the_screen_says_it() -> None:
    (item,) = convert(READERS["screenqa"], _screenqa(), RICO, variant="answer")
    assert shape(item) == [SCREEN, "What is the rating?\nThe rating is 4.5 stars."]
    (item,) = convert(READERS["screenqa"], _screenqa(), RICO, variant="boxes")
    assert shape(item)[1] == (
        "What is the rating?\nThe rating is 4.5 stars.\n4.5 stars [0, 500, 500, 999]"
    )


def test_screenqa_short_has_texts_for_answers() -> None:
    record = _screenqa(ground_truth=["4.5 stars", "4.5"])
    (item,) = convert(READERS["screenqa_short"], record, RICO)
    assert shape(item) == [SCREEN, "What is the rating?\n4.5 stars"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ground_truth": ["<no answer>", "", None]}, "no_text"),
        ({"ground_truth": []}, "no_text"),
        ({"ground_truth": "4.5"}, "bad_record"),
        ({"question": math.nan}, "bad_record"),
        ({"image_id": "x"}, "bad_record"),
        ({"image_id": 999}, "missing_image"),
    ],
)
def test_screenqa_records_that_are_left(changes: dict[str, Any], reason: str) -> None:
    results = convert(READERS["screenqa"], _screenqa(**changes), RICO)
    assert reasons(results) == [(reason, "")]


def test_screen2words_pairs_a_screen_with_a_summary() -> None:
    record = {"screenId": "123", "summary": "page of a store with ratings"}
    assert shape(convert(READERS["screen2words"], record, RICO)[0]) == [SCREEN, record["summary"]]
    assert reasons(convert(READERS["screen2words"], {"screenId": "123"}, RICO)) == [
        ("bad_record", "")
    ]


def _widget(variant: str = "", store: Store = RICO, **changes: str) -> list[Any]:
    record = {"screenId": "123", "nodeId": "0.1.0", "captions": "go to next | forward", **changes}
    return convert(READERS["widget_captioning"], record, store, variant)


def test_widget_captioning_finds_the_widgets_box_in_the_screens_layout() -> None:
    (item,) = _widget("describe")
    assert shape(item) == [SCREEN, "[500, 500, 999, 999]\ngo to next"]
    assert items([item])[0].extras == {"captions": "forward"}
    assert shape(_widget("locate")[0])[1] == "go to next\n[500, 500, 999, 999]"
    assert shape(_widget("describe", nodeId="0")[0])[1] == "[0, 0, 999, 999]\ngo to next"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nodeId": "0.7"}, "bad_record"),
        ({"nodeId": "0.1.1"}, "bad_record"),
        ({"nodeId": "0.2.0"}, "bad_record"),
        ({"nodeId": "0.x"}, "bad_record"),
        ({"nodeId": ""}, "no_text"),
        ({"captions": " | "}, "no_text"),
        ({"screenId": "456"}, "missing_image"),
    ],
)
def test_widgets_that_are_left(changes: dict[str, str], reason: str) -> None:
    assert reasons(_widget(**changes)) == [(reason, "")]


def test_a_widget_without_its_screens_layout_is_left() -> None:
    assert reasons(_widget(store=Store(RICO.pictures))) == [("missing_file", "")]
    broken = Store(RICO.pictures, {"123.json": b"{"})
    assert reasons(_widget(store=broken)) == [("bad_json", "")]
    other = Store(RICO.pictures, {"123.json": b"[1]"})
    assert reasons(_widget(store=other)) == [("bad_record", "")]


def _refexp(**changes: Any) -> list[Any]:
    features: dict[str, Any] = {
        "image/id": [b"123"],
        "image/ref_exp/label": [1],
        "image/ref_exp/text": [b"red button on the top"],
        "image/object/num": [2.0],
        "image/object/bbox/xmin": [0.0, 0.5],
        "image/object/bbox/ymin": [0.0, 0.25],
        "image/object/bbox/xmax": [1.0, 0.75],
        "image/object/bbox/ymax": [0.1, 0.5],
        **{name.replace("__", "/"): value for name, value in changes.items()},
    }
    return convert(READERS["refexp"], parse_example(example(features)), RICO)


def test_refexp_gives_the_box_that_an_expression_refers_to() -> None:
    assert shape(_refexp()[0]) == [SCREEN, "red button on the top\n[500, 250, 749, 500]"]


def test_refexp_without_its_box_is_left() -> None:
    assert reasons(_refexp(image__ref_exp__label=[2])) == [("bad_record", "")]
    assert reasons(_refexp(image__ref_exp__text=[])) == [("bad_record", "")]
    assert reasons(_refexp(image__id=[b"9"])) == [("missing_image", "")]
    flat = {"image/object/bbox/xmax": [1.0, 0.5]}
    assert reasons(_refexp(**flat)) == [("bad_record", "")]
