"""Screenshots with their code: records in the published layouts, written here."""

from __future__ import annotations

import math
from typing import Any

from dsvl_data.read.published.webcode import READERS
from tests.read.published.records import Store, convert, items, png, reasons, shape

RED = png(1)
HTML = "<html>\n<style>\nbody {color: green}</style>\n<body>Ferns</body>\n</html>"


def _websight(**changes: Any) -> list[Any]:
    record = {"image": {"bytes": RED, "path": None}, "text": HTML, **changes}
    return convert(READERS["websight"], record)


def test_websight_of_either_version_is_a_screenshot_and_its_html() -> None:
    assert shape(_websight()[0]) == [RED, HTML]
    (item,) = items(_websight(llm_generated_idea="A shop of ferns"))
    assert item.extras == {"idea": "A shop of ferns"}


def test_websight_rows_of_another_shape_are_told() -> None:
    assert reasons(_websight(text=math.nan)) == [("bad_record", "")]
    assert reasons(_websight(text="  ")) == [("no_text", "")]
    assert reasons(_websight(image=None)) == [("bad_record", "")]
    assert reasons(_websight(image={"bytes": b"", "path": None})) == [("bad_record", "")]
    assert reasons(_websight(image={"bytes": b"GIF?", "path": None})) == [("bad_image", "")]


def test_design2code_pages_lie_beside_their_screenshots() -> None:
    record = {"name": "testset_final/12.html", "text": HTML}
    reader = READERS["design2code"]
    (item,) = convert(reader, record, Store({"testset_final/12.png": RED}))
    assert shape(item) == [RED, HTML]
    (row,) = convert(reader, {"image": {"bytes": RED, "path": "12.png"}, "text": HTML})
    assert shape(row) == [RED, HTML]
    assert reasons(convert(reader, record)) == [("missing_image", "")]


def test_pix2code_programs_lie_beside_their_screenshots() -> None:
    code = (
        "header {\nbtn-inactive, btn-active\n}\nrow {\nsingle {\nsmall-title, text, btn-green\n}\n}"
    )
    record = {"name": "web/all_data/0F3C.gui", "text": code + "\n"}
    (item,) = convert(READERS["pix2code"], record, Store({"web/all_data/0F3C.png": RED}))
    assert shape(item) == [RED, code]
