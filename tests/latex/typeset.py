"""PDF pages for tests, set line by line with PyMuPDF: places and texts in, a document out."""

from __future__ import annotations

from collections.abc import Iterable

import pymupdf

Line = tuple[float, float, str]


def page(document: pymupdf.Document, lines: Iterable[Line], *, size: float = 10) -> None:
    """A page of 400 x 500 points with each text at its (x, baseline)."""
    sheet = document.new_page(width=400, height=500)
    for x, y, text in lines:
        sheet.insert_text((x, y), text, fontsize=size, fontname="tiro")


def column(texts: Iterable[str], *, x: float = 40, y: float = 60, pitch: float = 12) -> list[Line]:
    """Lines below one another."""
    return [(x, y + pitch * n, text) for n, text in enumerate(texts)]


def wrap(text: str, width: int = 60) -> list[str]:
    """Break a text into lines of at most `width` letters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width and lines[-1]:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines
