"""Texts as strokes, and strokes that follow one another as chains.

In: texts and the four corners of each. Out: a stroke for each text, and of two kinds of neighbours,
words of a line and lines of a block, the chains. All lengths are relative: the longer side of what
the texts cover is 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeAlias

from dsvl_data.layout.shapes import Ends
from dsvl_data.layout.writing import has_cjk

Box: TypeAlias = tuple[float, float, float, float]
#: What lengths are relative to, in pixels: left, top, and the longer side.
Frame: TypeAlias = tuple[float, float, float]
#: The middle line that a text or line runs along, with its height and bounds: start x, start y,
#: end x, end y, direction as a unit vector (x, y), length, height, whether it is Chinese or
#: Japanese that runs downwards, and the box. A plain tuple: there are dozens a picture, and one
#: with names takes as long to make as all that is computed of it.
Stroke: TypeAlias = tuple[float, float, float, float, float, float, float, float, bool, Box]
Score: TypeAlias = Callable[[Stroke, Stroke], float]

# All in heights of the text, unless said otherwise; found by looking at pictures of street signs,
# shelves and menus with the order drawn onto them.
_WORD_TURN = 0.8  # cosine: 37 degrees from word to word along a curve
_WORD_GAP = (-0.6, 1.2)
_WORD_OFFSET = 0.6  # of the smaller word
_WORD_RATIO = 2.2  # "are" and "(Tight)" of one size differ by this much in tight outlines
_LINE_GAP = (-0.5, 1.0)
_LINE_OVERLAP = 0.2  # of the shorter line
_LINE_RATIO = 1.8
_LINE_TURN = 0.9  # cosine: 25 degrees
_SPINE_GAP, _SPINE_RATIO = 0.5, 1.25  # the books on a shelf are not lines of one paragraph
# A text is turned by 90 degrees where its outline is this much too tall for its characters.
_TALL, _WRONG = 1.3, 1.35

_NOBODY = (math.inf, -1)


def frame_of(ends: Sequence[Ends]) -> Frame:
    """Return what texts cover."""
    xs, ys = zip(*chain.from_iterable(ends), strict=True)
    left, top = min(xs), min(ys)
    return left, top, max(max(xs) - left, max(ys) - top) or 1.0


def stroke_of(text: str, corners: Ends, frame: Frame, oriented: bool) -> Stroke:
    """Find out which way a text runs, from its outline and its characters."""
    x0, y0, extent = frame
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners
    ax, bx, cx, dx = (ax - x0) / extent, (bx - x0) / extent, (cx - x0) / extent, (dx - x0) / extent
    ay, by, cy, dy = (ay - y0) / extent, (by - y0) / extent, (cy - y0) / extent, (dy - y0) / extent
    along_x, along_y = (bx + cx - ax - dx) / 2, (by + cy - ay - dy) / 2
    down_x, down_y = (cx + dx - ax - bx) / 2, (cy + dy - ay - by) / 2
    # Not `hypot`: a square root is rounded in the same way on every machine.
    length = math.sqrt(along_x * along_x + along_y * along_y)
    height = math.sqrt(down_x * down_x + down_y * down_y)
    if not oriented and abs(along_y) * height > abs(down_y) * length:
        along_x, along_y, down_x, down_y = down_x, down_y, along_x, along_y
        length, height = height, length
    turned = height > _TALL * length and _is_turned(text, length, height)
    if turned:
        along_x, along_y, length, height = down_x, down_y, height, length
    ux, uy = (along_x / length, along_y / length) if length > 0 else (1.0, 0.0)
    if (turned or not oriented) and (ux if abs(ux) >= abs(uy) else uy) < 0:
        # The outline does not tell: to the right, then, or downwards.
        ux, uy = -ux, -uy
    middle_x, middle_y = (ax + bx + cx + dx) / 4, (ay + by + cy + dy) / 4
    half_x, half_y = ux * length / 2, uy * length / 2
    left, _, _, right = sorted((ax, bx, cx, dx))  # in half the time of `min` and `max`
    top, _, _, bottom = sorted((ay, by, cy, dy))
    return (
        middle_x - half_x,
        middle_y - half_y,
        middle_x + half_x,
        middle_y + half_y,
        ux,
        uy,
        length,
        height,
        turned and has_cjk(text),
        (left, top, right, bottom),
    )


def _is_turned(text: str, width: float, height: float) -> bool:
    """Whether characters of a usual shape fit better down an outline than across it."""
    count = len(text.replace(" ", ""))
    if count < 2 or width <= 0:
        return False
    usual = 1.0 if has_cjk(text) else 0.5
    across = width / height / count / usual
    down = height / width / count / usual
    return max(across, 1 / across) > _WRONG * max(down, 1 / down)


def words_in_line(words: Sequence[Stroke]) -> list[list[int]]:
    """Return the words of each line, in order, as indices."""
    return _chains(_successors(words, _word_score, _WORD_TURN, _WORD_RATIO, _WORD_GAP[1] / 2))


def lines_in_block(lines: Sequence[Stroke]) -> list[list[int]]:
    """Return the lines of each block, in order, as indices."""
    return _chains(_successors(lines, _line_score, _LINE_TURN, _LINE_RATIO, _LINE_GAP[1] / 2))


def _word_score(a: Stroke, b: Stroke) -> float:
    """How near behind one another two words of a line are; infinite if they are not."""
    a_x, a_y, a_end_x, a_end_y, ux, uy, _, a_height, _, _ = a
    b_x, b_y, b_end_x, b_end_y, other_ux, other_uy, _, b_height, _, _ = b
    if (b_x + b_end_x - a_x - a_end_x) * ux + (b_y + b_end_y - a_y - a_end_y) * uy <= 0:
        return math.inf
    step_x, step_y = b_x - a_end_x, b_y - a_end_y
    gap = step_x * ux + step_y * uy
    mean = (a_height + b_height) / 2
    if not _WORD_GAP[0] * mean < gap < _WORD_GAP[1] * mean:
        return math.inf
    offset = max(abs(step_y * ux - step_x * uy), abs(step_y * other_ux - step_x * other_uy))
    if offset >= _WORD_OFFSET * min(a_height, b_height):
        return math.inf
    return gap + 2 * offset


def _line_score(a: Stroke, b: Stroke) -> float:
    """How near below one another two lines of a block are; infinite if they are not."""
    a_x, a_y, a_end_x, a_end_y, ux, uy, a_length, a_height, vertical, _ = a
    b_x, b_y, b_end_x, b_end_y, _, _, b_length, b_height, _, _ = b
    step_x = (b_x + b_end_x - a_x - a_end_x) / 2
    step_y = (b_y + b_end_y - a_y - a_end_y) / 2
    down = step_y * ux - step_x * uy
    mean = (a_height + b_height) / 2
    if down <= mean / 2 or not _LINE_GAP[0] * mean < down - mean < _LINE_GAP[1] * mean:
        return math.inf
    if abs(uy) > abs(ux) and not vertical:
        higher, lower = max(a_height, b_height), min(a_height, b_height)
        if down - mean > _SPINE_GAP * mean or higher > _SPINE_RATIO * lower:
            return math.inf
    along = step_x * ux + step_y * uy
    mine, other = a_length / 2, b_length / 2
    overlap = min(mine, along + other) - max(-mine, along - other)
    if overlap <= _LINE_OVERLAP * 2 * min(mine, other):
        return math.inf
    return down - mean + 0.1 * abs(along - other + mine)


def _successors(
    strokes: Sequence[Stroke], score: Score, turn: float, ratio: float, reach: float
) -> list[int]:
    """For each stroke the one that follows it, -1 for none: nearest to one another, both ways.

    Strokes further apart than `reach` times both heights are not looked at.
    """
    count = len(strokes)
    if count == 1:
        return [-1]
    reached = []
    for index, stroke in enumerate(strokes):
        left, top, right, bottom = stroke[9]
        margin = reach * stroke[7]
        reached.append(
            (top - margin, index, left - margin, right + margin, bottom + margin, stroke)
        )
    reached.sort()
    # (score, index), the best yet
    following, preceding = [_NOBODY] * count, [_NOBODY] * count
    for position, (_, i, left, right, bottom, a) in enumerate(reached, 1):
        for other in reached[position:]:
            if other[0] > bottom:
                break
            if other[2] > right or other[3] < left:
                continue
            b = other[5]
            if (
                a[4] * b[4] + a[5] * b[5] <= turn
                or a[7] > ratio * b[7]
                or b[7] > ratio * a[7]
                or a[8] is not b[8]
            ):
                continue
            j = other[1]
            for first, second, value in ((i, j, score(a, b)), (j, i, score(b, a))):
                if value != math.inf:
                    following[first] = min(following[first], (value, second))
                    preceding[second] = min(preceding[second], (value, first))
    return [
        after if after >= 0 and preceding[after][1] == index else -1
        for index, (_, after) in enumerate(following)
    ]


def _chains(successors: Sequence[int]) -> list[list[int]]:
    """Turn links into chains; a ring (text around a coin) is cut before its first member.

    No two have one successor.
    """
    followers = set(successors)
    chains: list[list[int]] = []
    for head, after in enumerate(successors):
        if head not in followers:
            links = [head]
            while after >= 0:
                links.append(after)
                after = successors[after]
            chains.append(links)
    in_rings = followers.difference((-1,), *chains)
    while in_rings:
        links = [min(in_rings)]
        while (after := successors[links[-1]]) != links[0]:
            links.append(after)
        chains.append(links)
        in_rings.difference_update(links)
    return chains


def joined(strokes: Sequence[Stroke]) -> Stroke:
    """Make one stroke of several, from the start of the first to the end of the last."""
    start_x, start_y, _, _, ux, uy, _, _, vertical, _ = strokes[0]
    _, _, end_x, end_y, _, _, _, _, _, _ = strokes[-1]
    step_x, step_y = end_x - start_x, end_y - start_y
    length = math.sqrt(step_x * step_x + step_y * step_y)
    if length > 0:
        ux, uy = step_x / length, step_y / length
    height = mean_height(strokes)
    box = around([stroke[9] for stroke in strokes])
    return start_x, start_y, end_x, end_y, ux, uy, length, height, vertical, box


def mean_height(strokes: Sequence[Stroke]) -> float:
    """Return the mean of the heights of strokes."""
    if len(strokes) == 1:
        return strokes[0][7]
    return sum([stroke[7] for stroke in strokes]) / len(strokes)


def around(boxes: Sequence[Box]) -> Box:
    """Return the box around boxes."""
    if len(boxes) == 1:
        return boxes[0]
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
