"""Reading order: lines, blocks, columns, slopes and vertical Chinese; the same however given."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvl_data.layout import shapes
from dsvl_data.layout.reading_order import reading_order
from dsvl_data.layout.shapes import Ends, Point
from tests.layout.turned import turned_box

Placed = tuple[str, Ends]


def at(text: str, left: float, top: float, width: float, height: float = 20) -> Placed:
    shape = shapes.box(left, top, width, height)
    assert shape is not None
    return text, shape.ends()


def read(placed: Sequence[Placed], *, oriented: bool = True) -> list[list[str]]:
    lines = reading_order(
        [text for text, _ in placed], [ends for _, ends in placed], oriented=oriented
    )
    return [[placed[index][0] for index in line.texts] for line in lines]


def flat(lines: list[list[str]]) -> list[str]:
    return [text for line in lines for text in line]


def turned(placed: Sequence[Placed], degrees: float) -> list[Placed]:
    """The same texts on a picture that was turned clockwise around its origin."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def around(point: Point) -> Point:
        x, y = point
        return x * cosine - y * sine, x * sine + y * cosine

    return [(text, (around(a), around(b), around(c), around(d))) for text, (a, b, c, d) in placed]


SIGN = [
    at("Fresh", 10, 10, 60),
    at("bread", 78, 11, 60),
    at("every", 10, 36, 55),
    at("day", 72, 35, 40),
    at("Open", 10, 160, 50),
    at("8-18", 70, 160, 50),
]
SIGN_READ = [["Fresh", "bread"], ["every", "day"], ["Open", "8-18"]]


def test_nothing() -> None:
    assert reading_order([], []) == []


def test_lines_from_top_to_bottom() -> None:
    assert read(SIGN) == SIGN_READ
    assert [line.block for line in reading_order(*map(list, zip(*SIGN, strict=True)))] == [0, 0, 1]


@pytest.mark.parametrize("degrees", [-40, -20, -7, 5, 15, 30, 44, 150, 180])
def test_a_slanted_picture_is_read_along_its_slope(degrees: float) -> None:
    assert read(turned(SIGN, degrees)) == SIGN_READ


def test_words_of_different_height_share_a_line() -> None:
    line = [at("are", 10, 16, 30, 11), at("(Tight)", 46, 8, 60, 24), at("-", 112, 18, 10, 11)]
    assert read(line) == [["are", "(Tight)", "-"]]


def test_columns_are_read_one_after_the_other() -> None:
    left = [at(f"left{number}", 10, 100 + 26 * number, 150) for number in range(5)]
    right = [at(f"right{number}", 240, 104 + 26 * number, 150) for number in range(5)]
    title = at("Title", 100, 10, 200, 40)
    assert read([*right, *left, title]) == [
        ["Title"],
        *[[text] for text, _ in left],
        *[[text] for text, _ in right],
    ]


def test_a_heading_in_the_size_of_two_columns_does_not_mix_them() -> None:
    heading = at("Heading", 10, 10, 380)
    left = [at(f"left{number}", 10, 36 + 26 * number, 150) for number in range(3)]
    right = [at(f"right{number}", 240, 36 + 26 * number, 150) for number in range(3)]
    assert flat(read([*right, heading, *left])) == [
        "Heading", "left0", "left1", "left2", "right0", "right1", "right2",
    ]  # fmt: skip


def test_words_far_apart_in_a_row_are_read_from_the_left() -> None:
    assert read([at("price", 300, 10, 50), at("item", 10, 12, 50)]) == [["item"], ["price"]]


def test_vertical_chinese_is_read_from_the_right() -> None:
    columns = [
        at("床前明月光", 300, 10, 30, 150),
        at("疑是地上霜", 260, 10, 30, 150),
        at("举头望明月", 220, 10, 30, 150),
        at("低头思故乡", 180, 10, 30, 150),
    ]
    lines = reading_order([text for text, _ in columns], [ends for _, ends in columns])
    assert [line.texts for line in lines] == [(0,), (1,), (2,), (3,)]
    assert all(line.vertical for line in lines)
    assert len({line.block for line in lines}) == 1


def test_vertical_couplets_far_apart_too() -> None:
    left, right = at("财源广进达三江", 20, 40, 40, 300), at("生意兴隆通四海", 500, 40, 40, 300)
    assert read([left, right]) == [[right[0]], [left[0]]]
    above = at("恭喜发财", 200, 0, 160, 36)
    assert read([left, right, above]) == [[above[0]], [right[0]], [left[0]]]


def test_pieces_of_a_vertical_column_follow_one_another() -> None:
    assert read([at("下半句", 100, 150, 40, 120), at("上半句", 100, 10, 40, 120)]) == [
        ["上半句", "下半句"]
    ]


