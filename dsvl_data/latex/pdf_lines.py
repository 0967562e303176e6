"""A PDF's pages as lines of type: PDF in; lines in reading order, without the margins, out.

Reading order is the order of the content stream, because TeX ships a page out in it: floats at
the top, first column, its footnotes, second column. Only where the stream walks to and fro
between columns (other producers do) are lines sorted by column.

What stands in the margins is left out: running heads, page numbers, line numbers, arXiv's stamp.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import pymupdf

from dsvl_data.latex.words import fold

# Where another package has loaded PyMuPDF's layout analysis first, boxes of type would be others.
pymupdf.TOOLS.unset_quad_corrections(False)

_FLAGS = (
    pymupdf.TEXT_MEDIABOX_CLIP
    | pymupdf.TEXT_PRESERVE_WHITESPACE
    | pymupdf.TEXT_CID_FOR_UNKNOWN_UNICODE
)
_SUPERSCRIPT = 1  # a span's flag, PyMuPDF's TEXT_FONT_SUPERSCRIPT
_MATH_FONT = re.compile(
    r"CMMI|CMSY|CMEX|CMBSY|CMMIB|MSAM|MSBM|EUFM|EUSM|RSFS|LASY|STMARY|WASY|Math|MTMI|MTSY|MTEX"
    r"|txmi|txsy|txex|pxmi|pxsy|LMMI|rtxm|zplm|Mathematica",
)
_PAGE_NUMBER = re.compile(
    r"(?:page|p\.|第)?[\s\-–—\[(·]*(?P<number>\d+|[ivxlc]+)[\s\-–—\])·]*(?:(?:/|of)\s*\d+|页)?",
    re.IGNORECASE,
)
_STAMP = re.compile(r"arXiv:\S+")


class Zone(StrEnum):
    """The part of the page that a line belongs to."""

    BODY = "body"
    CAPTION = "caption"
    FIGURE = "figure"  # words inside a picture
    FOOTNOTE = "footnote"


@dataclass(slots=True)
class Line:
    """A line of a page, its box in points from the top left corner.

    `runs` are its texts, each with "a font for formulas shows it"; `raised` says that it starts
    with a superscript.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    block: int
    runs: list[tuple[str, bool]]
    text: str
    size: float
    first_size: float
    raised: bool
    font: str
    upright: bool
    zone: Zone = Zone.BODY


def read_lines(
    document: pymupdf.Document, clean: Callable[[str], str] = fold
) -> tuple[list[list[Line]], float, str]:
    """The lines of every page, and the size (points) and font of the document's text.

    `clean` is what becomes of each run of text; by default compatibility forms are folded.
    """
    pages = [_read_lines(page, clean) for page in document.pages()]
    size, font = _body_type(pages)
    pages = _without_running_heads([_without_stamps(lines) for lines in pages], size)
    return [_reading_order(lines) for lines in pages], size, font


def _read_lines(page: pymupdf.Page, clean: Callable[[str], str]) -> list[Line]:
    lines: list[Line] = []
    blocks = page.get_textpage(flags=_FLAGS).extractDICT()["blocks"]
    for index, block in enumerate(blocks):
        for line in block.get("lines", ()):
            spans = line["spans"]
            runs: list[tuple[str, bool]] = []
            sizes: Counter[tuple[float, str]] = Counter()
            first = None
            for span in spans:
                text = clean(span["text"])
                if not text:
                    continue
                math = _MATH_FONT.search(span["font"]) is not None
                if runs and runs[-1][1] == math:
                    runs[-1] = (runs[-1][0] + text, math)
                else:
                    runs.append((text, math))
                if not text.isspace():
                    sizes[(round(span["size"], 1), span["font"])] += len(text)
                    first = first or span
            if first is None:
                continue
            x0, y0, x1, y1 = line["bbox"]
            (size, font), _ = sizes.most_common(1)[0]
            lines.append(
                Line(
                    x0,
                    y0,
                    x1,
                    y1,
                    block=index,
                    runs=runs,
                    text="".join(text for text, _ in runs).strip(),
                    size=size,
                    first_size=first["size"],
                    raised=bool(first["flags"] & _SUPERSCRIPT),
                    font=font,
                    upright=abs(line["dir"][1]) < 0.1,
                )
            )
    return lines


