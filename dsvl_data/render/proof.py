"""The proof that what a page's text says can be seen on its picture.

In: the spans of a page and its pixels. Out: for each thing that is wrong, one sentence.
`paginate` compares the characters; this module sees to it that they are inside the page's
content area and their own column, not on top of each other, and of another colour than the
ground, and that no picture is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pymupdf
from numpy.typing import NDArray

from dsvl_data.render.raster import Raster
from dsvl_data.render.template import Template
from dsvl_data.render.textlayer import POINTS, Span

_Boxes: TypeAlias = NDArray[np.float64]

#: How far text may stick out of the content area, in points. Chromium cuts off what does.
_TOLERANCE = 1.0
#: The same for pictures, whose edges are rounded to pixels.
_PICTURE_TOLERANCE = 1.5
#: Levels of 255 by which the brightest and darkest pixel of a word must differ.
_CONTRAST = 48
_DOT_CONTRAST = 12
_HALF_EMPTY = frozenset("“”‘’「」『』（）《》〈〉【】〔〕〖〗，。、；：！？．｡｢｣､")


def find_faults(
    spans: Sequence[Span], groups: Sequence[int], raster: Raster, template: Template
) -> list[str]:
    """Say what is wrong with the look of a page; an empty list when nothing is.

    `groups` gives each span a number: spans of one formula have the same and may touch each
    other; -1 stands for plain text.
    """
    if not spans:
        return []
    texts, boxes, sizes, numbers = _lines(spans, groups)
    faults = []
    left, top, right, bottom = (edge * POINTS for edge in template.content)
    checks = [
        (
            "outside the page",
            (boxes[:, 0] < left - _TOLERANCE)
            | (boxes[:, 1] < top - _TOLERANCE)
            | (boxes[:, 2] > right + _TOLERANCE)
            | (boxes[:, 3] > bottom + _TOLERANCE),
        ),
        ("on top of each other", _overlapping(boxes, sizes, numbers)),
        ("hardly visible", _faint(texts, boxes, sizes, raster)),
    ]
    if template.columns > 1 and "column-span" not in template.css:
        for column in range(1, template.columns):
            gutter = left + (right - left) * column / template.columns
            checks.append(
                ("across columns", (boxes[:, 0] < gutter - 1) & (boxes[:, 2] > gutter + 1))
            )
    for name, wrong in checks:
        if wrong.any():
            faults.append(f"{name}: {texts[int(np.argmax(wrong))][:40]!r}")
    return faults


def find_cut_pictures(page: pymupdf.Page, template: Template) -> list[str]:
    """Say which pictures of a page reach out of its content area, where Chromium cuts them off."""
    if not page.get_images():  # the quick answer, and the usual one
        return []
    left, top, right, bottom = (edge * POINTS for edge in template.content)
    faults = []
    for picture in page.get_image_info():
        x0, y0, x1, y1 = picture["bbox"]
        over = max(left - x0, top - y0, x1 - right, y1 - bottom)
        if over > _PICTURE_TOLERANCE:
            faults.append(f"a picture is cut off: {over:.1f} points of it are outside the page")
    return faults


def _lines(
    spans: Sequence[Span], groups: Sequence[int]
) -> tuple[list[str], _Boxes, NDArray[np.float64], NDArray[np.int64]]:
    """Join spans that follow each other on a line: with Chinese, each letter is a span."""
    texts: list[str] = []
    boxes: list[list[float]] = []
    sizes: list[float] = []
    numbers: list[int] = []
    for span, group in zip(spans, groups, strict=True):
        box = span.box
        if boxes and numbers[-1] == group and abs(sizes[-1] - span.size) < 0.1:
            last, near = boxes[-1], 0.35 * span.size
            # Full-width marks are half empty, and set by their ink alone beside each other.
            squeezed = _HALF_EMPTY.intersection((texts[-1][-1:], span.text[:1]))
            back = 0.6 * span.size if squeezed else near
            on_line = abs(last[3] - box[3]) < 0.5 and -back < box[0] - last[2] < near
            below = abs(last[0] - box[0]) < 0.5 and -back < box[1] - last[3] < near
            if on_line or below:
                boxes[-1] = [
                    min(last[0], box[0]),
                    min(last[1], box[1]),
                    max(last[2], box[2]),
                    max(last[3], box[3]),
                ]
                texts[-1] += span.text
                continue
        texts.append(span.text)
        boxes.append(list(box))
        sizes.append(span.size)
        numbers.append(group)
    return texts, np.array(boxes), np.array(sizes), np.array(numbers)


def _overlapping(
    boxes: _Boxes, sizes: NDArray[np.float64], numbers: NDArray[np.int64]
) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = boxes.T
    # Sorted by top edge, a box can only meet the next few: those that start above its bottom.
    order = np.argsort(y0, kind="stable")
    ends = np.searchsorted(y0[order], y1[order])
    reach = int((ends - np.arange(len(order))).max(initial=1))
    width = x1 - x0
    hit = np.zeros(len(boxes), bool)
    for step in range(1, reach):
        a, b = order[:-step], order[step:]
        wide = np.minimum(x1[a], x1[b]) - np.maximum(x0[a], x0[b])
        high = np.minimum(y1[a], y1[b]) - np.maximum(y0[a], y0[b])
        # Slanted letters reach a quarter of their size over the next one.
        slant = 0.35 * np.minimum(sizes[a], sizes[b])
        much = np.minimum(slant, 0.8 * np.minimum(width[a], width[b]))
        flat = np.minimum((y1 - y0)[a], (y1 - y0)[b])
        met = (wide > much) & (high > 0.3 * flat)
        met &= (numbers[a] < 0) | (numbers[a] != numbers[b])
        hit[a[met]] = True
    return hit


def _faint(
    texts: list[str], boxes: _Boxes, sizes: NDArray[np.float64], raster: Raster
) -> NDArray[np.bool_]:
    height, width = raster.pixels.shape[:2]
    whole = boxes + np.outer(sizes, [0, 0, 0, 0.25])  # an underscore is below the line
    areas = np.rint(whole * raster.scale).astype(int)
    areas[:, 0] = areas[:, 0].clip(0, width - 2)
    areas[:, 1] = (areas[:, 1] - 2).clip(0, height - 2)
    areas[:, 2] = np.maximum(areas[:, 2].clip(0, width), areas[:, 0] + 2)
    areas[:, 3] = np.maximum((areas[:, 3] + 3).clip(0, height), areas[:, 1] + 2)
    # A lone full stop is less than a pixel.
    least = np.array(
        [_CONTRAST if any(map(str.isalnum, text)) else _DOT_CONTRAST for text in texts]
    )
    faint = _contrast(raster.pixels, areas) < least
    for number in np.flatnonzero(faint):
        x0, y0, x1, y1 = areas[number]
        area = raster.pixels[y0:y1, x0:x1]
        dark, bright = area.min(axis=(0, 1)).astype(int), area.max(axis=(0, 1)).astype(int)
        faint[number] = (bright - dark).max() < least[number]
    return faint


def _contrast(pixels: NDArray[np.uint8], areas: NDArray[np.int_]) -> NDArray[np.int_]:
    """The contrast along the middle line of each area: at most that of the whole area."""
    width = pixels.shape[1]
    # Green alone settles nearly all coloured ones, too.
    flat = pixels.reshape(-1, 3)[:, 1] if pixels.ndim == 3 else pixels.ravel()
    x0, y0, x1, y1 = areas.T
    row = (y0 + y1) // 2 * width
    # From the last to the first: what lies between two lines is then not looked at.
    order = np.argsort(-(row + x0))
    edges = np.stack((row + x0, np.minimum(row + x1, len(flat) - 1)), axis=1)[order].ravel()
    bright, dark = (f.reduceat(flat, edges)[::2] for f in (np.maximum, np.minimum))
    found = np.empty(len(areas), int)
    found[order] = bright.astype(int) - dark
    return found
