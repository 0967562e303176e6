"""Reading order of a page: it follows from where things stand, not from who wrote them first."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.layout.columns import Box, order_boxes

TITLE: Box = (60, 40, 535, 60)


def lines(x0: float, x1: float, y0: float, number: int, height: float = 12) -> list[Box]:
    """A column's lines, the last one short."""
    return [
        (x0, y0 + n * height, x1 if n + 1 < number else (x0 + x1) / 2, y0 + n * height + 10)
        for n in range(number)
    ]


PAGES = {
    "one column": [TITLE, *lines(60, 535, 80, 30)],
    "two columns": [*lines(60, 285, 80, 30), *lines(310, 535, 80, 25)],
    "a title above two columns": [TITLE, *lines(60, 285, 80, 30), *lines(310, 535, 80, 30)],
    "three columns": [*lines(40, 200, 80, 9), *lines(215, 375, 80, 9), *lines(390, 550, 80, 9)],
    "a figure across between two pairs of columns": [
        *lines(60, 285, 80, 10),
        *lines(310, 535, 80, 10),
        (60, 220, 535, 380),
        *lines(60, 285, 400, 10),
        *lines(310, 535, 400, 10),
    ],
    "paragraphs with gaps at one height": [
        *lines(60, 285, 80, 5),
        *lines(60, 285, 180, 5),
        *lines(310, 535, 80, 5),
        *lines(310, 535, 180, 5),
    ],
    "a figure in each column": [
        *lines(60, 285, 80, 5),
        (60, 160, 285, 260),
        *lines(60, 285, 280, 5),
        *lines(310, 535, 80, 8),
        (310, 190, 535, 300),
        *lines(310, 535, 320, 5),
    ],
    "a formula with its number": [
        *lines(60, 535, 80, 4),
        (200, 140, 380, 152),
        (515, 141, 535, 151),
        *lines(60, 535, 170, 4),
    ],
    "one column, then two": [
        *lines(60, 535, 80, 8),
        *lines(60, 285, 200, 9),
        *lines(310, 535, 200, 9),
    ],
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("seed", range(3))
def test_shuffled_boxes_come_back_in_the_order_of_reading(name: str, seed: int) -> None:
    page = PAGES[name]
    shuffled = random.Random(seed).sample(page, len(page))
    assert [shuffled[n] for n in order_boxes(shuffled, 9)] == page


@given(
    st.lists(
        st.tuples(*[st.integers(0, 500)] * 2, *[st.integers(1, 90)] * 2).map(
            lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
        ),
        max_size=25,
        unique=True,
    ),
    st.randoms(),
)
def test_every_box_once_and_the_same_whatever_comes_first(boxes, chance) -> None:
    order = order_boxes(boxes, 9)
    assert sorted(order) == list(range(len(boxes)))
    shuffled = chance.sample(boxes, len(boxes))
    assert [shuffled[n] for n in order_boxes(shuffled, 9)] == [boxes[n] for n in order]
