"""Captions of pictures: parts of a record that are none."""

from __future__ import annotations

from typing import Any

import pytest

from dsvl_data.read.published.captions import READERS
from tests.read.published.records import Store, convert, items, png, reasons, shape

COCO = READERS["coco_captions"]
STORE = Store({"1.jpg": png(1)})


def test_an_annotation_of_another_shape_is_told() -> None:
    annotations = [{"id": 10, "caption": "A fern."}, "junk", None, {"id": 11, "caption": 7}]
    record = {"id": 1, "file_name": "1.jpg", "annotations": annotations}
    results = convert(COCO, record, STORE)
    assert [shape(item) for item in items(results)] == [[png(1), "A fern."]]
    assert reasons(results) == [
        ("bad_record", "annotation 1"),
        ("bad_record", "annotation 2"),
        ("bad_record", "annotation 11"),
    ]


@pytest.mark.parametrize("annotations", [None, "junk", {"caption": "A fern."}])
def test_annotations_that_are_no_list_make_a_bad_record(annotations: Any) -> None:
    record = {"id": 1, "file_name": "1.jpg", "annotations": annotations}
    assert reasons(convert(COCO, record, STORE)) == [("bad_record", "")]
