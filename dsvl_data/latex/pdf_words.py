"""A PDF's pages as words: PDF in, per page its lines in reading order and the words of each out.

Reading order is the order of the content stream, because TeX ships a page out in it: floats at
the top, first column, its footnotes, second column. Only where the stream walks to and fro
between columns (other producers do) are lines sorted by column.

What stands in the margins is left out: running heads, page numbers, line numbers, arXiv's stamp.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pymupdf

from dsvl_data.latex.pdf_lines import Line, Zone, read_lines

FLOAT_NAMES = {
    "figure": "figure",
    "fig": "figure",
    "figura": "figure",
    "abbildung": "figure",
    "图": "figure",
    "圖": "figure",
    "table": "table",
    "tab": "table",
    "tabela": "table",
    "tabla": "table",
    "tabelle": "table",
    "tableau": "table",
    "表": "table",
    "algorithm": "algorithm",
    "算法": "algorithm",
    "listing": "listing",
    "scheme": "scheme",
}
CAPTION = re.compile(
    rf"(?P<name>{'|'.join(sorted(FLOAT_NAMES, key=len, reverse=True))})\.?\s*"
    r"(?P<number>[A-Z]{0,2}\.?\d+(?:\.\d+)*|[IVXL]+|[A-Z]\.?\d*)\s*"
    r"(?P<end>[:.|—–]\s|[:.]?$|[:：])",
    re.IGNORECASE,
)
_EQUATION_NUMBER = re.compile(r"\((?P<number>[A-Z]?[-.]?\d+(?:[.\-]\d+)*[a-z]?)\)$")
_FIRST_NUMBER = re.compile(r"\((?P<number>[A-Z]?[-.]?\d+(?:[.\-]\d+)*[a-z]?)\)(?:\s|$)")
_FOOTNOTE_MARK = re.compile(r"[*∗†‡§¶‖#]|\d{1,3}|[a-z](?=[A-Z]|\b)")


@dataclass(frozen=True, slots=True)
class PdfWord:
    """A word as the page shows it (compatibility forms folded), with its punctuation.

    A word broken at a line's end is one word, without its hyphen; `math` says that a font for
    formulas shows it; `line` is the index of its (first) line in `PdfPage.lines`.
    """

    text: str
    line: int
    math: bool = False


@dataclass(frozen=True, slots=True)
class PdfLine:
    """A line of a page, with its box in points from the page's top left corner."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    font: str
    zone: Zone = Zone.BODY


@dataclass(frozen=True, slots=True)
class PdfCaption:
    """A caption's label: its kind ("figure", "table", ...) and number, as the page shows it."""

    kind: str
    number: str
    line: int


@dataclass(frozen=True, slots=True)
class PdfPage:
    """A page of a PDF; `number` counts from 0, `equations` are the numbers shown, in order."""

    number: int
    words: tuple[PdfWord, ...]
    lines: tuple[PdfLine, ...]
    captions: tuple[PdfCaption, ...] = ()
    equations: tuple[str, ...] = ()


def read_pdf_pages(document: pymupdf.Document) -> list[PdfPage]:
    """All pages of a document, in order; a page without a text layer has no words."""
    pages, body_size, body_font = read_lines(document)
    result = []
    for number, lines in enumerate(pages):
        captions = _mark_captions(lines, body_size, body_font)
        _mark_footnotes(lines, body_size)
        result.append(_finish(number, lines, captions))
    return result


def _follows(earlier: Line, later: Line) -> bool:
    """Whether a line goes on where the one before it ended: right below, or on its row."""
    drop = later.y1 - earlier.y1
    height = max(earlier.size, later.size, 1.0)
    return -0.6 * height < drop < 1.55 * height and (
        later.x0 < earlier.x1 + 3 * height and later.x1 > earlier.x0 - 3 * height
    )