def _body_type(pages: Sequence[Sequence[Line]]) -> tuple[float, str]:
    """The size and the font that most letters of the document have."""
    sizes: Counter[float] = Counter()
    fonts: Counter[str] = Counter()
    for line in (line for lines in pages for line in lines):
        sizes[round(line.size)] += len(line.text)
        fonts[line.font] += len(line.text)
    if not sizes:
        return 10.0, ""
    return float(sizes.most_common(1)[0][0]), fonts.most_common(1)[0][0]


def _without_stamps(lines: list[Line]) -> list[Line]:
    """Without what stands beside the text: arXiv's stamp, and the line numbers of a draft."""
    prose = [line for line in lines if line.upright and line.text.count(" ") >= 4]
    if not prose:
        return [line for line in lines if line.upright or not _STAMP.match(line.text)]
    left, right = min(line.x0 for line in prose), max(line.x1 for line in prose)
    beside = [line.x1 < left - 3 or line.x0 > right + 3 for line in lines]
    numbers = [
        side and line.text.isdecimal() and len(line.text) <= 4
        for line, side in zip(lines, beside, strict=True)
    ]
    numbered = sum(numbers) >= 10
    return [
        line
        for line, side, number in zip(lines, beside, numbers, strict=True)
        if not (side and not line.upright) and not (number and numbered)
    ]


def _without_running_heads(pages: list[list[Line]], body_size: float) -> list[list[Line]]:
    """Without heads, feet and page numbers: what recurs in a page's outermost rows.

    Odd and even pages may differ, so a row recurs when other pages have one at its height; it
    goes when its words recur there too, or count the pages, or stand well apart from the text.
    """
    edges = [_edge_rows(lines, body_size) for lines in pages]
    texts: Counter[tuple[str, int, str]] = Counter()
    heights: Counter[tuple[str, int]] = Counter()
    apart: Counter[tuple[str, int]] = Counter()
    inner: Counter[tuple[str, int, int]] = Counter()
    offsets: Counter[int] = Counter()
    for number, rows in enumerate(edges):
        for row in rows:
            texts[(row.side, row.y, row.pattern)] += 1
            heights[(row.side, row.y)] += 1
            apart[(row.side, row.y)] += row.gap >= 1.7
            inner[(row.side, row.y, row.inner)] += 1
            if row.label is not None:
                offsets[row.label - number] += 1
    counted = {offset for offset, times in offsets.items() if times >= min(3, len(pages))}
    result = []
    for number, lines in enumerate(pages):
        gone: set[int] = set()
        closed: set[str] = set()
        seen: set[str] = set()
        for row in edges[number]:
            often = texts[(row.side, row.y, row.pattern)] >= max(2, 0.25 * len(pages))
            if row.side in closed or (row.size > 1.12 * body_size and not often):
                continue
            outermost = row.side not in seen
            seen.add(row.side)
            recurs = heights[(row.side, row.y)] >= max(2, 0.25 * len(pages))
            same = texts[(row.side, row.y, row.pattern)] >= 2
            counts = row.label is not None and row.label - number in counted
            alone = row.gap >= 1.7 and outermost
            numbered = counts and (row.bare or recurs) and row.gap >= 1.15
            if outermost:
                margin = (same and row.gap >= 1.15) or numbered or (row.bare and alone)
                # Below a running title the text starts at one height; below a first line that
                # a formula follows it does not.
                same_height = max(inner[(row.side, row.y, row.inner + n)] for n in (-1, 0, 1))
                title = apart[(row.side, row.y)] >= 0.8 * heights[(row.side, row.y)]
                title = title and same_height >= 0.4 * heights[(row.side, row.y)]
                margin = margin or (recurs and title and alone and row.side == "top")
            else:
                margin = same and recurs and row.gap >= 1.15
            if margin:
                gone.update(row.lines)
            else:
                closed.add(row.side)  # what lies further in is no margin either
        result.append([line for index, line in enumerate(lines) if index not in gone])
    return result


