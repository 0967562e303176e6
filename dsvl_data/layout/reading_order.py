"""The order in which a person reads the words or lines that stand in a picture.

In: texts and the four corners of each (`dsvl_data.layout.shapes.Ends`). Out: lines, in order,
each of the texts that stand in it. Words that follow one another along their own direction make
a line; lines that follow one another across it make a block; blocks go from top to bottom and
from left to right. So slanted, turned and curved texts are read as they run, columns one after
the other, and vertical Chinese from the right column to the left: which is the same rule, that
the next line lies to the right hand of the reading direction.

The result does not depend on the order of the input, on where in the picture the texts stand,
or on the picture's scale: all coordinates are first taken relative to what the texts cover.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from itertools import chain as chained
from typing import NamedTuple, TypeAlias

from dsvl_data.layout.shapes import Ends
from dsvl_data.layout.writing import has_cjk

Box: TypeAlias = tuple[float, float, float, float]

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
_BLOCK_MARGIN = 0.25  # outlines of neighbours touch
# A text is turned by 90 degrees where its outline is this much too tall for its characters.
_TALL, _WRONG = 1.3, 1.35
_COHERENT = 0.9  # of the text runs in one direction: then that is the picture's horizontal
_SLANT = 0.1  # sine of a slope that is not worth a rotation


class Line(NamedTuple):
    """Texts that are read one after the other, as indices into the input, in order.

    `block` counts the blocks of lines from 0; `vertical`: Chinese or Japanese that runs downwards.
    """

    texts: tuple[int, ...]
    block: int
    vertical: bool


_NOBODY = (math.inf, -1)


class _Stroke(NamedTuple):
    """A text or line as the middle line that it runs along, with its height and bounds."""

    start_x: float
    start_y: float
    end_x: float
    end_y: float
    ux: float  # unit vector of the direction
    uy: float
    length: float
    height: float
    vertical: bool
    box: Box


def reading_order(
    texts: Sequence[str], ends: Sequence[Ends], *, oriented: bool = True
) -> list[Line]:
    """Return the lines that texts make, in reading order.

    With `oriented`, the first of the four points of each is the upper left corner of the text as
    it is read; otherwise a text is taken to run to the right, or down if it is turned. Every
    index is in exactly one line. Only neighbours are compared, so that time grows with the number
    of texts where they do not overlap, and with its square where they all do.
    """
    if not texts:
        return []
    order = [index for _, _, index in sorted(zip(ends, texts, range(len(texts)), strict=True))]
    frame = _frame(ends)
    words = [_stroke(texts[index], ends[index], frame, oriented) for index in order]
    chains = _chains(_successors(words, _word_score, _WORD_TURN, _WORD_RATIO, _WORD_GAP[1] / 2))
    lines = [
        _joined([words[index] for index in chain]) if len(chain) > 1 else words[chain[0]]
        for chain in chains
    ]
    blocks = _chains(_successors(lines, _line_score, _LINE_TURN, _LINE_RATIO, _LINE_GAP[1] / 2))
    members = [[order[word] for word in chain] for chain in chains]
    found = []
    for number, block in enumerate(_block_order(blocks, lines, members, ends, frame)):
        for line in blocks[block]:
            inside = members[line]
            if len(inside) > 1 and _runs_left([texts[index] for index in inside]):
                inside.reverse()
            found.append(Line(tuple(inside), number, lines[line].vertical))
    return found


class _Frame(NamedTuple):
    """What texts cover. Relative to it, points lie between 0 and 1, and the longer side is 1."""

    left: float
    top: float
    extent: float


def _frame(ends: Sequence[Ends]) -> _Frame:
    xs, ys = zip(*chained.from_iterable(ends), strict=True)
    x0, y0 = min(xs), min(ys)
    return _Frame(x0, y0, max(max(xs) - x0, max(ys) - y0) or 1.0)


def _stroke(text: str, corners: Ends, frame: _Frame, oriented: bool) -> _Stroke:
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
    return _Stroke(
        middle_x - half_x,
        middle_y - half_y,
        middle_x + half_x,
        middle_y + half_y,
        ux,
        uy,
        length,
        height,
        turned and has_cjk(text),
        (min(ax, bx, cx, dx), min(ay, by, cy, dy), max(ax, bx, cx, dx), max(ay, by, cy, dy)),
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


def _word_score(a: _Stroke, b: _Stroke) -> float:
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


def _line_score(a: _Stroke, b: _Stroke) -> float:
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
    strokes: Sequence[_Stroke],
    score: Callable[[_Stroke, _Stroke], float],
    turn: float,
    ratio: float,
    reach: float,
) -> list[int]:
    """For each stroke the one that follows it, -1 for none: nearest to one another, both ways.

    Strokes further apart than `reach` times both heights are not looked at.
    """
    count = len(strokes)
    if count == 1:
        return [-1]
    # (score, index), the best yet
    following, preceding = [_NOBODY] * count, [_NOBODY] * count
    around = []
    for index, (_, _, _, _, _, _, _, height, _, (left, top, right, bottom)) in enumerate(strokes):
        margin = reach * height
        around.append((top - margin, index, left - margin, right + margin, bottom + margin))
    around.sort()
    for position, (_, i, left, right, bottom) in enumerate(around, 1):
        a = strokes[i]
        _, _, _, _, a_ux, a_uy, _, a_height, a_vertical, _ = a
        for top, j, other_left, other_right, _ in around[position:]:
            if top > bottom:
                break
            if other_left > right or other_right < left:
                continue
            b = strokes[j]
            _, _, _, _, b_ux, b_uy, _, b_height, b_vertical, _ = b
            if (
                a_ux * b_ux + a_uy * b_uy <= turn
                or a_height > ratio * b_height
                or b_height > ratio * a_height
                or a_vertical is not b_vertical
            ):
                continue
            for first, second, value in ((i, j, score(a, b)), (j, i, score(b, a))):
                if value != math.inf:
                    following[first] = min(following[first], (value, second))
                    preceding[second] = min(preceding[second], (value, first))
    return [
        after if after >= 0 and preceding[after][1] == index else -1
        for index, (_, after) in enumerate(following)
    ]


def _chains(successors: Sequence[int]) -> list[list[int]]:
    """Turn links into chains; a ring (text around a coin) is cut before its first member."""
    chains: list[list[int]] = []
    left = set(range(len(successors)))
    # Those that nothing leads to, then, of what no chain has reached, the first of each ring.
    for head in [*sorted(left.difference(successors)), *range(len(successors))]:
        if head not in left:
            continue
        chain = []
        while head in left:
            left.remove(head)
            chain.append(head)
            head = successors[head]
        chains.append(chain)
        if not left:
            break
    return chains


def _joined(chain: Sequence[_Stroke]) -> _Stroke:
    """Make one stroke of several, from the start of the first to the end of the last."""
    first, last = chain[0], chain[-1]
    step_x, step_y = last.end_x - first.start_x, last.end_y - first.start_y
    length = math.sqrt(step_x * step_x + step_y * step_y)
    ux, uy = (step_x / length, step_y / length) if length > 0 else (first.ux, first.uy)
    boxes = [stroke.box for stroke in chain]
    return _Stroke(
        first.start_x,
        first.start_y,
        last.end_x,
        last.end_y,
        ux,
        uy,
        length,
        sum([stroke.height for stroke in chain]) / len(chain),
        first.vertical,
        _around(boxes),
    )


def _block_order(
    blocks: Sequence[Sequence[int]],
    lines: Sequence[_Stroke],
    members: Sequence[Sequence[int]],
    ends: Sequence[Ends],
    frame: _Frame,
) -> list[int]:
    """Order blocks by cutting the picture at gaps, across first, then down."""
    if len(blocks) == 1:
        return [0]
    ux, uy = _horizontal(lines)
    boxes = []
    for block in blocks:
        first = lines[block[0]]
        height = first.height
        if len(block) > 1:
            height = sum([lines[line].height for line in block]) / len(block)
        if uy:
            points = [
                ((x - frame.left) / frame.extent, (y - frame.top) / frame.extent)
                for line in block
                for text in members[line]
                for x, y in ends[text]
            ]
            xs = [x * ux + y * uy for x, y in points]
            ys = [y * ux - x * uy for x, y in points]
            left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
        elif len(block) == 1:
            left, top, right, bottom = first.box
        else:
            left, top, right, bottom = _around([lines[line].box for line in block])
        margin = _BLOCK_MARGIN * height
        across, down = min(margin, (right - left) * 0.45), min(margin, (bottom - top) * 0.45)
        boxes.append((left + across, top + down, right - across, bottom - down))
    return _cut(boxes, [lines[block[0]].vertical for block in blocks])


def _horizontal(lines: Sequence[_Stroke]) -> tuple[float, float]:
    """The direction of most text, if it is nearer to the horizontal than to the vertical.

    A picture that stands upside down counts. One on its side does not: more often it is a picture
    of the spines of books, which are read from left to right.
    """
    whole = flat = x = y = 0.0
    for _, _, _, _, ux, uy, length, _, _, _ in lines:
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


def _cut(boxes: Sequence[tuple[float, float, float, float]], vertical: Sequence[bool]) -> list[int]:
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


def _runs_left(texts: Sequence[str]) -> bool:
    """Whether most letters are of a script that runs from right to left."""
    left = right = 0
    for text in texts:
        if text.isascii():
            right += len(text)
            continue
        for character in text:
            if unicodedata.bidirectional(character) in ("R", "AL"):
                left += 1
            elif character.isalpha():
                right += 1
    return left > right


def _around(boxes: Sequence[Box]) -> Box:
    return (
        min([box[0] for box in boxes]),
        min([box[1] for box in boxes]),
        max([box[2] for box in boxes]),
        max([box[3] for box in boxes]),
    )
