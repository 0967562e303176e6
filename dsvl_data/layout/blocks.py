"""The order of blocks of lines: the picture is cut at gaps, across first, then down.

In: lines as strokes, and the lines of each block. Out: the numbers of the blocks in reading order.
Where most of a picture's text runs along a slope, the gaps are looked for along it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dsvl_data.layout.shapes import Ends
from dsvl_data.layout.strokes import Box, Frame, Stroke, around, mean_height

_MARGIN = 0.25  # of the text's height: outlines of neighbours touch
_COHERENT = 0.9  # of the text runs in one direction: then that is the picture's horizontal
_SLANT = 0.1  # sine of a slope that is not worth a rotation


def block_order(
    blocks: Sequence[Sequence[int]],
    lines: Sequence[Stroke],
    corners_of: Callable[[int], Sequence[Ends]],
    frame: Frame,
) -> list[int]:
    """Return the numbers of blocks in the order in which they are read.

    A block is the numbers of its lines; `corners_of` gives those of a line's texts, in pixels,
    and `frame` is what `lines` are relative to.
    """
    if len(blocks) == 1:
        return [0]
    ux, uy = _horizontal(lines)
    boxes = []
    for block in blocks:
        strokes = [lines[line] for line in block]
        if uy:
            corners = [four for line in block for four in corners_of(line)]
            left, top, right, bottom = _turned(corners, frame, ux, uy)
        else:
            left, top, right, bottom = around([stroke[9] for stroke in strokes])
        margin = _MARGIN * mean_height(strokes)
        across, down = min(margin, (right - left) * 0.45), min(margin, (bottom - top) * 0.45)
        boxes.append((left + across, top + down, right - across, bottom - down))
    return _cut(boxes, [lines[block[0]][8] for block in blocks])


def _turned(corners: Sequence[Ends], frame: Frame, ux: float, uy: float) -> Box:
    """The box around texts along a direction."""
    x0, y0, extent = frame
    points = [((x - x0) / extent, (y - y0) / extent) for four in corners for x, y in four]
    xs = [x * ux + y * uy for x, y in points]
    ys = [y * ux - x * uy for x, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def _horizontal(lines: Sequence[Stroke]) -> tuple[float, float]:
    """The direction of most text, if it is nearer to the horizontal than to the vertical.

    A picture that stands upside down counts. One on its side does not: more often it is a picture
    of the spines of books, which are read from left to right.
    """
    whole = flat = x = y = 0.0
    for line in lines:
        ux, uy, length = line[4], line[5], line[6]
        whole += length
        if abs(ux) >= abs(uy):
            flat += length
            x += ux * length
            y += uy * length
    size = math.sqrt(x * x + y * y)
    if not size or size < _COHERENT * flat or 2 * flat < whole:
        return 1.0, 0.0
    if x > 0 and abs(y) < _SLANT * size:
        return 1.0, 0.0
    return x / size, y / size


def _cut(boxes: Sequence[Box], vertical: Sequence[bool]) -> list[int]:
    order: list[int] = []
    any_vertical = any(vertical)
    groups = [list(range(len(boxes)))]
    while groups:
        group = groups.pop()
        if len(group) == 1:
            order += group
            continue
        leftwards = any_vertical and 2 * sum([vertical[index] for index in group]) > len(group)
        parts = _parts(group, boxes, 1)
        if len(parts) == 1:
            parts = _parts(group, boxes, 0)
            if leftwards:
                parts.reverse()
        if len(parts) == 1:
            # They interlock: what begins first is read first, and the rest is tried again.
            first = min(
                group,
                key=lambda index: (
                    (-boxes[index][2], boxes[index][1])
                    if leftwards
                    else (boxes[index][1], boxes[index][0])
                ),
            )
            group.remove(first)
            parts = [[first], group]
        groups += reversed(parts)
    return order


def _parts(group: Sequence[int], boxes: Sequence[Box], axis: int) -> list[list[int]]:
    """Split boxes at every gap along an axis (0: x, 1: y)."""
    parts: list[list[int]] = []
    reach = -math.inf
    for start, index in sorted([(boxes[index][axis], index) for index in group]):
        if start >= reach:
            parts.append([index])
        else:
            parts[-1].append(index)
        end = boxes[index][axis + 2]
        if end > reach:
            reach = end
    return parts