@dataclass(frozen=True, slots=True)
class _Row:
    """An outermost row: `y` and `inner`, the next row's, in 2 points; `gap` to it in body sizes.

    `label` is a page number.
    """

    side: str
    y: int
    inner: int
    pattern: str
    label: int | None
    bare: bool
    gap: float
    size: float
    lines: tuple[int, ...]


def _edge_rows(lines: Sequence[Line], body_size: float) -> list[_Row]:
    """The two highest and the two lowest rows of a page, outermost first."""
    order = sorted(
        (index for index, line in enumerate(lines) if line.upright),
        key=lambda index: lines[index].y1,
    )
    rows: list[list[int]] = []
    for index in order:
        if rows and lines[index].y1 - lines[rows[-1][0]].y1 < 0.4 * body_size:
            rows[-1].append(index)
        else:
            rows.append([index])
    if len(rows) < 2:
        return []
    found = []
    for side, ordered in (("top", rows[:3]), ("foot", rows[:-4:-1])):
        for row, beyond in pairwise(ordered):
            text = " ".join(lines[i].text for i in sorted(row, key=lambda i: lines[i].x0))
            gap = abs(lines[row[0]].y1 - lines[beyond[0]].y1) / body_size
            match = _PAGE_NUMBER.fullmatch(text)
            numbers = re.findall(r"\d+", text)
            outer = [numbers[0], numbers[-1]] if numbers else []
            label = None
            if match and match.group("number").isdecimal():
                label = int(match.group("number"))
            elif outer and len(row) > 1:  # a number of its own, left or right of a running title
                ends = [lines[i].text for i in sorted(row, key=lambda i: lines[i].x0)]
                label = next((int(n) for n in (ends[0], ends[-1]) if n.isdecimal()), None)
            elif outer and (text.startswith(outer[0] + " ") or text.endswith(" " + outer[1])):
                label = int(outer[0] if text.startswith(outer[0]) else outer[1])
            found.append(
                _Row(
                    side,
                    round(lines[row[0]].y1 / 2),
                    round(lines[beyond[0]].y1 / 2),
                    re.sub(r"\d+|\b[ivxlc]+\b", "#", text),
                    label,
                    match is not None,
                    gap,
                    max(lines[i].size for i in row),
                    tuple(row),
                )
            )
    return found


def _reading_order(lines: list[Line]) -> list[Line]:
    """The stream's order, or by columns where the stream jumps between columns row by row."""
    prose = [line for line in lines if line.upright and line.text.count(" ") >= 3]
    if not prose:
        return lines
    left, right = min(line.x0 for line in prose), max(line.x1 for line in prose)
    middle = (left + right) / 2
    wide = [line for line in prose if line.x1 - line.x0 > 0.3 * (right - left)]
    jumps = sum(
        later.x1 <= middle <= earlier.x0 and later.y1 > earlier.y1 - 2
        for earlier, later in pairwise(wide)
    )
    if jumps < 4:
        return lines
    ordered: list[Line] = []
    band: list[Line] = []

    def close() -> None:
        ordered.extend(sorted(band, key=lambda line: (line.x0 > middle - 5, round(line.y1))))
        band.clear()

    for line in sorted(lines, key=lambda line: line.y1):
        if line.x0 < middle - 10 and line.x1 > middle + 10:
            close()
            ordered.append(line)
        else:
            band.append(line)
    close()
    return ordered
