"""What is drawn on a PDF's page and is no text: figures and ruled tables, by their boxes.

In: a page and its lines of type. Out: `Region`s: boxes in points that hold a picture, a vector
drawing, or the rules of a table, each with what was drawn in it. Backgrounds, rules between
columns and frames around text are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pymupdf
from numpy.typing import NDArray

from dsvl_data.latex.pdf_lines import Line

#: Points within which two drawn things belong together.
GAP = 9.0
#: Points that a region must measure both ways to be a figure: bullets and icons are less.
SMALLEST = 36.0
_DRAWN = frozenset(("fill-path", "stroke-path", "fill-image", "fill-shade", "fill-imgmask"))
_PICTURES = frozenset(("fill-image", "fill-imgmask", "fill-shade"))
#: A rule: so many points thick at most.
_THIN = 2.5
#: Boxes that are clustered exactly; a map of a million paths is looked at more coarsely.
_MOST_BOXES = 2000
#: Share of a region's area that lines of prose may cover before it is a frame around text.
_PROSE_SHARE = 0.25

#: How the caption of a float between rules begins.
FLOAT = re.compile(
    r"(?:table|tab\.|algorithm|listing|tabla|tabela|tabelle|tableau|表|算法)\s*[A-Z]?\.?(?:\d|[IVXL]+\b)",
    re.IGNORECASE,
)

Boxes = NDArray[np.float64]


@dataclass(slots=True)
class Region:
    """A box, `(x0, y0, x1, y1)` in points, and what is drawn in it.

    `pictures` counts its bitmaps and shadings, `rules` its thin straight lines, `drawings` the
    rest. `levels` are the heights at which its horizontal rules lie. `inside` are the numbers of
    the lines of type that it shows.
    """

    box: tuple[float, float, float, float]
    pictures: int = 0
    rules: int = 0
    drawings: int = 0
    levels: list[float] = field(default_factory=list)
    inside: set[int] = field(default_factory=set)

    @property
    def ruled(self) -> bool:
        """Whether it is made of rules: the skeleton of a table."""
        return not self.pictures and self.rules >= 3 and self.drawings <= self.rules


def find_regions(page: pymupdf.Page, lines: Sequence[Line], body_size: float) -> list[Region]:
    """Find the figures and ruled tables of a page, from top to bottom."""
    kinds: list[str] = []
    boxes: list[tuple[float, float, float, float]] = []
    width, height = page.rect.width, page.rect.height
    for kind, box in page.get_bboxlog():
        if kind not in _DRAWN:
            continue
        x0, y0, x1, y1 = max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)
        everything = (x1 - x0) * (y1 - y0) > 0.85 * width * height
        if x1 < x0 or y1 < y0 or (everything and kind not in _PICTURES):
            continue
        kinds.append(kind)
        boxes.append((x0, y0, x1, y1))
    if not boxes:
        return []
    drawn = np.array(boxes)
    regions = [_region(members, kinds, drawn) for members in _clusters(drawn)]
    stacks = _stacks(
        drawn[[kind == "fill-path" or kind == "stroke-path" for kind in kinds]], lines, body_size
    )
    regions = [
        region
        for region in regions
        if _is_large(region) and not any(_within(region.box, stack.box) for stack in stacks)
    ]
    regions += stacks
    for region in regions:
        _take_labels(region, lines, body_size)
    kept = [region for region in regions if region.ruled or not _is_frame(region, lines, body_size)]
    return sorted(kept, key=lambda region: (region.box[1], region.box[0]))


def contains(box: Sequence[float], line: Line, slack: float = 2.0) -> bool:
    """Whether the middle of a line of type lies in a box."""
    x, y = (line.x0 + line.x1) / 2, (line.y0 + line.y1) / 2
    return box[0] - slack <= x <= box[2] + slack and box[1] - slack <= y <= box[3] + slack


def _clusters(drawn: Boxes) -> list[list[int]]:
    """Group the boxes that touch, or nearly."""
    owners = np.arange(len(drawn))
    shown, inverse = np.unique(np.round(drawn / 2), axis=0, return_inverse=True)
    if len(shown) > _MOST_BOXES:
        shown, inverse = np.unique(np.round(drawn / 24), axis=0, return_inverse=True)
        shown = shown * 12
    if len(shown) > _MOST_BOXES:
        return [owners.tolist()]
    grown = shown * 2 + np.array([-GAP / 2, -GAP / 2, GAP / 2, GAP / 2])
    x0, y0, x1, y1 = grown.T
    touch = (
        (x0[:, None] <= x1[None, :])
        & (x0[None, :] <= x1[:, None])
        & (y0[:, None] <= y1[None, :])
        & (y0[None, :] <= y1[:, None])
    )
    label = np.full(len(shown), -1)
    for start in range(len(shown)):
        if label[start] >= 0:
            continue
        label[start] = start
        front = np.array([start])
        while len(front):
            reached = touch[front].any(axis=0) & (label < 0)
            label[reached] = start
            front = np.flatnonzero(reached)
    of_box = label[inverse.ravel()]
    return [np.flatnonzero(of_box == name).tolist() for name in np.unique(label)]


def _region(members: Sequence[int], kinds: Sequence[str], drawn: Boxes) -> Region:
    boxes = drawn[list(members)]
    x0, y0 = boxes[:, :2].min(axis=0)
    x1, y1 = boxes[:, 2:].max(axis=0)
    region = Region((float(x0), float(y0), float(x1), float(y1)))
    for member, box in zip(members, boxes, strict=True):
        if kinds[member] in _PICTURES:
            region.pictures += 1
        elif min(box[2] - box[0], box[3] - box[1]) <= _THIN:
            region.rules += 1
            if box[2] - box[0] > 2 * SMALLEST:
                region.levels.append(float(box[1] + box[3]) / 2)
        else:
            region.drawings += 1
    return region


def _stacks(paths: Boxes, lines: Sequence[Line], body_size: float) -> list[Region]:
    """Tables and algorithms between horizontal rules: rules of one width below a caption, or above.

    Two or three rules with white between them are far apart, and no cluster.
    """
    wide = paths[(paths[:, 3] - paths[:, 1] <= _THIN) & (paths[:, 2] - paths[:, 0] > 2 * SMALLEST)]
    captions = [line for line in lines if FLOAT.match(line.text)]
    if not captions or len(wide) < 2:
        return []
    stacks = []
    columns: dict[tuple[int, int], list[float]] = {}
    for x0, y0, x1, y1 in wide[np.argsort(wide[:, 1])].tolist():
        columns.setdefault((round(x0 / 4), round(x1 / 4)), []).append((y0 + y1) / 2)
    for (left, right), heights in columns.items():
        x0, x1 = 4.0 * left, 4.0 * right
        run = [heights[0]]
        for height in [*heights[1:], float("inf")]:
            if height < float("inf") and not _has_prose(lines, x0, run[-1], x1, height, body_size):
                run.append(height)
                continue
            if len(run) > 1 and any(
                caption.x0 < x1
                and caption.x1 > x0
                and run[0] - 4 * body_size < caption.y1 < run[-1] + 4 * body_size
                for caption in captions
            ):
                box = (x0, run[0], x1, run[-1])
                stacks.append(Region(box, rules=max(3, len(run)), levels=run))
            run = [height]
    return stacks


def _has_prose(
    lines: Sequence[Line], x0: float, y0: float, x1: float, y1: float, body_size: float
) -> bool:
    """Whether between two rules stand lines that fill their width, or a caption."""
    between = [
        line
        for line in lines
        if y0 < (line.y0 + line.y1) / 2 < y1 and line.x0 < x1 and line.x1 > x0
    ]
    full = sum(
        line.x1 - line.x0 > 0.9 * (x1 - x0) and line.size > 0.95 * body_size for line in between
    )
    last = between[-1] if between else None
    apart = any(
        FLOAT.match(line.text) for line in between if line is not last and line.y0 > y0 + 20
    )
    return full > 1 or apart or (not between and y1 - y0 > 3 * body_size)


def _within(inner: Sequence[float], outer: Sequence[float]) -> bool:
    return (
        inner[0] >= outer[0] - GAP
        and inner[1] >= outer[1] - GAP
        and inner[2] <= outer[2] + GAP
        and inner[3] <= outer[3] + GAP
    )


def _is_large(region: Region) -> bool:
    x0, y0, x1, y1 = region.box
    return x1 - x0 >= SMALLEST and y1 - y0 >= SMALLEST / 2


def _take_labels(region: Region, lines: Sequence[Line], body_size: float) -> None:
    """Grow the box over the labels that stand at its edges, as those of axes do."""
    box = region.box
    for number, line in enumerate(lines):
        if contains(box, line):
            region.inside.add(number)
            continue
        near = (
            line.x1 > box[0] - 1.5 * body_size
            and line.x0 < box[2] + 1.5 * body_size
            and line.y1 > box[1] - 1.2 * body_size
            and line.y0 < box[3] + 1.2 * body_size
        )
        label = line.size < 0.95 * body_size or not line.upright or len(line.text) <= 4
        if near and label and line.text.count(" ") < 4 and not region.ruled:
            region.inside.add(number)
    for number in region.inside:
        line = lines[number]
        x0, y0, x1, y1 = region.box
        region.box = (min(x0, line.x0), min(y0, line.y0), max(x1, line.x1), max(y1, line.y1))


def _is_frame(region: Region, lines: Sequence[Line], body_size: float) -> bool:
    """Whether a region is no picture but a frame or a ground for text."""
    x0, y0, x1, y1 = region.box
    if y1 - y0 < SMALLEST:
        return True
    if region.pictures:
        return False
    prose = sum(
        (line.x1 - line.x0) * (line.y1 - line.y0)
        for line in (lines[number] for number in region.inside)
        if line.text.count(" ") >= 4 and line.size > 0.75 * body_size
    )
    return prose > _PROSE_SHARE * (x1 - x0) * (y1 - y0) or region.drawings + region.rules < 3