def test_horizontal_chinese_beside_a_vertical_one() -> None:
    vertical = at("老字号", 10, 10, 40, 130)
    horizontal = at("全聚德烤鸭店", 80, 40, 240, 40)
    lines = reading_order([vertical[0], horizontal[0]], [vertical[1], horizontal[1]])
    assert [line.vertical for line in lines] == [True, False]


def test_a_single_character_is_not_turned() -> None:
    lines = reading_order(["一"], [at("一", 0, 0, 10, 40)[1]])
    assert not lines[0].vertical


def test_text_on_the_spine_of_a_book_runs_down() -> None:
    spine = [at("Crime", 10, 10, 20, 70), at("and", 10, 86, 20, 40), at("Peace", 10, 132, 20, 70)]
    assert read(spine) == [["Crime", "and", "Peace"]]
    # Where the outlines know the direction, it may run up as well.
    upwards = turned([at("up", 0, 0, 50), at("wards", 56, 0, 90)], -90)
    assert read(upwards) == [["up", "wards"]]


def test_arabic_is_read_from_the_right() -> None:
    assert read([at("بيروت", 10, 10, 60), at("مطعم", 80, 10, 60)]) == [["مطعم", "بيروت"]]


def test_text_along_a_curve_is_one_line() -> None:
    words = []
    for number in range(6):
        angle = -60 + 22 * number
        shape = turned_box(
            300 + 200 * math.sin(math.radians(angle)),
            300 - 200 * math.cos(math.radians(angle)),
            64,
            22,
            angle,
        )
        words.append((f"word{number}", shape.ends()))
    random.Random(2).shuffle(words)
    assert read(words) == [[f"word{number}" for number in range(6)]]


def test_text_around_a_coin_is_read_once() -> None:
    words = []
    for number in range(12):
        angle = 30 * number
        radians = math.radians(angle)
        shape = turned_box(
            300 + 100 * math.sin(radians), 300 - 100 * math.cos(radians), 46, 20, angle
        )
        words.append((f"word{number}", shape.ends()))
    found = flat(read(words))
    assert sorted(found) == sorted(text for text, _ in words)


def test_outlines_that_begin_anywhere_are_read_to_the_right() -> None:
    for shift in range(4):
        placed = []
        for text, ends in SIGN:
            a, b, c, d = [*ends, *ends][shift : shift + 4]
            placed.append((text, (a, b, c, d)))
        assert read(placed, oriented=False) == SIGN_READ


quads = st.tuples(
    st.integers(0, 2000), st.integers(0, 2000), st.integers(5, 300), st.integers(5, 60),
    st.integers(-8, 8), st.integers(-8, 8),
)  # fmt: skip


@st.composite
def pictures(draw: st.DrawFn) -> list[Placed]:
    words = []
    for number, (x, y, width, height, slope, lean) in enumerate(
        draw(st.lists(quads, min_size=1, max_size=14))
    ):
        text = draw(st.sampled_from(["word", "longer text", "招牌", "好", "مطعم"])) + str(number)
        ends = (
            (float(x), float(y)),
            (float(x + width), float(y + slope)),
            (float(x + width + lean), float(y + slope + height)),
            (float(x + lean), float(y + height)),
        )
        words.append((text, ends))
    return words


@settings(max_examples=60, deadline=None)
@given(pictures(), st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_the_input_does_not_matter(
    words: list[Placed], shuffled: random.Random, oriented: bool
) -> None:
    expected = read(words, oriented=oriented)
    assert sorted(flat(expected)) == sorted(text for text, _ in words)
    again = list(words)
    shuffled.shuffle(again)
    assert read(again, oriented=oriented) == expected


@settings(max_examples=60, deadline=None)
@given(
    pictures(),
    st.integers(1, 50),
    st.integers(-100_000, 100_000),
    st.integers(-100_000, 100_000),
    st.booleans(),
)
def test_place_and_scale_do_not_matter(
    words: list[Placed], scale: int, x0: int, y0: int, oriented: bool
) -> None:
    def moved(point: Point) -> Point:
        return point[0] * scale + x0, point[1] * scale + y0

    elsewhere = [(text, (moved(a), moved(b), moved(c), moved(d))) for text, (a, b, c, d) in words]
    assert read(elsewhere, oriented=oriented) == read(words, oriented=oriented)


def test_thousands_of_words_take_seconds() -> None:
    words = [at(f"w{n}", 60 * (n % 50), 30 * (n // 50), 50) for n in range(3000)]
    random.Random(1).shuffle(words)
    assert len(read(words)) == 60
