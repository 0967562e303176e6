"""Whether a picture can be read: its texts apart, inside, and something drawn.

In: a `Drawing` with the boxes of its texts. Out: sentences on what is wrong with it. Boxes are
rotated rectangles; two that touch by more than a sliver make both texts hard to read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

#: Texts that reach into each other by less than this, in CSS pixels, are merely close: a line's
#: box is higher than its letters.
_TOUCH = 1.5
_OUTSIDE = 1.0
#: Labels side by side need this much between them, as a share of their height.
_APART = 0.15


@dataclass(frozen=True, slots=True)
class Box:
    """A text's rectangle: centre, width and height in CSS pixels, angle in radians clockwise."""

    text: str
    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    @property
    def corners(self) -> list[tuple[float, float]]:
        """The four corners in order."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return [
            (
                self.x + dx * self.width / 2 * cosine - dy * self.height / 2 * sine,
                self.y + dx * self.width / 2 * sine + dy * self.height / 2 * cosine,
            )
            for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture (PNG), the code that draws it and in which language, and where its texts are.

    `width` and `height` are CSS pixels; `faults` is what the drawing program complained of.
    """

    png: bytes
    code: str
    code_language: str
    boxes: tuple[Box, ...]
    width: int
    height: int
    faults: tuple[str, ...] = ()


def find_faults(drawing: Drawing) -> list[str]:
    """Say what is cut off or on top of each other; an empty list when nothing is."""
    faults = list(drawing.faults)
    for box in drawing.boxes:
        over = max(max(-x, -y, x - drawing.width, y - drawing.height) for x, y in box.corners)
        if over > _OUTSIDE:
            faults.append(f"cut off: {box.text[:40]!r}")
    for first, second in combinations(drawing.boxes, 2):
        if abs(first.x - second.x) > (_span(first) + _span(second)) / 2:
            continue
        if _overlap(first, second):
            faults.append(f"on top of each other: {first.text[:30]!r}, {second.text[:30]!r}")
            if len(faults) > 5:
                break
    return faults


def _span(box: Box) -> float:
    return math.hypot(box.width, box.height)


def _overlap(first: Box, second: Box) -> bool:
    """Whether no line parts the two boxes, but for a sliver (separating axis theorem)."""
    for box in (first, second):
        for turn, along in ((0.0, True), (math.pi / 2, False)):
            angle = box.angle + turn
            axis = math.cos(angle), math.sin(angle)
            a, b = (_shadow(other, axis) for other in (first, second))
            common = min(a[1], b[1]) - max(a[0], b[0])
            # Words that follow each other need a space between them, lines do not.
            if common < (-_APART * box.height if along else _TOUCH):
                return False
    return True


def _shadow(box: Box, axis: tuple[float, float]) -> Sequence[float]:
    places = [x * axis[0] + y * axis[1] for x, y in box.corners]
    return min(places), max(places)
