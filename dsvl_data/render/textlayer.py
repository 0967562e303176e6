"""What a printed page paints: the text layer of a PDF that Chromium wrote.

In: the PDF's bytes or one of its pages. Out: `Painted`: the letters of the page in painting
order with their places, running head and foot apart; and the letters for which no font had a
glyph. Text comes with Chromium's own `ActualText`, so ligatures, shaped scripts and look-alike
glyphs arrive as the characters that the markup had.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pymupdf

from dsvl_data.render.flow import visible
from dsvl_data.render.template import Template

#: Points a CSS pixel.
POINTS = 72 / 96

_DIFFERENCES = re.compile(rb"/Differences \[[^\]]*\]")
_TYPE3 = re.compile(rb"\n(\d+) 0 obj\n<</Type /Font\n/Subtype /Type3\b")
_FONT_SET = re.compile(rb"/F(\d+) [-\d.]+ Tf")
_OPENING = "「『（［｛〈《【〔〖"
_CLOSING = "」』）］｝〉》】〕〗、。，．：；！？"
#: Glyph 0 in a string of codes of two bytes, and of one.
_WIDE_ZERO = re.compile(rb"<(?:[0-9A-F]{4})*?0000")
_NARROW_ZERO = re.compile(rb"<(?:[0-9A-F]{2})*?00[0-9A-F]*> Tj")


@dataclass(frozen=True, slots=True)
class Span:
    """Text of one font on one line.

    `box` is x0, y0, x1, y1 in points around the body of the letters (a font's own box reaches
    into the neighbouring lines); `size` is the font's size in points.
    """

    text: str
    box: tuple[float, float, float, float]
    size: float


@dataclass(frozen=True, slots=True)
class Painted:
    """The spans of the content area in painting order, and the visible characters of each.

    `head` and `foot` are the lines of text in the upper and lower margin.
    """

    spans: list[Span]
    texts: list[str]
    head: str
    foot: str


def lighten(pdf: bytes) -> bytes:
    """Return the same PDF, in which fonts made of drawings (Type 3) are quick to load.

    Chromium embeds fonts with PostScript outlines, Noto CJK for one, as drawings, 255 slots
    each, and names the drawing `g0` in every slot not used; MuPDF loads it 255 times. A name
    that leads nowhere costs nothing and nothing else changes, file offsets included.
    """
    return _DIFFERENCES.sub(
        lambda found: re.sub(rb"/g0(?=[\s\]])", b"/zz", found[0]),
        pdf,
    )


def drawn_fonts(pdf: bytes) -> frozenset[bytes]:
    """The numbers of the PDF's Type 3 fonts, whose glyphs have one byte, not two."""
    return frozenset(_TYPE3.findall(pdf))


def has_coloured_glyphs(pdf: bytes) -> bool:
    """Whether glyphs may have colours of their own: Type 3 fonts with resources, as emoji have."""
    return any(
        b"/Resources" in pdf[font.start() : pdf.find(b"endobj", font.start())]
        for font in _TYPE3.finditer(pdf)
    )


def read_painted(listing: pymupdf.DisplayList, template: Template) -> Painted:
    """Read a page's text layer."""
    top, bottom = template.content[1] * POINTS, template.content[3] * POINTS
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
                piece = Span(text, _box(span, text, across, template.vertical), span["size"])
                if piece.box[3] <= top - 1:
                    head.append(piece)
                elif piece.box[1] >= bottom + 1:
                    foot.append(piece)
                else:
                    content.append(piece)
    return Painted(content, [visible(span.text) for span in content], _line(head), _line(foot))


def find_missing_glyphs(page: pymupdf.Page, content: bytes, drawn: frozenset[bytes]) -> str:
    """Characters of the page that no font has a glyph for, which show as empty boxes.

    Glyph 0 is that box in every font. `content` is what the page draws, by PDF operators, and
    `drawn` what `drawn_fonts` found.
    """
    if not _shows_glyph_zero(content, drawn):
        return ""
    return "".join(
        chr(character[0]) if character[0] > 0 else "\ufffd"
        for span in page.get_texttrace()
        for character in span["chars"]
        if character[1] == 0 and not chr(max(character[0], 0)).isspace()
    )


def _shows_glyph_zero(content: bytes, drawn: frozenset[bytes]) -> bool:
    if b"0000" in content and _WIDE_ZERO.search(content):
        return True
    if not drawn:
        return False
    start, single = 0, False
    for font in _FONT_SET.finditer(content):
        if single and _NARROW_ZERO.search(content, start, font.start()):
            return True
        start, single = font.end(), font[1] in drawn
    return single and _NARROW_ZERO.search(content, start) is not None


def _box(
    span: dict[str, Any], text: str, across: bool, vertical: bool
) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = span["bbox"]
    size, base = span["size"], span["origin"][1]
    if not across:
        middle = (x0 + x1) / 2
        return middle - 0.25 * size, y0, middle + 0.25 * size, y1
    if vertical:
        middle = (x0 + x1) / 2
        y0 = base - size * (0.35 if text[0] in _OPENING else 0.85)
        y1 = base + size * (-0.4 if text[-1] in _CLOSING else 0.1)
        return middle - 0.25 * size, y0, middle + 0.25 * size, y1
    x1 -= 0.3 * size * (len(text) - len(text.rstrip()))
    # Full-width brackets and stops at a line's ends are drawn without their empty half.
    x0 += 0.5 * size * (text[0] in _OPENING)
    x1 -= 0.5 * size * (text[-1] in _CLOSING)
    return x0, base - 0.5 * size, max(x0, x1), base


def _line(spans: list[Span]) -> str:
    text, end = "", 0.0
    for span in sorted(spans, key=lambda span: (round(span.box[3]), span.box[0])):
        apart = abs(span.box[0] - end) > 0.25 * span.size
        text += (" " if text and apart else "") + span.text
        end = span.box[2]
    return " ".join(text.split())
