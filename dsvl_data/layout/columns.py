"""The order in which the boxes of a page are read: columns left to right, each from top to bottom.

In: boxes of lines and figures, in any order. Out: their numbers in reading order. A gutter is an
upright line that most boxes stand clear of, with text on both sides at the same height. What spans
it (a title, a wide figure) parts the page into bands; in each band the left side is read first.
Both sides may have gutters of their own. Where there is none, rows are read from top to bottom.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

#: x0, y0, x1, y1; y grows downwards.
Box: TypeAlias = tuple[float, float, float, float]

#: Share of the width that each side of a gutter must have to be a column.
_COLUMN = 0.15
#: Share of the boxes' height that must have text on both sides of a gutter.
_PAIRED = 0.3
#: A box with less on its one side of a gutter than this share of the other is a line too long.
_OVERHANG = 0.25
#: Share of the boxes that may reach into a gutter: a line that is too long, an indented number.
_REACHING = 0.1
_MAX_DEPTH = 8


def order_boxes(boxes: Sequence[Box], gutter: float) -> list[int]:
    """Return the numbers of the boxes in reading order; `gutter`: least width between columns."""
    return _order(boxes, list(range(len(boxes))), gutter, 0)


def _order(boxes: Sequence[Box], members: Sequence[int], gutter: float, depth: int) -> list[int]:
    at = _find_gutter(boxes, members, gutter) if depth < _MAX_DEPTH else None
    if at is None:
        rows = _rows(boxes, members)
        return [n for row in rows for n in sorted(row, key=lambda n: (boxes[n][0], boxes[n][1], n))]
    ordered: list[int] = []
    left: list[int] = []
    right: list[int] = []
    for n in sorted(members, key=lambda n: (boxes[n][1] + boxes[n][3], boxes[n][0], n)):
        if not _spans(boxes[n], at, gutter):
            (left if boxes[n][0] + boxes[n][2] < 2 * at else right).append(n)
        else:
            ordered += _order(boxes, left, gutter, depth + 1)
            ordered += _order(boxes, right, gutter, depth + 1)
            ordered.append(n)
            left, right = [], []
    ordered += _order(boxes, left, gutter, depth + 1)
    return ordered + _order(boxes, right, gutter, depth + 1)


def _spans(box: Box, at: float, gutter: float) -> bool:
    """Whether a box stands on both sides of a gutter, and does not only reach over it."""
    left, right = at - box[0], box[2] - at
    return min(left, right) > max(2 * gutter, _OVERHANG * max(left, right))


def _find_gutter(boxes: Sequence[Box], members: Sequence[int], gutter: float) -> float | None:
    """Return where the best gutter is, or None when there is none."""
    if len(members) < 4:
        return None
    page = [boxes[n] for n in members]
    least = _COLUMN * (max(box[2] for box in page) - min(box[0] for box in page))
    total = _height((box[1], box[3]) for box in page)
    best: tuple[float, float] | None = None
    for start in sorted({round(box[0]) for box in page}):
        at = start - gutter / 2
        left = [box for box in page if box[2] <= start - gutter + 1]
        right = [box for box in page if box[0] >= start - 1]
        spanning = sum(_spans(box, at, gutter) for box in page)
        reaching = len(page) - len(left) - len(right) - spanning
        if reaching > _REACHING * len(page):
            continue
        if not _is_column(left, least) or not _is_column(right, least):
            continue
        both = _overlap(left, right)
        if both >= _PAIRED * total and (best is None or both > best[0]):
            best = both, at
    return None if best is None else best[1]


def _is_column(side: Sequence[Box], least: float) -> bool:
    """Whether boxes are wide and many enough to be a column, and no marks in a margin."""
    return sum(box[2] - box[0] >= least for box in side) >= 2


def _overlap(left: Sequence[Box], right: Sequence[Box]) -> float:
    """The height at which both sides have something."""
    a, b = ([(box[1], box[3]) for box in side] for side in (left, right))
    return _height(a) + _height(b) - _height([*a, *b])


def _height(spans: Iterable[tuple[float, float]]) -> float:
    """How much of the height some spans cover together."""
    covered, foot = 0.0, float("-inf")
    for top, end in sorted(spans):
        covered += max(0.0, end - max(top, foot))
        foot = max(foot, end)
    return covered


def _rows(boxes: Sequence[Box], members: Sequence[int]) -> list[list[int]]:
    """Boxes that stand beside each other, from top to bottom."""
    rows: list[list[int]] = []
    foot = 0.0
    for n in sorted(members, key=lambda n: (boxes[n][1] + boxes[n][3], boxes[n][0], n)):
        _, y0, _, y1 = boxes[n]
        if rows and (y0 + y1) / 2 < foot:
            rows[-1].append(n)
        else:
            rows.append([n])
            foot = y0
        foot = max(foot, y1)
    return rows
