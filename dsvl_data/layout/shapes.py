"""Outlines of text in a picture, as data sets publish them, made one kind of thing.

In: an axis-aligned box, a quadrilateral (as every set publishes its rotated boxes) or a polygon,
with values that nobody vouches for. Out: a `Shape`, or `None` for what encloses nothing. Pixels,
x to the right, y down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

Point: TypeAlias = tuple[float, float]
#: Four points: where a text's upper edge starts and ends, where its lower edge ends and starts.
Ends: TypeAlias = tuple[Point, Point, Point, Point]

# Beyond this no picture has pixels, and products of two could lose digits.
_FAR = 1e7
_MAX_POINTS = 1000


class Shape(NamedTuple):
    """A polygon of at least three points, in the published order, its bounds and its area.

    The area is that enclosed, in square pixels, whichever way round the points go.
    """

    points: tuple[Point, ...]
    left: float
    top: float
    right: float
    bottom: float
    area: float

    def ends(self, *, oriented: bool = True) -> Ends:
        """Return the four corners of the text's first and last character.

        With `oriented` the points begin at the upper left corner of the text as it is read and
        run clockwise, half of them along its upper edge; so a curved text keeps its direction.
        Other polygons of more than four points give the rectangle along their main axis.
        """
        points = self.points
        count = len(points)
        if count == 4:
            upper_left, upper_right, lower_right, lower_left = points
            return upper_left, upper_right, lower_right, lower_left
        if oriented and count % 2 == 0:
            half = count // 2
            return points[0], points[half - 1], points[half], points[-1]
        return _rectangle(points)

    def within(self, width: float, height: float) -> Shape | None:
        """Return the shape with its points drawn into a picture; `None` if nothing of it shows."""
        if self.left >= 0 and self.top >= 0 and self.right <= width and self.bottom <= height:
            return self
        return _shape(
            [min(max(x, 0.0), width) for x, _ in self.points],
            [min(max(y, 0.0), height) for _, y in self.points],
        )

    def scaled(self, x_factor: float, y_factor: float) -> Shape:
        """Return the shape in a picture of another size."""
        points = tuple([(x * x_factor, y * y_factor) for x, y in self.points])
        return Shape(
            points,
            self.left * x_factor,
            self.top * y_factor,
            self.right * x_factor,
            self.bottom * y_factor,
            abs(_signed_area(points)),
        )


def polygon(values: object) -> Shape | None:
    """Return the shape with these corners: `[[x, y], ...]` or `[x, y, x, y, ...]`.

    `None` for fewer than three points, for points in a line, for what is not finite or far away,
    for an odd count of numbers and for anything that is no list.
    """
    if not isinstance(values, _LISTS) or not values:
        return None
    flat: Sequence[Any] = values
    if type(values[0]) not in _NUMBERS:
        flat = []
        for pair in values:
            if not isinstance(pair, _LISTS) or len(pair) != 2:
                return None
            flat.extend(pair)
    count, kinds = len(flat), set(map(type, flat))
    if count % 2 or not 6 <= count <= 2 * _MAX_POINTS or not kinds <= _NUMBERS:
        return None
    if int in kinds:
        try:
            flat = list(map(float, flat))
        except OverflowError:  # of a whole number that no float can hold
            return None
    return _shape(flat[::2], flat[1::2])


def corners(left: object, top: object, right: object, bottom: object) -> Shape | None:
    """Return an axis-aligned box by two of its corners, in any order."""
    return polygon([left, top, right, top, right, bottom, left, bottom])


def box(left: object, top: object, width: object, height: object) -> Shape | None:
    """Return an axis-aligned box by its upper left corner and its size."""
    numbers = _numbers(left, top, width, height)
    if not numbers or not (numbers[2] > 0 and numbers[3] > 0):
        return None
    x, y, w, h = numbers
    return corners(x, y, x + w, y + h)


# `True` is an int to Python, and no coordinate: so types are compared, not classes.
_NUMBERS = frozenset((int, float))
_LISTS = (list, tuple)


def _numbers(*values: Any) -> list[float]:
    """The values as finite numbers; none of them if one is no such thing."""
    if not _NUMBERS.issuperset(map(type, values)):
        return []
    return list(map(float, values)) if all(-_FAR < value < _FAR for value in values) else []


#: A `Shape` of a tuple of its fields, in a third of the time that its own constructor takes: the
#: outlines of a page are hundreds.
_shape_of: Callable[[tuple[Any, ...]], Shape] = partial(tuple.__new__, Shape)


def _shape(xs: Sequence[float], ys: Sequence[float]) -> Shape | None:
    # Both ends of a few numbers, in half the time of `min` and `max`.
    columns, rows = sorted(xs), sorted(ys)
    left, right, top, bottom = columns[0], columns[-1], rows[0], rows[-1]
    if not (-_FAR < left < right < _FAR and -_FAR < top < bottom < _FAR):
        return None
    points: tuple[Point, ...]
    if len(xs) == 4:
        ax, bx, cx, dx = xs
        ay, by, cy, dy = ys
        points = (ax, ay), (bx, by), (cx, cy), (dx, dy)
        size = abs((cx - ax) * (dy - by) - (dx - bx) * (cy - ay)) / 2
        if size < 0.9 * (right - left) * (bottom - top):
            points = _untangled(points)
            size = abs(_signed_area(points))
    else:
        points = tuple(zip(xs, ys, strict=True))
        size = abs(_signed_area(points))
    # No comparison with a NaN is true; where one hides among the sorted, the area shows it.
    return _shape_of((points, left, top, right, bottom, size)) if size > 0 else None


def _signed_area(points: Sequence[Point]) -> float:
    if len(points) == 4:
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = points
        return ((cx - ax) * (dy - by) - (dx - bx) * (cy - ay)) / 2
    # From the first point, so that the sum is as exact far from the origin as near it.
    x0, y0 = points[0]
    total = 0.0
    ax, ay = points[1][0] - x0, points[1][1] - y0
    for x, y in points[2:]:
        bx, by = x - x0, y - y0
        total += ax * by - bx * ay
        ax, ay = bx, by
    return total / 2


def _untangled(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Mend a quadrilateral whose sides cross: two of its corners were given in turned order."""
    a, b, c, d = points
    if _cross(a, b, c, d):
        return a, c, b, d
    if _cross(b, c, d, a):
        return a, b, d, c
    return points


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the side from a to b crosses the one from c to d."""
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])


def _rectangle(points: Sequence[Point]) -> Ends:
    """The rectangle around points along the axis of their greatest spread."""
    count = len(points)
    x0 = sum(x for x, _ in points) / count
    y0 = sum(y for _, y in points) / count
    xx = sum((x - x0) ** 2 for x, _ in points)
    yy = sum((y - y0) ** 2 for _, y in points)
    xy = sum((x - x0) * (y - y0) for x, y in points)
    spread = math.sqrt((xx - yy) ** 2 + 4 * xy**2)
    # Two forms of one axis; the one that does not cancel.
    ux, uy = (xx - yy + spread, 2 * xy) if xx >= yy else (2 * xy, yy - xx + spread)
    length = math.sqrt(ux * ux + uy * uy)
    ux, uy = (ux / length, uy / length) if length > 0 else (1.0, 0.0)
    if ux < 0 or (ux == 0 and uy < 0):
        ux, uy = -ux, -uy
    along = [(x - x0) * ux + (y - y0) * uy for x, y in points]
    down = [(y - y0) * ux - (x - x0) * uy for x, y in points]
    first, last, upper, lower = min(along), max(along), min(down), max(down)

    def corner(a: float, b: float) -> Point:
        return x0 + a * ux - b * uy, y0 + a * uy + b * ux

    return corner(first, upper), corner(last, upper), corner(last, lower), corner(first, lower)
