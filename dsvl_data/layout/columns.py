"""The order in which the boxes of a page are read: columns left to right, each from top to bottom.

In: boxes of lines and figures, in any order. Out: their numbers in reading order. A page is cut
where white runs through it (the recursive X-Y cut of Nagy and Seth, 1984): upright between columns,
level where a title or a figure spans them. Rows that the same gutters part stay together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

#: x0, y0, x1, y1; y grows downwards.
Box: TypeAlias = tuple[float, float, float, float]

#: Share of the width that each side of a gutter must have to be a column.
_COLUMN = 0.15
_MAX_DEPTH = 12


def order_boxes(boxes: Sequence[Box], gutter: float) -> list[int]:
    """Return the numbers of the boxes in reading order; `gutter`: least width between columns."""
    return _order(boxes, list(range(len(boxes))), gutter, 0)


def _order(boxes: Sequence[Box], members: list[int], gutter: float, depth: int) -> list[int]:
    if len(members) < 2:
        return members
    columns = _columns(boxes, members, gutter) if depth < _MAX_DEPTH else []
    if len(columns) > 1:
        return [n for column in columns for n in _order(boxes, column, gutter, depth + 1)]
    groups = _groups(boxes, _rows(boxes, members), gutter)
    if len(groups) > 1 and depth < _MAX_DEPTH:
        return [n for group in groups for n in _order(boxes, group, gutter, depth + 1)]
    rows = _rows(boxes, members)
    return [n for row in rows for n in sorted(row, key=lambda n: (boxes[n][0], boxes[n][1]))]


def _columns(boxes: Sequence[Box], members: Sequence[int], gutter: float) -> list[list[int]]:
    """Cut where white of the gutter's width runs from top to bottom."""
    ordered = sorted(members, key=lambda n: boxes[n][0])
    left, right = boxes[ordered[0]][0], max(boxes[n][2] for n in members)
    columns: list[list[int]] = []
    reach = left - gutter
    for n in ordered:
        if boxes[n][0] - reach >= gutter:
            columns.append([])
        columns[-1].append(n)
        reach = max(reach, boxes[n][2])
    for column in columns:
        width = max(boxes[n][2] for n in column) - min(boxes[n][0] for n in column)
        if width < _COLUMN * (right - left):
            return [list(members)]  # a number beside a formula, a mark in the margin
    return columns


def _rows(boxes: Sequence[Box], members: Sequence[int]) -> list[list[int]]:
    """Boxes that stand beside each other, from top to bottom."""
    rows: list[list[int]] = []
    top = foot = 0.0
    for n in sorted(members, key=lambda n: (boxes[n][1] + boxes[n][3], boxes[n][0])):
        middle = (boxes[n][1] + boxes[n][3]) / 2
        if rows and top <= middle < foot:
            rows[-1].append(n)
        else:
            rows.append([n])
            top, foot = boxes[n][1], boxes[n][1]
        foot = max(foot, boxes[n][3])
    return rows


def _groups(boxes: Sequence[Box], rows: Sequence[Sequence[int]], gutter: float) -> list[list[int]]:
    """Rows that go together: those that one gutter parts, and those that none does."""
    groups: list[list[int]] = []
    parted = False
    for row in rows:
        if groups:
            both = [*groups[-1], *row]
            still = len(_columns(boxes, both, gutter)) > 1
            alone = len(_columns(boxes, row, gutter)) == 1
            if still or (not parted and alone):
                groups[-1] = both
                parted = still
                continue
        groups.append(list(row))
        parted = len(_columns(boxes, row, gutter)) > 1
    return groups
