"""The proof that a page's text is what its picture shows.

In: a page of the printed PDF and its pixels. Out: what is painted where (`Painted`), and for
each thing that is wrong one sentence. `paginate` compares characters; this module sees to it
that the characters can be seen: drawn with a real glyph, inside the page's content area and
their own column, not on top of each other, in a colour that differs from the ground.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pymupdf
from numpy.typing import NDArray

from dsvl_data.render.flow import visible
from dsvl_data.render.raster import Raster
from dsvl_data.render.template import Template

_POINTS = 72 / 96
#: How far a line may stick out of the content area, in points: overhang of slanted letters.
_TOLERANCE = 2.5
#: Levels of 255 by which the brightest and darkest pixel of a word must differ.
_CONTRAST = 48
#: Glyph 0 of a font, in the hexadecimal strings that Chromium's PDF writer makes: two bytes
#: a glyph, or one byte in fonts of drawings (Type 3).
_MISSING_GLYPH = re.compile(rb"<(?:[0-9A-F]{4})*?0000|<(?:[0-9A-F]{2})*?00(?:[0-9A-F]{2})*> Tj")


@dataclass(frozen=True, slots=True)
class Span:
    """Text of one font and line. `box` is x0, y0, x1, y1 in points around its small letters."""

    text: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Painted:
    """What a PDF page paints: `spans` in the content area in painting order, and the running
    head and foot in the margins, as lines of text.
    """

    spans: list[Span]
    text: str
    head: str
    foot: str
    margins: list[Span]


def read_painted(listing: pymupdf.DisplayList, template: Template) -> Painted:
    """Read a page's text layer."""
    top, bottom = template.content[1] * _POINTS, template.content[3] * _POINTS
    content: list[Span] = []
    head: list[Span] = []
    foot: list[Span] = []
    page = pymupdf.TextPage(listing.get_textpage(0)).extractDICT()
    for block in page["blocks"]:
        for line in block["lines"]:
            across = abs(line["dir"][0]) >= abs(line["dir"][1])
            for span in line["spans"]:
                text = span["text"]
                if not text or text.isspace():
                    continue
                x0, y0, x1, y1 = span["bbox"]
                if across:  # the letters' own height; the font's reaches into other lines
                    base, size = span["origin"][1], span["size"]
                    y0, y1 = base - 0.5 * size, base
                    x1 -= 0.3 * size * (len(text) - len(text.rstrip()))
                else:
                    size = span["size"]
                    middle = (x0 + x1) / 2
                    x0, x1 = middle - 0.25 * size, middle + 0.25 * size
                piece = Span(text, (x0, y0, x1, y1))
                if y1 <= top - 1:
                    head.append(piece)
                elif y0 >= bottom + 1:
                    foot.append(piece)
                else:
                    content.append(piece)
    text = visible("".join(span.text for span in content))
    return Painted(content, text, _line(head), _line(foot), head + foot)


def find_missing_glyphs(page: pymupdf.Page) -> str:
    """Characters of the page that its fonts have no picture for, drawn as empty boxes."""
    if not _MISSING_GLYPH.search(page.read_contents()):
        return ""
    return "".join(
        chr(character[0]) if character[0] > 0 else "\ufffd"
        for span in page.get_texttrace()
        for character in span["chars"]
        if character[1] == 0 and not chr(max(character[0], 0)).isspace()
    )


def find_faults(
    painted: Painted, raster: Raster, template: Template, together: Sequence[int]
) -> list[str]:
    """Say what is wrong with the look of a page; an empty list when nothing is.

    `together` gives each span of `painted.spans` a group number: spans of one group (a
    formula) may touch each other, -1 stands for none.
    """
    if not painted.spans:
        return []
    boxes = np.array([span.box for span in painted.spans])
    faults = []
    left, top, right, bottom = (edge * _POINTS for edge in template.content)
    outside = (
        (boxes[:, 0] < left - _TOLERANCE)
        | (boxes[:, 1] < top - _TOLERANCE)
        | (boxes[:, 2] > right + _TOLERANCE)
        | (boxes[:, 3] > bottom + _TOLERANCE)
    )
    if outside.any():
        faults.append(f"outside the page: {_first(painted, outside)}")
    if template.columns > 1 and "column-span" not in template.css:
        width = right - left
        for column in range(1, template.columns):
            gutter = left + width * column / template.columns
            crossing = (boxes[:, 0] < gutter - 1) & (boxes[:, 2] > gutter + 1)
            if crossing.any():
                faults.append(f"across columns: {_first(painted, crossing)}")
    overlaps = _overlapping(boxes, np.asarray(together))
    if overlaps.any():
        faults.append(f"on top of each other: {_first(painted, overlaps)}")
    faint = _faint(boxes, raster)
    if faint.any():
        faults.append(f"hardly visible: {_first(painted, faint)}")
    return faults


def _overlapping(boxes: NDArray[np.float64], together: NDArray[np.int64]) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = boxes.T
    # Sorted by top edge, a box can only meet the next few: those that start above its bottom.
    order = np.argsort(y0, kind="stable")
    hit = np.zeros(len(boxes), bool)
    tops = y0[order]
    ends = np.searchsorted(tops, y1[order])
    reach = int((ends - np.arange(len(order))).max(initial=1))
    for step in range(1, reach):
        a, b = order[:-step], order[step:]
        wide = np.minimum(x1[a], x1[b]) - np.maximum(x0[a], x0[b])
        high = np.minimum(y1[a], y1[b]) - np.maximum(y0[a], y0[b])
        smaller = np.minimum((x1 - x0)[a], (x1 - x0)[b])
        lower = np.minimum((y1 - y0)[a], (y1 - y0)[b])
        met = (wide > np.maximum(1.0, 0.15 * smaller)) & (high > 0.3 * lower)
        met &= (together[a] < 0) | (together[a] != together[b])
        hit[a[met]] = True
    return hit


def _faint(boxes: NDArray[np.float64], raster: Raster) -> NDArray[np.bool_]:
    height, width = raster.pixels.shape[:2]
    areas = np.rint(boxes * raster.scale).astype(int)
    areas[:, [0, 2]] = areas[:, [0, 2]].clip(0, width)
    areas[:, [1, 3]] = areas[:, [1, 3]].clip(0, height)
    faint = np.zeros(len(boxes), bool)
    pixels = raster.pixels
    for number, (x0, y0, x1, y1) in enumerate(areas.tolist()):
        area = pixels[max(0, y0 - 2) : y1 + 3, x0 : max(x1, x0 + 2)]
        if not area.size:
            faint[number] = True
            continue
        flat = area.reshape(-1, 3)
        green = flat[:, 1]
        if int(green.max()) - int(green.min()) >= _CONTRAST:
            continue
        difference = flat.max(axis=0).astype(int) - flat.min(axis=0)
        faint[number] = difference.max() < _CONTRAST
    return faint


def _line(spans: list[Span]) -> str:
    spans = sorted(spans, key=lambda span: (round(span.box[3]), span.box[0]))
    return " ".join(span.text.strip() for span in spans)


def _first(painted: Painted, chosen: NDArray[np.bool_]) -> str:
    return repr(painted.spans[int(np.argmax(chosen))].text[:40])
