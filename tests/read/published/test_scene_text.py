"""Scene text: the three forms of a transcription, and what becomes of text that nobody can read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from dsvl_data.layout import shapes
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.read.published.reader import Choice, Item, Left, Record
from dsvl_data.read.published.scene_text import (
    BOXES_PROMPTS,
    MAX_MARKS,
    REGION_PROMPTS,
    THRESHOLDS,
    Mark,
    Marks,
    scene_text,
    transcription,
)
from dsvl_data.sample import Image, Text

PICTURE = Image(b"the published bytes", "jpg", 1000, 500)


class OnePicture:
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int, /) -> Image:
        return PICTURE

    def file(self, index: int, /) -> bytes:
        raise DocumentError(Reason.MISSING_FILE, "none")


def found(*texts: tuple[Any, ...], size: tuple[float, float] = (0, 0)) -> Marks:
    marks = Marks(width=size[0], height=size[1])
    for text, *box in texts:
        marks.add(text, shapes.corners(*box))
    return marks


def convert(
    marks: Marks, variant: str = "full", draw: float = 0.25, legible: float = 0.5, **options: Any
) -> list[Item | Left]:
    def given(record: Record) -> Marks:
        return marks

    choice = Choice({variant: 1.0}, draw, {"legible": legible})
    return list(scene_text(given, **options)({}, OnePicture(), choice))


def only(results: Sequence[Item | Left]) -> Item:
    (item,) = results
    assert isinstance(item, Item)
    return item


SIGN = (
    ("SHACK", 320, 100, 500, 160),
    ("SHAKE", 100, 100, 300, 160),
    ("burgers", 100, 200, 260, 240),
    ("", 900, 400, 920, 410),
)


def test_full_is_the_picture_and_its_lines_in_reading_order() -> None:
    item = only(convert(found(*SIGN)))
    assert list(item.segments) == [PICTURE, Text("SHAKE SHACK\nburgers")]
    assert item.segments[0] is PICTURE
    assert item.scores["legible"] == pytest.approx(0.99, abs=0.01)
    assert item.language == "und"  # three words tell nobody


def test_boxes_are_asked_for_and_stand_behind_each_line() -> None:
    image, prompt, answer = only(convert(found(*SIGN), "boxes")).segments
    assert isinstance(image, Image)
    assert (image.data, image.role) == (PICTURE.data, "user")
    assert isinstance(prompt, Text)
    assert prompt.text in BOXES_PROMPTS
    assert (prompt.role, prompt.trained) == ("user", False)
    assert answer == Text(
        "SHAKE SHACK [100, 200, 500, 320]\nburgers [100, 400, 260, 480]", "assistant", trained=True
    )


def test_a_region_names_the_box_whose_text_is_the_answer() -> None:
    places = {"SHAKE SHACK": "[100, 200, 500, 320]", "burgers": "[100, 400, 260, 480]"}
    answers, prompts = set(), set()
    for draw in range(60):
        _, prompt, answer = only(convert(found(*SIGN), "region", draw / 60)).segments
        assert isinstance(prompt, Text)
        assert isinstance(answer, Text)
        assert (prompt.role, prompt.trained) == ("user", False)
        assert (answer.role, answer.trained) == ("assistant", True)
        (box,) = re.findall(r"\[.*?\]", prompt.text)
        assert box == places[answer.text]
        answers.add(answer.text)
        prompts.add(prompt.text.replace(box, "{box}"))
    assert answers == set(places)
    assert prompts == set(REGION_PROMPTS)


def test_the_same_draw_gives_the_same_question() -> None:
    first, again = (convert(found(*SIGN), "region", 0.7) for _ in range(2))
    assert first == again


def test_a_region_that_holds_other_text_is_not_asked_for() -> None:
    crossed = found(
        ("diagonal", 0, 0, 1000, 500), ("under it", 400, 200, 600, 230), ("", 10, 400, 300, 440)
    )
    alone = found(("one", 10, 10, 200, 50), ("two", 500, 10, 700, 50), ("", 10, 12, 200, 48))
    for draw in range(20):
        answer = only(convert(crossed, "region", draw / 20)).segments[2]
        assert answer == Text("diagonal", "assistant")
        answer = only(convert(alone, "region", draw / 20)).segments[2]
        assert answer == Text("two", "assistant")


def test_illegible_text_is_left_out_and_too_much_of_it_drops_the_picture() -> None:
    half_read = found(("READ", 0, 0, 200, 100), ("", 0, 200, 260, 300))
    with pytest.raises(DocumentError, match="43% of the text can be read") as caught:
        convert(half_read)
    assert caught.value.reason is Reason.ILLEGIBLE
    with pytest.raises(DocumentError):
        convert(half_read, "boxes")
    assert only(convert(half_read, legible=0.4)).segments[1] == Text("READ")
    # A question for one box claims nothing about the rest.
    assert only(convert(half_read, "region")).segments[2] == Text("READ", "assistant")


def test_the_threshold_that_stands_when_none_is_given() -> None:
    marks = found(("READ", 0, 0, 200, 100), ("", 0, 200, 260, 300))
    choice = Choice({"full": 1.0}, 0.5)
    with pytest.raises(DocumentError, match="not 50%"):
        list(scene_text(lambda record: marks)({}, OnePicture(), choice))
    assert THRESHOLDS == {"legible": 0.5}


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        (Marks(), Reason.NO_TEXT),
        (found(("", 0, 0, 10, 10)), Reason.ILLEGIBLE),
        (found(*[("x", 0, 0, 10, 10)] * (MAX_MARKS + 1)), Reason.TEXT_TOO_LONG),
        (found(("x", 0, 0, 10, 10), size=(500, 1000)), Reason.BAD_RECORD),  # on its side
    ],
)
def test_pictures_of_which_nothing_can_be_had(marks: Marks, reason: Reason) -> None:
    for variant in ("full", "region"):
        with pytest.raises(DocumentError) as caught:
            convert(marks, variant)
        assert caught.value.reason is reason


def test_a_broken_outline_costs_its_own_text_and_counts_as_illegible() -> None:
    marks = found(("one", 0, 0, 200, 50), ("two", 0, 100, 200, 150), ("off", 1200, 0, 1300, 50))
    marks.add("line", shapes.polygon([[1, 1], [9, 9]]))
    *left, item = convert(marks)
    assert left == [
        Left(Reason.BAD_RECORD, "text 3", "its outline encloses nothing"),
        Left(Reason.BAD_RECORD, "text 2", "its outline lies outside of the picture"),
    ]
    assert isinstance(item, Item)
    assert item.segments[1] == Text("one\ntwo")
    assert item.scores["legible"] == 0.5


def test_text_that_is_cut_by_the_border_has_a_box_within_the_picture() -> None:
    answer = only(convert(found(("cut", -50, 450, 100, 600)), "boxes")).segments[2]
    assert answer == Text("cut [0, 899, 100, 999]", "assistant")


def test_a_text_smaller_than_a_thousandth_has_a_box() -> None:
    for left, top in ((0, 0), (999.9, 499.9), (400, 200)):
        marks = found(("i", left, top, left + 0.1, top + 0.1))
        answer = only(convert(marks, "boxes")).segments[2]
        assert isinstance(answer, Text)
        x1, y1, x2, y2 = map(int, re.findall(r"\d+", answer.text))
        assert 0 <= x1 < x2 <= 999
        assert 0 <= y1 < y2 <= 999


def test_annotations_on_a_larger_picture_are_brought_to_its_size() -> None:
    marks = found(("big", 200, 200, 1000, 320), size=(2000, 1000))
    answer = only(convert(marks, "boxes")).segments[2]
    assert answer == Text("big [100, 200, 500, 320]", "assistant")


def test_chinese_makes_lines_of_its_own_and_tells_its_language() -> None:
    row = (("营业时间", 0, 0, 160, 40), ("10:00", 180, 0, 260, 40), ("to", 280, 2, 320, 38))
    item = only(convert(found(*row)))
    assert item.segments[1] == Text("营业时间\n10:00 to")
    assert item.language == "zh"


def test_a_text_of_some_length_has_its_language_identified() -> None:
    line = ("The quick brown fox jumps over the lazy dog", 0, 0, 900, 40)
    assert only(convert(found(line))).language == ""
    assert only(convert(found(("Fox", 0, 0, 90, 40)), language="en")).language == "en"
    assert only(convert(found(("狐狸", 0, 0, 90, 40)), language="en")).language == "zh"


def test_annotated_lines_are_not_joined() -> None:
    row = (("Open daily", 0, 0, 160, 40), ("10-18", 180, 0, 260, 40))
    assert only(convert(found(*row))).segments[1] == Text("Open daily 10-18")
    assert only(convert(found(*row), lines=True)).segments[1] == Text("Open daily\n10-18")


def test_groups_stay_together() -> None:
    def mark(text: str, left: float, top: float, group: int) -> Mark:
        shape = shapes.corners(left, top, left + 100, top + 20)
        assert shape is not None
        return Mark(text, shape, group)

    marks = [
        mark("b2", 120, 26, 1),
        mark("a1", 0, 0, 0),
        mark("b1", 120, 0, 1),
        mark("a2", 0, 26, 0),
    ]
    assert [line.text for line in transcription(marks)] == ["a1", "a2", "b1", "b2"]
