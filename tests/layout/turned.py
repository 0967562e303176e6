"""Boxes that stand askew, as sets of scene text publish them: by their four corners."""

from __future__ import annotations

import math

from dsvl_data.layout.shapes import Shape, polygon


def turned_box(x: float, y: float, width: float, height: float, degrees: float) -> Shape:
    """A box by its centre and size, turned clockwise (as seen) around the centre."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    ax, ay = width / 2 * cosine, width / 2 * sine
    bx, by = -height / 2 * sine, height / 2 * cosine
    corners = [
        (x - ax - bx, y - ay - by),
        (x + ax - bx, y + ay - by),
        (x + ax + bx, y + ay + by),
        (x - ax + bx, y - ay + by),
    ]
    shape = polygon(corners)
    assert shape is not None
    return shape
