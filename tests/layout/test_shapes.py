"""Outlines of text: every published form becomes a shape, and what is none becomes nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvl_data.layout import shapes
from dsvl_data.layout.shapes import Shape
from tests.layout.turned import turned_box

SQUARE = ((10.0, 20.0), (50.0, 20.0), (50.0, 40.0), (10.0, 40.0))


@pytest.mark.parametrize(
    "shape",
    [
        shapes.polygon([[10, 20], [50, 20], [50, 40], [10, 40]]),
        shapes.polygon([10, 20, 50, 20, 50, 40, 10, 40]),
        shapes.polygon(((10.0, 20), (50, 20), (50, 40), (10, 40))),
        shapes.corners(10, 20, 50, 40),
        shapes.box(10, 20, 40, 20),
        turned_box(30, 30, 40, 20, 0),
    ],
)
def test_all_forms_of_one_box_are_one_shape(shape: Shape | None) -> None:
    assert shape is not None
    assert shape.points == SQUARE
    assert (shape.left, shape.top, shape.right, shape.bottom) == (10, 20, 50, 40)
    assert shape.area == 800


@pytest.mark.parametrize(
    "values",
    [
        None,
        "10,20,30,40,50,60",
        [],
        [[1, 2], [3, 4]],  # two points
        [1, 2, 3, 4],
        [[1, 2], [3, 4], [5, 6]],  # in a line
        [[1, 2], [1, 2], [1, 2], [1, 2]],
        [1, 2, 3, 4, 5, 6, 7],
        [[1, 2], [3, 4], [5]],
        [[1, 2], [3, 4], "56"],
        [[1, 2], [3, 4], None],
        [0, 0, float("nan"), 0, 5, 5],
        [float("nan"), 0, 9, 0, 5, 5],
        [0, 0, float("inf"), 0, 5, 5],
        [0, 0, 10**400, 0, 5, 5],
        [0, 0, 1e300, 0, 5, 5],
        [0, 0, True, 0, 5, 5],
        [0, 0, "9", 0, 5, 5],
        [0, 0] * 5000,
        {"x": 1},
    ],
)
def test_what_encloses_nothing_is_no_shape(values: Any) -> None:
    assert shapes.polygon(values) is None


@given(
    st.lists(st.integers(-50, 900), min_size=6, max_size=20).map(lambda v: v[: len(v) // 2 * 2]),
    st.data(),
)
def test_bounds_are_those_of_the_points_and_nothing_hides_among_them(
    values: list[int], data: st.DataObject
) -> None:
    shape = shapes.polygon(values)
    if shape is not None:
        xs, ys = values[::2], values[1::2]
        assert (shape.left, shape.top) == (min(xs), min(ys))
        assert (shape.right, shape.bottom) == (max(xs), max(ys))
    spoilt: list[float] = list(values)
    at = data.draw(st.integers(0, len(values) - 1))
    spoilt[at] = data.draw(st.sampled_from([math.nan, math.inf, -math.inf, 1e8]))
    assert shapes.polygon(spoilt) is None


@pytest.mark.parametrize(
    "sides", [(1, 2, 0, 5), (1, 2, 5, -1), (1, 2, float("nan"), 5), (1, None, 5, 5), ("1", 2, 5, 5)]
)
def test_a_box_without_a_size_is_no_shape(sides: tuple[Any, Any, Any, Any]) -> None:
    assert shapes.box(*sides) is None


@given(st.floats(-400, 400), st.floats(1, 500), st.floats(1, 500))
def test_turning_keeps_the_area(degrees: float, width: float, height: float) -> None:
    shape = turned_box(700, 300, width, height, degrees)
    assert shape.area == pytest.approx(width * height)


def test_a_quadrilateral_with_turned_corners_is_mended() -> None:
    for mixed in ([0, 2, 1, 3], [0, 1, 3, 2]):
        shape = shapes.polygon([SQUARE[index] for index in mixed])
        assert shape is not None
        assert shape.area == 800


def test_a_shape_is_drawn_into_the_picture() -> None:
    shape = shapes.corners(-10, 20, 30, 200)
    assert shape is not None
    inside = shape.within(100, 100)
    assert inside is not None
    assert (inside.left, inside.top, inside.right, inside.bottom) == (0, 20, 30, 100)
    assert shape.within(100, 20) is None
    whole = shapes.corners(0, 0, 100, 100)
    assert whole is not None
    assert whole.within(100, 100) is whole


def test_a_shape_in_a_picture_of_twice_the_size() -> None:
    shape = shapes.corners(10, 20, 50, 40)
    assert shape is not None
    assert shape.scaled(2, 3) == shapes.corners(20, 60, 100, 120)


def test_a_curved_text_ends_where_its_last_letter_does() -> None:
    curved = [[0, 10], [20, 0], [40, 10], [40, 30], [20, 20], [0, 30]]
    shape = shapes.polygon(curved)
    assert shape is not None
    assert shape.ends() == ((0, 10), (40, 10), (40, 30), (0, 30))


@given(st.floats(-89, 89))
def test_a_polygon_without_an_order_lies_along_its_main_axis(degrees: float) -> None:
    turned = turned_box(0, 0, 100, 20, degrees)
    first, *rest = turned.points
    middle = ((first[0] + rest[-1][0]) / 2, (first[1] + rest[-1][1]) / 2)
    shape = shapes.polygon([*turned.points, middle])
    assert shape is not None
    a, b, _, d = shape.ends(oriented=False)
    direction = (b[0] - a[0], b[1] - a[1])
    length = math.hypot(*direction)
    radians = math.radians(degrees)
    assert length == pytest.approx(100, rel=0.02)
    assert math.hypot(d[0] - a[0], d[1] - a[1]) == pytest.approx(20, rel=0.2)
    cosine = (direction[0] * math.cos(radians) + direction[1] * math.sin(radians)) / length
    assert cosine == pytest.approx(1, abs=0.01)