def _mark_captions(
    lines: list[Line], body_size: float, body_font: str
) -> list[tuple[str, str, int]]:
    captions = []
    index = 0
    while index < len(lines):
        line = lines[index]
        match = CAPTION.match(line.text)
        starts = (
            index == 0
            or not _follows(lines[index - 1], line)
            or (lines[index - 1].block != line.block)
        )
        if match is None or not starts:
            index += 1
            continue
        kind = FLOAT_NAMES[match.group("name").lower()]
        captions.append((kind, match.group("number").strip("."), index))
        end = index + 1
        while (
            end < len(lines)
            and _follows(lines[end - 1], lines[end])
            and (abs(lines[end].size - line.size) < 0.6)
        ):
            end += 1
        for caption_line in lines[index:end]:
            caption_line.zone = Zone.CAPTION
        if kind == "figure":
            _mark_picture(lines, index, body_size, body_font)
        index = end
    return captions


def _mark_picture(lines: list[Line], caption: int, body_size: float, body_font: str) -> None:
    """Mark the lines before a figure's caption that are set unlike the text."""
    family = body_font[:8]
    for line in reversed(lines[:caption]):
        short = line.text.count(" ") < 3
        foreign = line.font[:8] != family or line.size < 0.85 * body_size or not line.upright
        if line.zone is not Zone.BODY or not foreign or not (short or line.font[:4] != family[:4]):
            return
        line.zone = Zone.FIGURE


def _mark_footnotes(lines: list[Line], body_size: float) -> None:
    """Mark the small print at each column's foot that starts with a footnote's mark."""
    ends = [
        index
        for index, line in enumerate(lines)
        if index + 1 == len(lines) or lines[index + 1].y1 < line.y1 - 4 * body_size
    ]
    for end in ends:
        start = None
        for index in range(end, -1, -1):
            line = lines[index]
            turned = index < end and line.y1 > lines[index + 1].y1 + body_size
            if line.zone is not Zone.BODY or turned or line.size > body_size - 0.7:
                break
            marked = line.raised or line.first_size < line.size - 0.8
            if _FOOTNOTE_MARK.match(line.text) and (marked or not line.text[0].isalnum()):
                start = index
        if start is not None:
            for line in lines[start : end + 1]:
                line.zone = Zone.FOOTNOTE


def _finish(number: int, lines: list[Line], captions: list[tuple[str, str, int]]) -> PdfPage:
    words: list[PdfWord] = []
    equations: list[str] = []
    left = min((line.x0 for line in lines), default=0.0)
    right = max((line.x1 for line in lines), default=0.0)
    columns = _right_edges(lines)
    previous: Line | None = None
    for index, line in enumerate(lines):
        if (match := _FIRST_NUMBER.match(line.text)) and line.x0 < left + 3:
            formula = any(math for _, math in line.runs)
            if formula or match.end() == len(line.text):
                equations.append(match.group("number"))
        elif match := _EQUATION_NUMBER.search(line.text):
            ends = line.x1 > right - 3 or any(abs(line.x1 - edge) < 3 for edge in columns)
            lonely = match.start() == 0
            if ends and (lonely or any(math for _, math in line.runs)):
                equations.append(match.group("number"))
        here = [PdfWord(word, index, math) for text, math in line.runs for word in text.split()]
        if words and here and previous is not None and _hyphenated(words[-1].text, here[0].text):
            near = previous.zone is line.zone and abs(previous.size - line.size) < 0.6
            if near and (_follows(previous, line) or line.y1 < previous.y1):
                stem = words.pop()
                keep = not here[0].text[0].islower()
                words.append(
                    PdfWord(stem.text[: None if keep else -1] + here[0].text, stem.line, stem.math)
                )
                here = here[1:]
        words.extend(here)
        previous = line
    return PdfPage(
        number,
        tuple(words),
        tuple(
            PdfLine(line.text, line.x0, line.y0, line.x1, line.y1, line.size, line.font, line.zone)
            for line in lines
        ),
        tuple(PdfCaption(*caption) for caption in captions),
        tuple(equations),
    )


def _right_edges(lines: Sequence[Line]) -> list[float]:
    """Where several lines of prose end: the right edges of the page's columns."""
    edges: defaultdict[int, int] = defaultdict(int)
    for line in lines:
        if line.text.count(" ") >= 4:
            edges[round(line.x1)] += 1
    return [float(edge) for edge, count in edges.items() if count >= 3]


def _hyphenated(word: str, following: str) -> bool:
    """Whether a line's last word goes on in the next line's first."""
    return (
        len(word) > 1
        and word[-1] in "-\u2010\u00ad"
        and word[-2].isalpha()
        and following[0].isalpha()
    )
